"""The table of operations is whole: everything callable has a permission, twins, real fields, and leaves a trace."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from modelkeep.access import Permission
from modelkeep.faces.health import PLAIN
from modelkeep.faces.operations import PUBLIC, Mode, NoInput, Operation, Signed
from modelkeep.faces.routing import Router
from modelkeep.faces.table import check_permissions, governed
from security.raw import Raw, Reply
from security.table import OPERATIONS, ROUTES, Route
from servers import RunningServer

MOST_PUBLIC = 6
PUBLIC_OPERATIONS = {
    "server.health",
    "server.ready",
    "server.version",
    "server.info",
    "sign_in.exchange",
    "sign_in.oidc",
}
# Only pages of MLflow's own interface call these, and they know one prefix.
ONE_PREFIX = {"/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", "/ajax-api/2.0/mlflow/upload-artifact"}
# Called with a signed link in place of a token.
SIGNED_OPERATIONS = {"uploads.put_signed_part", "artifacts.download_signed"}
# Pieces of something whose beginning and end are told, a look at everything that changes nothing, and what is refused
# whoever asks.
UNTOLD = {"uploads.put_part", "uploads.put_signed_part", "storage.check_up", "mlflow_workspaces.delete"}
CHANGING = [
    operation
    for operation in OPERATIONS
    if operation.permission is not PUBLIC
    and not str(operation.permission).endswith(":read")
    and any(method != "GET" for method, _ in operation.routes)
]

# One call of every operation that changes something, in an order in which each finds what it needs.
Step = tuple[str, dict[str, Any]]
STEPS: list[Step] = [
    ("workspaces.create", {"name": "first"}),
    ("mlflow_workspaces.create", {"name": "second"}),
    ("users.create", {"name": "p", "password": "plum-tractor-9-lake"}),
    ("users.change", {"name": "p", "display_name": "P"}),
    ("users.set_password", {"name": "admin", "password": "plum-tractor-9-lake"}),
    ("me.set_password", {"present": "plum-tractor-9-lake", "new": "another-plum-tractor"}),
    ("services.create", {"name": "s"}),
    ("services.change", {"name": "s", "owner": "p"}),
    ("groups.create", {"name": "g"}),
    ("groups.describe", {"name": "g", "description": "d"}),
    ("groups.add_member", {"name": "g", "member": "p"}),
    ("groups.remove_member", {"name": "g", "member": "p"}),
    ("groups.rename", {"name": "g", "new_name": "h"}),
    ("groups.delete", {"name": "h"}),
    ("me.create_token", {"name": "t"}),
    ("me.revoke_token", {"id": "<token>"}),
    ("tokens.create", {"owner": "p", "name": "t"}),
    ("tokens.revoke", {"id": "<token>"}),
    ("tokens.create", {"owner": "p", "name": "u"}),
    ("tokens.revoke_since", {"since": 0}),
    ("services.rename", {"name": "s", "new_name": "s2"}),
    ("services.delete", {"name": "s2"}),
    ("users.rename", {"name": "p", "new_name": "p2"}),
    ("users.delete", {"name": "p2"}),
    ("mlflow.experiments.create", {"name": "e"}),
    ("mlflow.experiments.update", {"experiment_id": "1", "new_name": "f"}),
    ("mlflow.experiments.set-tag", {"experiment_id": "1", "key": "k", "value": "v"}),
    ("mlflow.experiments.delete-tag", {"experiment_id": "1", "key": "k"}),
    ("mlflow.experiments.delete", {"experiment_id": "1"}),
    ("mlflow.experiments.restore", {"experiment_id": "1"}),
    ("mlflow.runs.create", {"experiment_id": "1", "start_time": 1}),
    ("mlflow.runs.update", {"run_id": "<run>", "status": "FINISHED", "end_time": 2}),
    ("mlflow.runs.log-metric", {"run_id": "<run>", "key": "m", "value": 1.5, "timestamp": 1}),
    ("mlflow.runs.log-parameter", {"run_id": "<run>", "key": "p", "value": "v"}),
    ("mlflow.runs.log-batch", {"run_id": "<run>", "params": [{"key": "q", "value": "v"}]}),
    ("mlflow.runs.set-tag", {"run_id": "<run>", "key": "k", "value": "v"}),
    ("mlflow.runs.delete-tag", {"run_id": "<run>", "key": "k"}),
    ("mlflow.runs.log-inputs", {"run_id": "<run>", "datasets": [
        {"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}, "tags": []}]}),
    ("mlflow.runs.log-model", {"run_id": "<run>", "model_json": (
        '{"artifact_path":"model","run_id":"<run>","utc_time_created":"2026-01-01 00:00:00",'
        '"flavors":{"python_function":{}}}')}),
    ("logged_models.create", {"experiment_id": "1", "name": "l"}),
    ("mlflow.runs.outputs", {"run_id": "<run>", "models": [{"model_id": "<model>", "step": 1}]}),
    ("logged_models.log_params", {"model_id": "<model>", "params": [{"key": "p", "value": "v"}]}),
    ("logged_models.set_tags", {"model_id": "<model>", "tags": [{"key": "k", "value": "v"}]}),
    ("logged_models.delete_tag", {"model_id": "<model>", "tag_key": "k"}),
    ("logged_models.finalize", {"model_id": "<model>", "status": "LOGGED_MODEL_READY"}),
    ("artifacts.upload", {"artifact_path": "1/<run>/artifacts/a.txt"}),
    ("uploads.begin", {"path": "1/<run>/artifacts/c.bin", "size": 5}),
    ("uploads.put_part", {"id": "<upload>", "number": "1"}),
    ("uploads.complete", {"id": "<upload>"}),
    ("uploads.begin", {"path": "1/<run>/artifacts/d.bin", "size": 5}),
    ("uploads.abort", {"id": "<upload>"}),
    ("artifacts.create_parts", {"artifact_path": "1/<run>/artifacts", "path": "/x/e.bin", "num_parts": 1}),
    ("uploads.put_part", {"id": "<upload>", "number": "1"}),
    ("artifacts.complete_parts", {
        "artifact_path": "1/<run>/artifacts", "path": "/x/e.bin", "upload_id": "<upload>",
        "parts": [{"part_number": 1, "etag": "<etag>"}]}),
    ("artifacts.create_parts", {"artifact_path": "1/<run>/artifacts", "path": "/x/f.bin", "num_parts": 1}),
    ("artifacts.abort_parts", {"artifact_path": "1/<run>/artifacts", "path": "/x/f.bin", "upload_id": "<upload>"}),
    ("artifacts.upload_to_run", {"run_uuid": "<run>", "path": "b.txt"}),
    ("registered_models.create", {"name": "r"}),
    ("registered_models.update", {"name": "r", "description": "d"}),
    ("registered_models.set_tag", {"name": "r", "key": "k", "value": "v"}),
    ("registered_models.delete_tag", {"name": "r", "key": "k"}),
    ("model_versions.create", {"name": "r", "source": "mlflow-artifacts:/1/<run>/artifacts"}),
    ("model_versions.update", {"name": "r", "version": "1", "description": "d"}),
    ("model_versions.set_tag", {"name": "r", "version": "1", "key": "k", "value": "v"}),
    ("model_versions.delete_tag", {"name": "r", "version": "1", "key": "k"}),
    ("model_versions.transition_stage", {"name": "r", "version": "1", "stage": "Staging"}),
    ("registered_models.set_alias", {"name": "r", "version": "1", "alias": "a"}),
    ("registered_models.delete_alias", {"name": "r", "alias": "a"}),
    ("aliases.set", {"name": "r", "alias": "b", "version": 1}),
    ("aliases.delete", {"name": "r", "alias": "b"}),
    ("pushes.open", {}),
    ("versions.register", {"name": "r", "source": "mlflow-artifacts:/1/<run>/artifacts"}),
    ("versions.move", {"name": "r", "version": 1, "stage": "Production"}),
    ("versions.inspect", {"name": "r", "version": 1}),
    ("workspaces.set_download_policy", {"name": "default", "refuse_unsafe": True}),
    ("workspaces.set_audit", {"name": "default", "downloads": True}),
    ("versions.retire", {"name": "r", "version": 1}),
    ("versions.restore", {"name": "r", "version": 1}),
    ("retention.set_of_workspace", {"name": "default", "keep_last": 1}),
    ("retention.delete_of_workspace", {"name": "default"}),
    ("retention.set_of_model", {"name": "r", "keep_last": 1}),
    ("retention.delete_of_model", {"name": "r"}),
    ("holds.set", {"name": "r", "version": 1, "reason": "w"}),
    ("holds.lift", {"name": "r", "version": 1}),
    ("quotas.set", {"name": "default", "bytes": 1000000000}),
    ("quotas.lift", {"name": "default"}),
    ("model_versions.delete", {"name": "r", "version": "1"}),
    ("storage.collect", {"apply": True, "older_than_days": 0}),
    ("registered_models.rename", {"name": "r", "new_name": "s"}),
    ("registered_models.delete", {"name": "s"}),
    ("models.create", {"name": "t"}),
    ("mlflow_users.create", {"username": "m", "password": "correct horse battery"}),
    ("mlflow_users.update_password", {"username": "m", "password": "another fine password"}),
    ("mlflow_users.update_admin", {"username": "m", "is_admin": True}),
    ("mlflow_roles.create", {"name": "mr", "workspace": "default"}),
    ("mlflow_roles.update", {"role_id": "<role>", "name": "ms"}),
    ("mlflow_roles.add_permission", {
        "role_id": "<role>", "resource_type": "experiment", "resource_pattern": "*", "permission": "READ"}),
    ("mlflow_roles.update_permission", {"role_permission_id": "<permission>", "permission": "EDIT"}),
    ("mlflow_roles.assign", {"username": "m", "role_id": "<role>"}),
    ("mlflow_roles.unassign", {"username": "m", "role_id": "<role>"}),
    ("mlflow_roles.remove_permission", {"role_permission_id": "<permission>"}),
    ("mlflow_roles.delete", {"role_id": "<role>"}),
    ("mlflow_permissions.grant", {
        "username": "m", "resource_type": "workspace", "resource_id": "*", "permission": "READ"}),
    ("mlflow_permissions.revoke", {"username": "m", "resource_type": "workspace", "resource_id": "*"}),
    ("mlflow_workspace_permissions.set", {"workspace_name": "default", "username": "m", "permission": "READ"}),
    ("mlflow_workspace_permissions.delete", {"workspace_name": "default", "username": "m"}),
    ("mlflow_permissions.create_on_experiment", {"experiment_id": "0", "username": "m", "permission": "READ"}),
    ("mlflow_permissions.update_on_experiment", {"experiment_id": "0", "username": "m", "permission": "EDIT"}),
    ("mlflow_permissions.delete_on_experiment", {"experiment_id": "0", "username": "m"}),
    ("mlflow_permissions.create_on_model", {"name": "t", "username": "m", "permission": "READ"}),
    ("mlflow_permissions.update_on_model", {"name": "t", "username": "m", "permission": "EDIT"}),
    ("mlflow_permissions.delete_on_model", {"name": "t", "username": "m"}),
    ("mlflow_users.delete", {"username": "m"}),
    ("mlflow_workspaces.update", {"workspace_name": "default", "description": "d"}),
    ("roles.create", {"name": "nr"}),
    ("roles.change", {"role_id": "<role>", "name": "ns"}),
    ("roles.add_permission", {"role_id": "<role>", "verbs": ["read"]}),
    ("roles.change_permission", {"role_id": "<role>", "permission_id": "<permission>", "verbs": ["edit"]}),
    ("roles.remove_permission", {"role_id": "<role>", "permission_id": "<permission>"}),
    ("roles.delete", {"role_id": "<role>"}),
    ("assignments.create", {"principal": "user/admin", "role": "viewer"}),
    ("assignments.delete", {"id": "<assignment>"}),
    ("shares.create", {"name": "t", "workspace": "first", "expires_at": 32503680000000}),
    ("shares.delete", {"name": "t", "id": "<assignment>"}),
    ("models.retire", {"name": "t"}),
    ("models.restore", {"name": "t"}),
    ("artifacts.delete", {"artifact_path": "1/<run>/artifacts/a.txt"}),
    ("logged_models.delete", {"model_id": "<model>"}),
    ("mlflow.runs.delete", {"run_id": "<run>"}),
    ("mlflow.runs.restore", {"run_id": "<run>"}),
    ("services.create", {"name": "ci"}),
    (
        "issuers.trust",
        {"name": "i", "issuer": "https://i.example", "audience": "a", "service": "ci", "claims": {"sub": "s"}},
    ),
    ("issuers.drop", {"name": "i"}),
    ("logins.link", {"name": "admin", "issuer": "https://i.example", "subject": "s"}),
    ("sessions.sign_out", {"everywhere": True}),
]  # fmt: skip


def test_every_operation_names_a_permission_or_is_pinned_as_public() -> None:
    """Every operation has a permission of the list, but for at most six that are named here."""
    public = {operation.name for operation in OPERATIONS if operation.permission is PUBLIC}
    assert public == PUBLIC_OPERATIONS
    assert len(public) <= MOST_PUBLIC
    assert {operation.name for operation in OPERATIONS if isinstance(operation.permission, Signed)} == SIGNED_OPERATIONS
    others = [operation for operation in OPERATIONS if operation.name not in public | SIGNED_OPERATIONS]
    assert [operation.name for operation in others if not isinstance(operation.permission, Permission)] == []


def test_an_operation_without_a_permission_stops_the_start() -> None:
    """The server is not built from a table in which an operation names no permission."""
    check_permissions(governed(OPERATIONS))
    missing: Any = None
    planted = Operation("planted", PLAIN, (("GET", "/planted"),), NoInput, print, Mode.QUICK, missing)
    with pytest.raises(TypeError, match="planted names no permission"):
        check_permissions([*governed(OPERATIONS), planted])


def test_an_operation_about_nothing_known_stops_the_start() -> None:
    """The server is not built from a table in which it is not said what an operation is about."""
    planted = Operation("planted", PLAIN, (("GET", "/planted"),), NoInput, print, Mode.QUICK, Permission.MODEL_READ)
    with pytest.raises(TypeError, match="planted is not in the table"):
        check_permissions(governed([*OPERATIONS, planted]))


def test_what_changes_something_never_asks_for_reading_only() -> None:
    """An operation that runs as a write needs a permission that is not one to read, and the reverse."""
    for operation in OPERATIONS:
        reads = operation.permission is PUBLIC or str(operation.permission).endswith(":read")
        assert not (operation.mode is Mode.WRITE and reads), operation.name
        assert {method for method, _ in operation.routes} & {"GET", "POST"} or not reads, operation.name


def test_names_are_given_once() -> None:
    """Two operations never share a name, for logs, metrics and the OpenAPI document go by it."""
    assert [name for name, times in Counter(operation.name for operation in OPERATIONS).items() if times > 1] == []


def test_every_route_has_its_twin_with_the_same_operation() -> None:
    """What is under /api/2.0 or 3.0 of MLflow's wire is under /ajax-api too, as the same operation, and the reverse."""
    by_route = {(method, path): op.name for op in OPERATIONS for method, path in op.routes}
    mlflow = {route: name for route, name in by_route.items() if "/2.0/" in route[1] or "/3.0/" in route[1]}
    twins = {(method, swapped(path)): name for (method, path), name in mlflow.items()}
    lonely = {route for route, name in twins.items() if mlflow.get(route) != name}
    assert {swapped(path) for _, path in lonely} == ONE_PREFIX
    assert len(mlflow) > 100


def swapped(path: str) -> str:
    """The path under the other prefix."""
    if path.startswith("/ajax-api/"):
        return path.replace("/ajax-api/", "/api/", 1)
    return path.replace("/api/", "/ajax-api/", 1)


def test_head_is_wherever_get_is() -> None:
    """Each GET route is found for HEAD as well, as the same operation."""
    router = Router(OPERATIONS)
    for operation in OPERATIONS:
        for method, path in operation.routes:
            target = Route(operation, method, path).target({}).encode()
            if method == "GET":
                assert (found := router.find("HEAD", target)), path
                assert found[0] is operation


def test_what_a_request_requires_is_one_of_its_fields() -> None:
    """The required names and the names in a path are fields of the request they belong to."""
    for route in ROUTES:
        required = {*getattr(route.operation.request, "required", ()), *route.in_path}
        assert required <= {*route.fields}, str(route)


def test_every_operation_says_what_it_does() -> None:
    """Each has a summary and an answer type or none on purpose, and a limit for its body."""
    for operation in OPERATIONS:
        assert operation.summary, operation.name
        assert operation.summary[0].isupper(), operation.name
        assert not operation.summary.endswith("."), operation.name
        assert 0 < operation.body_limit <= 64 * 1024 * 1024, operation.name
        assert issubclass(operation.request, msgspec.Struct), operation.name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own."""
    with RunningServer(tmp_path_factory.mktemp("operations") / "data") as running:
        yield running


def journal(server: RunningServer) -> list[tuple[str, str, str, str]]:
    """Request, actor, workspace and kind of every entry of the journal, in order; but not what the worker did."""
    query = "SELECT request_id, actor, workspace, kind FROM journal WHERE request_id NOT LIKE 'job-%' ORDER BY id"
    with closing(sqlite3.connect(f"file:{server.data / 'modelkeep.db'}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def filled(value: Any, made: dict[str, str]) -> Any:
    """A value of a step with the ids of what earlier steps made."""
    text = msgspec.json.encode(value).decode()
    for name, real in made.items():
        text = text.replace(name, real)
    return msgspec.json.decode(text)


def perform(raw: Raw, name: str, values: dict[str, Any]) -> Reply:
    """Call an operation by its first route."""
    operation = next(one for one in OPERATIONS if one.name == name)
    method, target, body = Route(operation, *operation.routes[0]).call(values)
    reply = raw.json(method, target, body or b"bytes")
    assert reply.status in {200, 201, 202, 204}, (name, reply)
    return reply


def test_the_steps_are_all_there_are() -> None:
    """Every operation that can change something is among the steps, so that a new one cannot be forgotten."""
    assert {name for name, _ in STEPS} | UNTOLD == {operation.name for operation in CHANGING}
    assert {operation.name for operation in OPERATIONS if operation.mode is Mode.WRITE} <= {name for name, _ in STEPS}


def test_every_change_leaves_an_entry_and_no_reading_does(server: RunningServer) -> None:
    """Each changing call writes an entry with its request, caller and workspace; no reading call writes any."""
    made: dict[str, str] = {}
    with Raw(server.port, server.token) as raw:
        for name, values in STEPS:
            before = len(journal(server))
            reply = perform(raw, name, filled(values, made))
            if name == "mlflow.runs.create":
                made["<run>"] = reply.json["run"]["info"]["run_id"]
            if name == "logged_models.create":
                made["<model>"] = reply.json["model"]["info"]["model_id"]
            if name in {"uploads.begin", "artifacts.create_parts"}:
                made["<upload>"] = reply.json.get("id") or reply.json["upload_id"]
            if name in {"me.create_token", "tokens.create"}:
                made["<token>"] = reply.json["id"]
            if name in {"roles.create", "mlflow_roles.create"}:
                made["<role>"] = str(reply.json.get("role", reply.json)["id"])
            if name in {"roles.add_permission", "mlflow_roles.add_permission"}:
                made["<permission>"] = str(reply.json.get("role_permission", reply.json)["id"])
            if name in {"assignments.create", "shares.create"}:
                made["<assignment>"] = str(reply.json["id"])
            if name == "uploads.put_part":
                made["<etag>"] = reply.json["etag"]
            entries = journal(server)[before:]
            if name in UNTOLD:
                assert entries == []
                continue
            assert entries, f"{name} left no trace"
            assert {entry[:3] for entry in entries} == {(reply.headers["x-request-id"], "admin", "default")}, name
        before = len(journal(server))
        for route in (one for one in ROUTES if one.method in {"GET", "HEAD"}):
            raw.request(route.method, route.target({"version": "1"}))
        assert len(journal(server)) == before


def test_a_refused_change_leaves_no_entry_of_a_change(server: RunningServer) -> None:
    """A call that is refused half-way has changed nothing and is not recorded as if it had."""
    before = journal(server)
    with Raw(server.port, server.token) as raw:
        for operation in CHANGING:
            for method, path in operation.routes[:1]:
                reply = raw.json(method, Route(operation, method, path).target({}), b'{"name":')
                assert reply.status >= 400, operation.name
    assert journal(server) == before


def test_the_first_token_is_in_the_journal_without_its_secret(server: RunningServer) -> None:
    """The making of a token is recorded by its id."""
    assert "token.made" in [kind for _, _, _, kind in journal(server)]
