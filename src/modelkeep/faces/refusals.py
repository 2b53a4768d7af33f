"""What was refused comes into the audit log: from the edge where every refusal becomes an answer.

A refusal that says so is written down before it is answered. One that says that a thing is not there is written down
behind its answer, or the time it takes would tell that it is there.
"""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from modelkeep import audit
from modelkeep.access import Refused, Target, Verb, workspace_exists, workspace_target
from modelkeep.app import Admitted, App
from modelkeep.core.errors import DomainError, Forbidden, NotFound, TooManyAttempts, Unauthenticated, Unavailable
from modelkeep.core.types import Caller
from modelkeep.db import Tx
from modelkeep.faces.admission import is_free
from modelkeep.faces.operations import Operation, Public, Signed

_NO_DECISION = (Unavailable, TooManyAttempts)
_log = logging.getLogger("modelkeep")


@dataclass(frozen=True, slots=True)
class Tried:
    """What somebody known wanted to do."""

    operation: Operation
    admitted: Admitted
    request: Any


class Refusals:
    """Writes down what is refused."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._under_way: set[asyncio.Task[None]] = set()

    async def note(
        self, error: DomainError, address: str, caller: Caller | None, tried: Tried | None, operation: str
    ) -> None:
        """Write down a refusal, if it is one of what the caller may. `caller` is None where nobody is known."""
        if isinstance(error, Unauthenticated) or (isinstance(error, Forbidden) and caller is None):
            self._app.unknown_callers.count(address)
        elif isinstance(error, Forbidden) and caller is not None:
            await _logged(self._write(caller, operation, *_refused(error, caller, tried), error.message))
        elif isinstance(error, NotFound) and tried is None and caller is not None:
            self._later(self._note_workspace(caller, operation, error.message))
        elif tried is not None and not isinstance(error, _NO_DECISION) and not _is_free(tried):
            self._later(self._note_hidden(tried, error.code))

    async def _write(self, caller: Caller, operation: str, verb: str, target: Target, message: str) -> None:
        await self._app.write(caller, lambda tx: audit.note_refusal(tx, operation, verb, target, message, hidden=False))

    async def _note_hidden(self, tried: Tried, code: str) -> None:
        # Not the message, which may repeat what the request said.
        caller, name = tried.admitted.caller, tried.operation.name
        found = await self._app.read(caller, lambda tx: _hidden(tx, tried))
        if found is not None:
            verb, target = found
            await self._app.write(caller, lambda tx: audit.note_refusal(tx, name, verb, target, code, hidden=True))

    async def _note_workspace(self, caller: Caller, operation: str, message: str) -> None:
        """Somebody wanted into a workspace that they are no member of."""
        target = workspace_target(caller.workspace)
        if await self._app.read(caller, lambda tx: workspace_exists(tx, target.name)):
            await self._app.write(
                caller, lambda tx: audit.note_refusal(tx, operation, Verb.READ, target, message, hidden=True)
            )

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(_logged(work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """The refusal stands whether or not it can be written down."""
    try:
        await work
    except DomainError as error:
        _log.error("a refusal could not be written down", extra={"fields": {"problem": error.message}})


def _is_free(tried: Tried) -> bool:
    return is_free(tried.operation, tried.admitted, tried.request)


def _refused(error: Forbidden, caller: Caller, tried: Tried | None) -> tuple[str, Target]:
    if isinstance(error, Refused):
        return error.verb, error.target
    return (_verb(tried.operation) or "" if tried else ""), workspace_target(caller.workspace)


def _hidden(tx: Tx, tried: Tried) -> tuple[str, Target] | None:
    """The first thing that the request is about and the caller may not do this to."""
    verb, about = _verb(tried.operation), tried.operation.about
    if verb is None or about is None:
        return None
    try:
        asked = list(about(tx, tried.request))
    except DomainError:
        return None
    for one in asked:
        wanted = one.verb or verb
        if not tried.admitted.rights.decide(wanted, one.target).allowed:
            return wanted, one.target
    return None


def _verb(operation: Operation) -> Verb | None:
    permission = operation.permission.permission if isinstance(operation.permission, Signed) else operation.permission
    return None if isinstance(permission, Public) else permission.verb
