"""The registry as its tests speak to it: use cases by name, each in its own transaction, and what was emitted."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from modelkeep import catalog, models, promotion
from modelkeep.bootstrap import dispatch, open_database, require_schema
from modelkeep.core.events import Event
from modelkeep.core.types import Actor, Caller
from modelkeep.db import Tx

ALICE = Caller(Actor("alice", "token"))
ELSEWHERE = "s3://elsewhere/model"


class Registry:
    """One database, one caller, and the events that the caller's use cases emitted."""

    def __init__(self, url: str, caller: Caller = ALICE) -> None:
        self.events: list[Event] = []
        require_schema(url)
        self.database = open_database(url, (dispatch, lambda tx, event: self.events.append(event)))
        self.caller = caller

    def do(self, use_case: Callable[..., Any], *given: Any, **options: Any) -> Any:
        """Run a use case that writes."""
        return self.database.write_now(self.caller, lambda tx: use_case(tx, *given, **options))

    def see(self, use_case: Callable[..., Any], *given: Any, **options: Any) -> Any:
        """Run a use case that reads."""
        return self.database.read_now(self.caller, lambda tx: use_case(tx, *given, **options))

    def model(self, name: str = "iris", **fields: Any) -> str:
        """Make a model; its id."""
        return str(self.do(models.create_model, name, **fields))

    def version(self, name: str = "iris", source: str = ELSEWHERE, **fields: Any) -> int:
        """Make a version; its number."""
        return int(self.do(models.create_version, models.NewVersion(name, source, **fields)))

    def staged(self, stage: str, name: str = "iris") -> int:
        """Make a version that stands in a stage; its number."""
        number = self.version(name)
        self.do(promotion.move, name, number, stage)
        return number

    def get(self, name: str = "iris", number: int = 1) -> catalog.VersionView:
        """A version as readers see it."""
        view: catalog.VersionView = self.see(catalog.get_version, name, number)
        return view

    def numbers(self, name: str = "iris") -> list[int]:
        """The versions in use, ascending."""
        return sorted(view.version for view in self.see(catalog.list_versions, name, None, 1000))

    def at_once(self, count: int, use_case: Callable[[Tx, int], Any]) -> list[Any]:
        """Run a use case that many times at the same moment; the answers and errors."""
        start = threading.Barrier(count)

        def one(index: int) -> Any:
            start.wait()
            try:
                return self.database.write_now(self.caller, lambda tx: use_case(tx, index))
            except Exception as error:
                return error

        with ThreadPoolExecutor(count) as callers:
            return list(callers.map(one, range(count)))


def opened(url: str) -> Iterator[Registry]:
    """A registry on an empty database, closed at the end."""
    registry = Registry(url)
    yield registry
    registry.database.close()


def kinds(events: Sequence[Event]) -> list[str]:
    """What happened, in order."""
    return [event.kind for event in events]
