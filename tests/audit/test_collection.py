"""Who has the store reclaim leaves an entry of that; who only looks at it leaves none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelkeep import audit
from modelkeep.core.types import SYSTEM
from security.governed import Governed


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Governed]:
    """A registry whose store has a file that nothing names."""
    with Governed.start(tmp_path / "data") as registry:
        run = registry.post("runs/create", experiment_id="0", start_time=1)["run"]["info"]
        path = run["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/a.txt"
        registry.put(path, b"bytes")
        assert registry.send("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{path}").status == 200
        yield registry


def entries(registry: Governed) -> list[Any]:
    """All entries, oldest first."""
    chosen = audit.Selection(everywhere=True)
    rows = registry.app.database.read_now(SYSTEM, lambda tx: audit.search(tx, chosen, 2**63 - 1, 1000))
    return list(rows[::-1])


def test_AL_01_reclaiming_is_an_entry_before_anything_goes(registry: Governed) -> None:
    """The entry of a reclaiming call comes first, with who asked for it and on which terms, then what went."""
    before = len(entries(registry))
    registry.native("POST", "gc", apply=True, older_than_days=3, trash_days=0)
    begun, *went = entries(registry)[before:]
    assert (begun.kind, begun.resource, begun.actor) == ("storage.collection_begun", "server", "admin")
    assert begun.data == '{"older_than_days":3,"trash_days":0,"goes_on":false}'
    assert [one.kind for one in went] == ["blobs.trashed", "blobs.deleted"]


def test_AL_01_reclaiming_nothing_is_an_entry_too(registry: Governed) -> None:
    """That somebody had the store reclaim is told whether or not there was anything to reclaim."""
    registry.native("POST", "gc", apply=True, trash_days=0)
    before = len(entries(registry))
    registry.native("POST", "gc", apply=True, trash_days=0)
    assert [one.kind for one in entries(registry)[before:]] == ["storage.collection_begun"]


@pytest.mark.parametrize(
    ("address", "fields"), [("gc", {"limit": 10}), ("artifacts/verify", {"deep": True}), ("doctor", {})]
)
def test_looking_at_the_store_is_no_entry(registry: Governed, address: str, fields: dict[str, Any]) -> None:
    """Listing what may go, rehashing what is right, and checking up on the store change nothing and tell nothing."""
    before = entries(registry)
    assert registry.send("POST", f"/api/v1/{address}", fields).status == 200
    assert entries(registry) == before
