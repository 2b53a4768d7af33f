"""Every operation that changes something leaves its entries, and every one that is refused leaves that (AL-01)."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelkeep import audit
from modelkeep.bootstrap import build
from modelkeep.config import Settings
from modelkeep.core.types import SYSTEM
from modelkeep.faces.admission import DELETING
from modelkeep.faces.operations import Mode, Operation
from security.access_matrix import asked, first_route
from security.furniture import furnish
from security.governed import Governed, Wire
from security.table import OPERATIONS

pytestmark = pytest.mark.slow

TABLE = Path(__file__).with_name("operation_entries.txt")
CHANGING = [
    one for one in OPERATIONS if one.mode is Mode.WRITE or first_route(one).method not in {"GET", "HEAD", "POST"}
] + [one for one in OPERATIONS if one.mode in {Mode.STEPS, Mode.STREAM} and first_route(one).method == "POST"]

# What really is not there for these callers: no session, no provider.
ABSENT = {"sessions.show", "sign_in.oidc"}
# What makes a request a change that would change nothing as the access matrix asks for it.
OTHER: dict[str, dict[str, Any]] = {
    "groups.add_member": {"member": "robot"},
    "holds.lift": {"version": "3"},
    "mlflow_permissions.update_on_experiment": {"permission": "EDIT"},
    "mlflow_permissions.update_on_model": {"permission": "EDIT"},
    "mlflow_users.update_admin": {"is_admin": True},
    "mlflow_workspace_permissions.set": {"permission": "EDIT"},
    "retention.set_of_model": {"keep_last": 7},
    "retention.set_of_workspace": {"keep_last": 7},
    "services.change": {"display_name": "other"},
    "storage.collect": {"apply": True},
    "shares.create": {"workspace": "blank"},
    "tokens.revoke_since": {"since": 1},
    "users.change": {"display_name": "other"},
    "workspaces.set_download_policy": {"refuse_unsafe": True},
}
FIRST: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mlflow.runs.restore": ("POST", "/api/2.0/mlflow/runs/delete", {"run_id": "run_id"}),
    "quotas.lift": ("PUT", "/api/v1/workspaces/default/quota", {"bytes": 1_000_000}),
}


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """A registry with one of everything, closed: copies of it are worked on."""
    folder = tmp_path_factory.mktemp("furnished") / "data"
    with Governed.start(folder) as registry:
        furnish(registry)
    yield registry


def copy_of(furnished: Governed, folder: Path) -> Governed:
    """A copy of the registry as it was furnished, running."""
    shutil.copytree(furnished.app.settings.data, folder)
    app, _ = build(Settings(data=folder))
    copied = Governed(app, Wire(app), furnished.token)
    copied.made, copied.callers, copied.spare_tokens = furnished.made, furnished.callers, furnished.spare_tokens
    return copied


def entries_of(registry: Governed, request_id: str) -> list[dict[str, Any]]:
    """What a request left, oldest first."""
    chosen = audit.Selection(request_id=request_id, everywhere=True)
    rows = registry.app.database.read_now(SYSTEM, lambda tx: audit.search(tx, chosen, 2**63 - 1, 100))
    return [row._asdict() | {"data": json.loads(row.data)} for row in rows[::-1]]


def kinds_after(furnished: Governed, folder: Path, operation: Operation) -> str:
    """The kinds of entries that a good request leaves, each once; or the status that refused it."""
    with copy_of(furnished, folder) as registry:
        if operation.name in FIRST:
            method, target, fields = FIRST[operation.name]
            given = {name: registry.made.get(value, value) for name, value in fields.items()}
            assert registry.send(method, target, given).status < 300
        request = asked(registry, first_route(operation), "administrator", other=OTHER.get(operation.name))
        reply = registry.wire.call(request.method, request.target, request.body, request.headers, token=request.token)
        if reply.status >= 400:
            return str(reply.status)
        kinds = [entry["kind"] for entry in entries_of(registry, reply.headers["x-request-id"])]
    shutil.rmtree(folder)
    return " ".join(dict.fromkeys(kinds)) or "-"


def test_AL_01_every_change_is_an_entry_of_its_kind(furnished: Governed, tmp_path: Path) -> None:
    """A good request of each operation leaves exactly the kinds of entries that the checked-in table has for it."""
    found = {one.name: kinds_after(furnished, tmp_path / one.name, one) for one in CHANGING}
    told = "".join(f"{name} {kinds}\n" for name, kinds in sorted(found.items()))
    (tmp_path / "found.txt").write_text(told)
    assert told == TABLE.read_text(), f"{tmp_path}/found.txt"


@pytest.mark.parametrize("who", ["no role", "viewer", "viewer, clf denied"])
def test_AL_01_every_refusal_is_an_entry(furnished: Governed, tmp_path: Path, who: str) -> None:
    """Whoever is refused leaves one entry that names the operation, what was missing and what it was about."""
    wrong = []
    with copy_of(furnished, tmp_path / "data") as registry:
        replies = {}
        for one in OPERATIONS:
            request = asked(registry, first_route(one), who)
            replies[one.name] = registry.wire.call(
                request.method, request.target, request.body, request.headers, token=request.token
            )
        registry.app.hidden_refusals.write(registry.app.database)
        for name, reply in replies.items():
            if name in ABSENT:
                continue
            entries = entries_of(registry, reply.headers["x-request-id"])
            refused = [entry for entry in entries if entry["kind"] == "access.refused"]
            told = [(entry["outcome"], entry["data"]["operation"], entry["data"]["hidden"]) for entry in refused]
            expected = {403: [("refused", name, False)], 404: [("refused", name, True)]}.get(reply.status, [])
            if name in DELETING and reply.status == 200:  # as deleting what is not there
                expected = [("refused", name, True)]
            if told != expected or not all(entry["resource"] and entry["data"]["verb"] for entry in refused):
                wrong.append((name, reply.status, told))
    assert wrong == [], wrong
