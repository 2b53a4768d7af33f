"""Filters and orders are a language of their own: nothing that is written in one becomes SQL (IN-03)."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelkeep.bootstrap import open_database
from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx
from modelkeep.db.migrate import create_schema
from modelkeep.db.sqlite import SqliteDatabase
from modelkeep.search import ViewType, search_experiments, search_models, search_runs, search_versions
from search.world import CALLER, make_runs, make_versions

# What a search may do in the database; everything else would be a statement of somebody else's.
ALLOWED = {
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
}  # fmt: skip
# Tables that no search has any business with begin so.
FOREIGN = (
    "user", "token", "session", "sign_in", "trusted", "role", "assign", "link_key", "journal", "audit", "blob",
    "upload", "push", "group", "job", "sqlite_",
)  # fmt: skip
INJECTED = [
    "' OR 1=1 --", "' OR '1'='1", "x' UNION SELECT secret_hash FROM tokens --", "'; DROP TABLE runs; --", "\\' OR 1=1",
    "`", '"', "``; --", "/* */", "-- ", ";", "\u2019 OR 1=1 --", "\u02bc OR 1=1", "\uff07 OR 1=1", "%", "_", "\\",
    "%_%", "' || (SELECT name FROM users) || '", "') OR (1=1", "*/", "x'00", "?", ":name", "%(name)s", "{0}", "$1",
]  # fmt: skip
TEMPLATES = [
    "{}", "name = '{}'", 'name = "{}"', "name LIKE '{}'", "tags.`{}` = 'x'", 'tags."{}" = \'x\'', "tags.k = '{}'",
    "params.`{}` LIKE '%'", "metrics.`{}` > 1", "metrics.m > {}", "name IN ('{}')", "attributes.{} = 'x'",
    "name {} 'x'",
    "run_id IN ('a', '{}')", "version_number > {}", "start_time > {}", "name = 'x' {} name = 'y'", "{}.k = 'x'",
    "name ASC, {}", "name {}", "`{}` DESC",
]  # fmt: skip
Search = Callable[[Tx, str], Any]
SEARCHES: dict[str, Search] = {
    "runs by": lambda tx, text: search_runs(tx, ["1"], text, ViewType.ALL, 10, [], None),
    "runs in order of": lambda tx, text: search_runs(tx, ["1"], "", ViewType.ALL, 10, [text], None),
    "versions by": lambda tx, text: search_versions(tx, text, 10, [], None),
    "versions in order of": lambda tx, text: search_versions(tx, "", 10, [text], None),
    "models by": lambda tx, text: search_models(tx, text, 10, [], None),
    "experiments by": lambda tx, text: search_experiments(tx, text, ViewType.ALL, 10, [], None),
}


ORDERS = {"runs in order of": "start_time DESC", "versions in order of": "name ASC"}


class Watched:
    """A database whose reads are asked for leave, statement by statement."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.asked: list[tuple[int, str]] = []
        self.renew()

    def renew(self) -> None:
        """Read by another connection, which has prepared no statement yet: only then it is asked for leave."""
        self.database._local.connection = None
        connection = self.database._reader()
        connection.execute("SELECT 1 FROM json_each('[]')").fetchall()  # its table is declared at its first use
        connection.set_authorizer(self._note)

    def _note(self, action: int, first: str | None, *_: object) -> int:
        self.asked.append((action, first or ""))
        return sqlite3.SQLITE_OK

    def search(self, kind: str, text: str) -> list[Any]:
        """What a search finds: nothing where it is refused; it must not have done anything but search."""
        self.asked.clear()
        try:
            found = self.database.read_now(CALLER, lambda tx: SEARCHES[kind](tx, text)).items
        except InvalidInput as error:
            assert error.message
            found = []
        assert {action for action, _ in self.asked} <= ALLOWED, (kind, text)
        read = {name for action, name in self.asked if action == sqlite3.SQLITE_READ}
        assert not [name for name in read if name.startswith(FOREIGN)], (kind, text, read)
        return list(found)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A database with runs and versions in it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('filters') / 'modelkeep.db'}"
    create_schema(url)
    with contextlib.closing(open_database(url, ())) as database:
        assert isinstance(database, SqliteDatabase)
        make_runs(database)
        make_versions(database)
        yield Watched(database)


@pytest.mark.parametrize("kind", SEARCHES)
def test_IN_03_the_watch_sees_what_a_search_reads(watched: Watched, kind: str) -> None:
    """A plain search is seen to read its own tables."""
    watched.renew()
    watched.search(kind, ORDERS.get(kind, ""))
    assert any(action == sqlite3.SQLITE_READ for action, _ in watched.asked)


@pytest.mark.parametrize("kind", SEARCHES)
def test_IN_03_what_is_injected_is_a_value_or_is_refused(watched: Watched, kind: str) -> None:
    """Quotes, comments, statements and patterns in every place of a filter or order touch no other table."""
    for template in TEMPLATES:
        for text in INJECTED:
            watched.search(kind, template.format(text))


def test_IN_03_a_value_that_looks_like_a_condition_holds_for_nothing(watched: Watched) -> None:
    """No name is found by a text that would be true as SQL."""
    for text in INJECTED[:6]:
        escaped = text.replace("'", "''")
        assert watched.search("versions by", f"name = '{escaped}'") == []
        assert watched.search("runs by", f"tags.k = '{escaped}'") == []


@pytest.mark.parametrize("kind", SEARCHES)
@given(
    text=st.lists(st.sampled_from([*INJECTED, *TEMPLATES, " AND ", " OR ", "NOT ", "(", ")"]), max_size=5).map("".join)
)
@settings(deadline=None, max_examples=60)
def test_IN_03_any_mixture_is_searched_for_or_refused(watched: Watched, kind: str, text: str) -> None:
    """However such pieces are put together, the search is one of its own tables or none."""
    watched.search(kind, text)
