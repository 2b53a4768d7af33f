"""Two workspaces with things of the same names: nothing of one can be seen or changed from the other (AZ-04, AZ-06)."""

from collections.abc import Iterator
from typing import Any

import pytest

from security.raw import Headers, Raw, Reply
from security.table import ROUTES, Route, encoded
from servers import RunningServer

RPC = "/api/2.0/mlflow/"
PROXY = "/api/2.0/mlflow-artifacts/artifacts/"
NEVER = {
    "experiment_id": "987654321",
    "run_id": "0123456789abcdef0123456789abcdef",
    "run_uuid": "0123456789abcdef0123456789abcdef",
    "model_id": "m-0123456789abcdef0123456789abcdef",
    "name": "never-made",
    "experiment_name": "never-made",
    "root": "987654321/0123456789abcdef0123456789abcdef/artifacts",
}
# Where the field names what is to be made, every name is free in a workspace that has it not.
NEW_NAMES = {
    (f"{noun}.create", "name")
    for noun in (
        "mlflow.experiments",
        "registered_models",
        "models",
        "logged_models",
        "workspaces",
        "mlflow_workspaces",
        "users",
        "services",
        "groups",
        "tokens",
        "roles",
        "mlflow_roles",
    )
} | {("me.create_token", "name"), ("issuers.trust", "name"), ("roles.change", "name")}
EMPTY = [{}, {"model_versions": []}, {"metrics": []}]
IDS = ["experiment_id", "run_id", "model_id", "name", "experiment_name"]


class Tenant:
    """A caller in one workspace, and what was made there."""

    def __init__(self, raw: Raw, workspace: str) -> None:
        self.raw = raw
        self.headers: Headers = [(b"X-MLFLOW-WORKSPACE", workspace.encode())]
        self.made: dict[str, str] = {}

    def send(self, method: str, target: str, fields: Any = None) -> Reply:
        """A call, with a JSON body where there are fields."""
        if fields is None:
            return self.raw.request(method, target, headers=self.headers)
        return self.raw.json(method, target, fields, self.headers)

    def post(self, rpc: str, **fields: Any) -> Any:
        """A call over MLflow's wire that must succeed."""
        reply = self.send("POST", RPC + rpc, fields)
        assert reply.status == 200, reply
        return reply.json

    def furnish(self, own: str) -> None:
        """An experiment, run, logged model and file, registered models of an own and a shared name."""
        made = self.made
        made["experiment_name"] = made["name"] = own
        for name in (own, "shared"):
            made["experiment_id"] = self.post("experiments/create", name=name)["experiment_id"]
            self.post("registered-models/create", name=name, description=f"of {own}")
        run = self.post("runs/create", experiment_id=made["experiment_id"], start_time=1)["run"]["info"]
        made["run_id"] = made["run_uuid"] = run["run_id"]
        made["root"] = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
        assert self.raw.request("PUT", f"{PROXY}{made['root']}/a.txt", own.encode(), self.headers).status == 200
        logged = self.post("logged-models", experiment_id=made["experiment_id"], name="logged")["model"]["info"]
        made["model_id"] = logged["model_id"]
        for name in (own, "shared"):
            self.post("model-versions/create", name=name, source=run["artifact_uri"])


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tenant, Tenant]]:
    """Two furnished workspaces on one server."""
    folder = tmp_path_factory.mktemp("workspaces")
    with RunningServer(folder / "data") as server, Raw(server.port, server.token) as raw:
        pair = Tenant(raw, "blue"), Tenant(raw, "red")
        for name, tenant in zip(("blue", "red"), pair, strict=True):
            assert raw.json("POST", "/api/v1/workspaces", {"name": name}).status == 201
            tenant.furnish(f"only-{name}")
        # Numbers of experiments are counted in each workspace: let one have numbers that the other has not.
        for number in range(20):
            pair[1].made["experiment_id"] = pair[1].post("experiments/create", name=f"more-{number}")["experiment_id"]
        yield pair


def same_words(reply: Reply, replaced: dict[str, str]) -> tuple[int, str]:
    """Status and body of a refusal, with its request's id and the given names taken out."""
    text = reply.body.decode().replace(reply.headers["x-request-id"], "")
    for value in sorted(replaced.values(), key=len, reverse=True):
        text = text.replace(value, "*")
    return reply.status, text


def routes_with(field: str) -> list[Route]:
    """The routes that take this id, each once."""
    return [
        route
        for route in ROUTES
        if route.method != "HEAD"
        and field in route.fields
        and not route.path.startswith("/ajax-api/2.0/mlflow/")
        and (route.operation.name, field) not in NEW_NAMES
    ]


GOOD = {"version": "1", "path": "a.txt", "key": "k", "alias": "al", "value": "v", "stage": "Staging", "metric_key": "m",
        "artifact_file_path": "a.txt", "tag_key": "k", "new_name": "x", "status": "LOGGED_MODEL_READY", "source": "s3://b/c",
        "model_json": "{}", "artifact_directory_path": ""}  # fmt: skip


def called(tenant: Tenant, route: Route, field: str, value: str) -> Reply:
    """Call the route with this id, and good values in the other fields where the route needs them."""
    needed = {*route.in_path, *getattr(route.operation.request, "required", ()), "version", "path"} & {*route.fields}
    values: dict[str, Any] = {name: GOOD[name] for name in needed if name in GOOD}
    if "int" in str(route.fields.get("version", "")) and "version" not in route.in_path:
        values["version"] = 1
    values[field] = [value] if "list" in str(route.fields[field]) else value
    method, target, body = route.call(values)
    return tenant.raw.json(method, target, body or b"", tenant.headers)


@pytest.mark.parametrize("field", IDS)
def test_AZ_04_what_another_workspace_has_is_answered_as_what_never_was(
    tenants: tuple[Tenant, Tenant], field: str
) -> None:
    """On every route, an id of the other workspace gets exactly the answer that an id gets that never existed."""
    blue, red = tenants
    for route in routes_with(field):
        foreign = called(blue, route, field, red.made[field])
        never = called(blue, route, field, NEVER[field])
        assert same_words(foreign, red.made) == same_words(never, NEVER), str(route)
        assert foreign.status >= 400 or foreign.json in EMPTY, (str(route), foreign)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_AZ_04_files_of_another_workspace_are_not_there(tenants: tuple[Tenant, Tenant], method: str) -> None:
    """The artifact proxy knows no file of another workspace, neither to read nor to write nor to remove."""
    blue, red = tenants
    body = b"planted" if method == "PUT" else b""
    foreign = blue.raw.request(method, f"{PROXY}{red.made['root']}/a.txt", body, blue.headers)
    never = blue.raw.request(method, f"{PROXY}{NEVER['root']}/a.txt", body, blue.headers)
    assert foreign.status == never.status
    assert b"only-red" not in foreign.body
    assert red.send("GET", f"{PROXY}{red.made['root']}/a.txt").body == b"only-red"


def test_AZ_04_nobody_reaches_a_workspace_through_the_default_one(tenants: tuple[Tenant, Tenant]) -> None:
    """Without the header, a caller is in `default`, where nothing of either workspace is."""
    blue, red = tenants
    for tenant in (blue, red):
        assert blue.raw.request("GET", f"{PROXY}{tenant.made['root']}/a.txt").status == 404
        assert blue.raw.request("GET", f"{RPC}runs/get?run_id={tenant.made['run_id']}").status == 404
        assert blue.raw.request("GET", f"/api/v1/models/{tenant.made['name']}").status == 404


def test_the_same_name_is_another_thing_in_each_workspace(tenants: tuple[Tenant, Tenant]) -> None:
    """Models and experiments of one name live side by side, each with its own text, versions and files."""
    for own, tenant in zip(("only-blue", "only-red"), tenants, strict=True):
        assert tenant.send("GET", "/api/v1/models/shared").json["description"] == f"of {own}"
        served = tenant.send("GET", "/model-versions/get-artifact?name=shared&version=1&path=a.txt")
        assert served.body == own.encode()
    experiments = {t.send("GET", f"{RPC}experiments/get-by-name?experiment_name=shared").body for t in tenants}
    assert len(experiments) == 2


def test_lists_show_one_workspace_only(tenants: tuple[Tenant, Tenant]) -> None:
    """A list of models holds those of the caller's workspace and no others."""
    for own, tenant in zip(("only-blue", "only-red"), tenants, strict=True):
        assert [one["name"] for one in tenant.send("GET", "/api/v1/models").json["items"]] == [own, "shared"]


def test_CVE_2026_69148_a_version_cannot_be_anchored_elsewhere(tenants: tuple[Tenant, Tenant]) -> None:
    """A version of one's own model cannot take its files from a run, model or folder of another workspace."""
    blue, red = tenants
    sources = [
        f"runs:/{red.made['run_id']}/",
        f"runs:/{red.made['run_id']}/a.txt",
        f"models:/{red.made['model_id']}",
        "models:/only-red/1",
        f"mlflow-artifacts:/{red.made['root']}",
        f"mlflow-artifacts:/{red.made['root']}/a.txt",
    ]
    for source in sources:
        reply = blue.send("POST", RPC + "model-versions/create", {"name": "only-blue", "source": source})
        if reply.status == 200:
            number = reply.json["model_version"]["version"]
            for path in ("a.txt", "artifacts/a.txt", ""):
                got = blue.send(
                    "GET", f"/model-versions/get-artifact?name=only-blue&version={number}&path={encoded(path)}"
                )
                assert got.status >= 400, (source, got)
            assert blue.send("GET", f"/api/v1/models/only-blue/versions/{number}").json["origin"] == "external"
        else:
            assert reply.status in {400, 404}, (source, reply)


@pytest.mark.parametrize("name", ["green", "BLUE", "blue ", "blue/", "../red", "", "%62lue", "x" * 10_000])
def test_an_unknown_workspace_is_not_there(tenants: tuple[Tenant, Tenant], name: str) -> None:
    """A header that names no workspace is refused as not found on every face; only an empty one means the default."""
    raw = tenants[0].raw
    for target in ("/api/v1/models", RPC + "experiments/get?experiment_id=0", PROXY + "x"):
        reply = raw.request("GET", target, headers=[(b"X-MLFLOW-WORKSPACE", name.encode())])
        if name.strip() in {"", "blue"}:
            assert reply.status in {200, 404}
        else:
            reply.refused(404)


@pytest.mark.parametrize("name", ["", "Upper", "a_b", "a/b", "..", "-a", "a-", "a" * 64, "ü", "a\nb", "default"])
def test_a_workspace_has_a_plain_name(tenants: tuple[Tenant, Tenant], name: str) -> None:
    """Names that would not be one plain segment of an address are refused, and so is one that is taken."""
    reply = tenants[0].raw.json("POST", "/api/v1/workspaces", {"name": name})
    reply.refused(409 if name == "default" else 400)
