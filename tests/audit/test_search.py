"""The journal is searched and exported by who, what, when and how it ended, on both databases."""

from typing import Any

import pytest

from audit.journal import Journal, Noted
from modelkeep import audit, models
from modelkeep.access import create_workspace, prepare_default_workspace
from modelkeep.audit import Selection
from modelkeep.core.errors import InvalidInput
from modelkeep.core.types import SYSTEM, Actor, Caller

NEWEST = 2**63 - 1
ANN = Caller(Actor("ann", "token", "t-ann", "u-0000000000000001"), "default", "r-1", "192.0.2.1", reason="why")
BOB = Caller(Actor("bob", "password", "", "u-0000000000000002"), "default", "r-2")
RED = Caller(Actor("ann", "token", "t-ann", "u-0000000000000001"), "red", "r-3")


@pytest.fixture
def told(journal: Journal) -> Journal:
    """Nine facts: ann's and bob's in turn, two seconds apart, and one of ann's in another workspace."""
    journal.database.write_now(SYSTEM, prepare_default_workspace)
    for number in range(8):
        note(journal, (ANN, BOB)[number % 2], f"n{number % 4}", 10_000 + 2000 * number)
    journal.database.write_now(RED, lambda tx: create_workspace(tx, "red", None))
    return journal


def note(journal: Journal, caller: Caller, name: str, at: int) -> None:
    """A fact of that moment."""

    def work(tx: Any) -> None:
        tx.now = at
        tx.emit(Noted(name))

    journal.database.write_now(caller, work)


def found(journal: Journal, **chosen: Any) -> list[int]:
    """The numbers of what is found."""
    selection = Selection(**chosen)
    return [row.id for row in journal.see(audit.search, selection, NEWEST, 100)]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"actor": "ann"}, [7, 5, 3, 1]),
        ({"actor": "ann", "everywhere": True}, [9, 7, 5, 3, 1]),
        ({"actor_id": "u-0000000000000002"}, [8, 6, 4, 2]),
        ({"resources": ("test/n1",)}, [6, 2]),
        ({"resources": ("test/n1", "test/n2")}, [7, 6, 3, 2]),
        ({"resources": ("test/",)}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"resources": ("workspace/red",), "everywhere": True}, [9]),
        ({"resources": ()}, []),
        ({"kind": "test."}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"kind": "test.noted"}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"kind": "workspace"}, []),
        ({"kind": "workspace", "everywhere": True}, [9]),
        ({"outcome": "done", "actor": "bob"}, [8, 6, 4, 2]),
        ({"outcome": "refused"}, []),
        ({"since": 12_000, "until": 16_000}, [3, 2]),
        ({"since": 24_000}, [8]),
        ({"token_id": "t-ann"}, [7, 5, 3, 1]),
        ({"request_id": "r-2", "until": 14_000}, [2]),
        ({"actor": "ann", "resources": ("test/n0",), "since": 11_000}, [5]),
    ],
    ids=str,
)
def test_entries_are_found_by_all_that_is_said(told: Journal, chosen: dict[str, Any], expected: list[int]) -> None:
    """Each filter alone and together gives exactly the entries that fit, newest first, of the workspace at hand."""
    assert found(told, **chosen) == expected


def test_pages_and_the_export_have_each_entry_once(told: Journal) -> None:
    """Pages of three end to end are the whole selection, and so is the walk of an export, the other way round."""
    pages: list[int] = []
    before = NEWEST
    while rows := told.see(audit.search, Selection(kind="test."), before, 3):
        pages += [row.id for row in rows]
        before = rows[-1].id
    assert pages == [8, 7, 6, 5, 4, 3, 2, 1]
    batch = told.see(audit.batch_after, Selection(), -1, told.see(audit.last_entry))
    assert ([row.id for row in batch.rows], batch.next_after) == (sorted(pages), None)


def test_an_export_ends_where_it_began(told: Journal) -> None:
    """What comes while an export is read is not part of it."""
    last = told.see(audit.last_entry)
    note(told, ANN, "later", 50_000)
    assert [row.id for row in told.see(audit.batch_after, Selection(actor="ann"), 4, last).rows] == [5, 7]


def test_a_long_export_comes_in_batches(journal: Journal) -> None:
    """Of more entries than one batch holds each comes once, in order."""
    journal.note(1203)
    numbers: list[int] = []
    after: int | None = -1
    while after is not None:
        batch = journal.see(audit.batch_after, Selection(), after, 1100)
        numbers += [row.id for row in batch.rows]
        after = batch.next_after
    assert numbers == list(range(1, 1101))


def test_a_model_is_found_by_each_name_that_it_had(told: Journal) -> None:
    """A model's entries and those of its versions are found by its names, and a version's by its number."""
    made: list[Any] = [
        lambda tx: models.create_model(tx, "old"),
        lambda tx: models.create_version(tx, models.NewVersion("old", "s3://elsewhere/m")),
        lambda tx: models.rename_model(tx, "old", "new"),
        lambda tx: models.set_version_tag(tx, "new", 1, "k", "v"),
        lambda tx: models.create_model(tx, "other"),
    ]
    for work in made:
        told.database.write_now(ANN, work)
    for text, kinds in (
        ("model/old", ["registered_model.renamed", "model_version.registered", "registered_model.created"]),
        ("model/new/version/1", ["model_version_tag.set", "model_version.registered"]),
        ("model/none", []),
        ("model/other", ["registered_model.created"]),
    ):
        resources = told.see(audit.resources_of, text)
        rows = told.see(audit.search, Selection(resources=resources), NEWEST, 100)
        assert [row.kind for row in rows if row.kind != "model_version_tag.set" or "version" in text] == kinds, text


def test_what_cannot_be_asked_is_refused(told: Journal) -> None:
    """No outcome of that name, times the wrong way round, and NUL characters are refused with the field's name."""
    for field, chosen in (
        ("outcome", {"outcome": "maybe"}),
        ("since", {"since": 2, "until": 1}),
        ("actor", {"actor": "a\x00"}),
        ("kind", {"kind": "\x00"}),
    ):
        with pytest.raises(InvalidInput) as refused:
            Selection(**chosen)  # type: ignore[arg-type]
        assert refused.value.field == field
    with pytest.raises(InvalidInput):
        told.see(audit.resources_of, "run/\x00")
