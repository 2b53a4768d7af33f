"""A search of a long journal on PostgreSQL reads what it finds: who, what, which kind and when are found by indexes."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, insert

from audit.journal import Journal
from modelkeep import audit, tables
from modelkeep.access import create_workspace, prepare_default_workspace
from modelkeep.audit import search_store
from modelkeep.core.types import SYSTEM
from modelkeep.db import Prepared, Tx

ROWS = 200_000
AT_ONCE = 10_000
NEWEST = 2**63 - 1
# Of so many read where some hundred are found, most were looked for in vain.
MOST_READ = 2_000
COLUMNS = tuple(column.name for column in tables.audit.journal.columns if column.name not in ("id", "seq"))
INSERT = Prepared(insert(tables.audit.journal).values({name: bindparam(name) for name in COLUMNS}))


def row(number: int) -> tuple[Any, ...]:
    """An entry of a busy registry: a few people and kinds that are rare, the rest much alike."""
    rare = number % 2_000 == 7
    values = {
        "at": 1_000_000 + 1_000 * number,
        "workspace": ("default", "red", "blue")[number % 3],
        "actor": "rare" if rare else f"actor-{number % 40}",
        "actor_method": "token",
        "token_id": f"t-{number % 40}",
        "request_id": f"r-{number}",
        "kind": "download_policy.set" if rare else ("run.created", "metric.logged", "model_tag.set")[number % 7 % 3],
        "resource": f"registered-model/{number % 5_000:032x}",
        "data": json.dumps({"name": f"n{number}", "value": "x" * 100}),
        "actor_id": f"u-{number % 40}",
        "address": "192.0.2.1",
        "outcome": "done",
        "reason": "",
    }
    return tuple(values[name] for name in COLUMNS)


@pytest.fixture
def long(fresh_postgres: Callable[[], str], tmp_path: Path) -> Iterator[Journal]:
    """A journal of two hundred thousand entries, as its database knows it after a while."""
    journal = Journal(fresh_postgres(), tmp_path)
    journal.database.write_now(SYSTEM, prepare_default_workspace)
    for name in ("red", "blue"):
        journal.database.write_now(SYSTEM, lambda tx, name=name: create_workspace(tx, name, None))
    for start in range(0, ROWS, AT_ONCE):
        rows = [row(number) for number in range(start, start + AT_ONCE)]
        journal.database.write_now(SYSTEM, lambda tx, rows=rows: tx.run_rows(INSERT, COLUMNS, rows))
    journal.database.write_now(SYSTEM, lambda tx: tx._cursor.execute("ANALYZE", ()))
    yield journal
    journal.close()


CHOSEN: dict[str, tuple[dict[str, Any], str]] = {
    "actor": ({"actor": "rare"}, "journal_actor"),
    "actor everywhere": ({"actor": "rare", "everywhere": True}, "journal_actor"),
    "resource": ({"resources": (f"registered-model/{7:032x}",)}, "journal_resource"),
    "resource everywhere": ({"resources": (f"registered-model/{7:032x}",), "everywhere": True}, "journal_resource"),
    "kind": ({"kind": "download_policy."}, "journal_kind"),
    "kind everywhere": ({"kind": "download_policy.set", "everywhere": True}, "journal_kind"),
    "time": ({"since": 51_000_000, "until": 51_200_000}, "journal_at"),
    "time everywhere": ({"since": 51_000_000, "until": 51_200_000, "everywhere": True}, "journal_at"),
}


def plan(tx: Tx, chosen: audit.Selection, *, newest_first: bool) -> str:
    """How the database finds the entries, with what it really read."""
    used = search_store._used(chosen)
    statement = search_store._statement(used, len(chosen.resources or ()), newest_first=newest_first)
    compiled = statement.for_dialect(tx._dialect)
    values = search_store._values(tx, chosen) | {"above": -1, "below": NEWEST, "most": 101}
    tx._cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {compiled.sql}", compiled.values(values))
    return "\n".join(str(one[0]) for one in tx._cursor.fetchall())


@pytest.mark.slow
def test_who_what_which_and_when_are_found_by_an_index(long: Journal) -> None:
    """Each filter is looked up in its index, for a page and for an export; what is read in vain stays little."""
    for name, (chosen, index) in CHOSEN.items():
        for newest_first in (True, False):
            found = long.see(
                lambda tx, chosen=chosen, first=newest_first: plan(tx, audit.Selection(**chosen), newest_first=first)
            )
            assert index in found, (name, newest_first, found)
            vain = [int(one) for one in re.findall(r"Rows Removed by Filter: (\d+)", found)]
            assert sum(vain) <= MOST_READ, (name, newest_first, found)
            assert "Seq Scan on journal" not in found, (name, newest_first, found)


@pytest.mark.slow
def test_what_is_found_by_an_index_is_what_a_walk_finds(long: Journal) -> None:
    """The entries are exactly those that fit, newest first, of the workspace at hand or of all."""
    for name, (chosen, _) in CHOSEN.items():
        selection = audit.Selection(**chosen)
        found = long.see(audit.search, selection, NEWEST, 1_000)
        expected = [number for number in range(ROWS - 1, -1, -1) if fits(selection, number)]
        assert [json.loads(one.data)["name"] for one in found] == [f"n{number}" for number in expected], name
        assert expected, name


def fits(chosen: audit.Selection, number: int) -> bool:
    """The same question, asked of one entry at a time."""
    one = dict(zip(COLUMNS, row(number), strict=True))
    return (
        (chosen.everywhere or one["workspace"] == "default")
        and chosen.actor in ("", one["actor"])
        and (chosen.resources is None or one["resource"] in chosen.resources)
        and one["kind"].startswith(chosen.kind)
        and (chosen.since is None or chosen.since <= one["at"] < (chosen.until or NEWEST))
    )
