"""What somebody with rights on a few things can make of them: nothing of the others is reached (AZ-05 to AZ-13)."""

from collections.abc import Iterator
from typing import Any

import pytest

from security.governed import PROXY, RPC, Given, Governed
from security.raw import Reply

SECRET = b"of the victim 4f81"
LATER = 4_000_000_000_000


class Side:
    """A caller, and an experiment, run, logged model, registered model and files."""

    def __init__(self, registry: Governed, name: str) -> None:
        self.registry, self.name, self.token = registry, name, ""
        self.experiment_id = registry.post("experiments/create", name=name)["experiment_id"]
        run = registry.post("runs/create", experiment_id=self.experiment_id, start_time=1)["run"]["info"]
        self.run_id = run["run_id"]
        self.root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
        registry.put(f"{self.root}/a.txt", SECRET + name.encode())
        logged = registry.post("logged-models", experiment_id=self.experiment_id, name="logged")["model"]["info"]
        self.model_id = logged["model_id"]
        registry.put(logged["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/a.txt", SECRET + name.encode())
        self.id = registry.native("POST", "models", name=name)["id"]
        registry.post("model-versions/create", name=name, source=run["artifact_uri"])
        registry.post("registered-models/alias", name=name, alias="champion", version="1")

    def send(self, method: str, target: str, fields: Any = None) -> Reply:
        """A call by this side's caller."""
        return self.registry.send(method, target, fields, token=self.token)

    def rpc(self, rpc: str, **fields: Any) -> Reply:
        """A call over MLflow's wire."""
        return self.send("POST", RPC + rpc, fields)

    def readable(self) -> set[bytes]:
        """All that this side's caller can read now: lists, searches, and the files behind what they tell of."""
        found = {
            self.rpc("experiments/search", max_results=1000).body,
            self.rpc("runs/search", experiment_ids=[str(one) for one in range(6)]).body,
            self.rpc("logged-models/search", experiment_ids=[str(one) for one in range(6)]).body,
            self.send("GET", f"{RPC}registered-models/search").body,
            self.send("GET", f"{RPC}model-versions/search").body,
        }
        for version in self.send("GET", f"{RPC}model-versions/search").json.get("model_versions", []):
            for path in ("a.txt", "artifacts/a.txt", "model/a.txt"):
                name, number = version["name"], version["version"]
                query = f"?name={name}&version={number}&path={path}"
                found.add(self.send("GET", f"/model-versions/get-artifact{query}").body)
                found.add(self.send("GET", f"/api/v1/models/{name}/versions/{number}/preview?path={path}").body)
        return found


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """A registry that keeps what is done to it."""
    with Governed.start(tmp_path_factory.mktemp("isolation") / "data") as registry:
        yield registry


@pytest.fixture(scope="module")
def sides(registry: Governed) -> tuple[Side, Side]:
    """Somebody who may do everything with a model and an experiment, and what belongs to somebody else."""
    registry.native("POST", "workspaces", name="red")
    mine, theirs = Side(registry, "mine"), Side(registry, "victim")
    for side in (mine, theirs):
        registry.made[f"{side.name}_id"], registry.made[f"{side.name}_experiment"] = side.id, side.experiment_id
        given = [
            Given("manager", kind="model", of=f"{side.name}_id"),
            Given("manager", kind="experiment", of=f"{side.name}_experiment"),
        ]
        side.token = registry.user(f"owner-of-{side.name}", given=given)
    return mine, theirs


def journal(registry: Governed) -> int:
    """How many things have happened."""
    return len(registry.send("GET", "/api/v1/journal?limit=1000").json["items"])


def sources(victim: Side) -> list[str]:
    """Every way to say where a version's files are, about somebody else's."""
    return [
        f"runs:/{victim.run_id}",
        f"runs:/{victim.run_id}/a.txt",
        f"models:/{victim.name}/1",
        f"models:/{victim.name}@champion",
        f"models:/{victim.name}/latest",
        f"models:/{victim.model_id}",
        f"mlflow-artifacts:/{victim.root}",
        f"mlflow-artifacts:/{victim.root}/a.txt",
        f"mlflow-artifacts:///{victim.root}",
        f"mlflow-artifacts:/registered/{victim.id}/1",
    ]


def test_AZ_06_nothing_can_be_read_after_a_version_was_anchored_that_could_not_before(sides: tuple[Side, Side]) -> None:
    """CVE-2026-69148: a version of one's own model takes nothing from what one may not read, however it is named."""
    mine, victim = sides
    before = mine.readable()
    assert not any(SECRET + b"victim" in body for body in before)
    for source in sources(victim):
        anchored = [
            mine.rpc("model-versions/create", name="mine", source=source),
            mine.send("POST", "/api/v1/models/mine/versions", {"name": "mine", "source": source}),
        ]
        for reply in anchored:
            assert reply.status in {400, 404, 405} or SECRET not in b"".join(mine.readable() - before), (source, reply)
    own = f"mlflow-artifacts:/{mine.root}"
    for field in ({"run_id": victim.run_id}, {"model_id": victim.model_id}):
        assert mine.rpc("model-versions/create", name="mine", source=own, **field).status == 404, field
    assert not any(SECRET + b"victim" in body for body in mine.readable())


def test_AZ_06_an_absent_anchor_is_refused_as_a_hidden_one(sides: tuple[Side, Side]) -> None:
    """Somebody else's run, model or path in the store as a source gets the answer for one that never was."""
    mine, victim = sides
    never = {
        victim.run_id: "0" * 32,
        victim.model_id: "m-" + "0" * 32,
        victim.name: "nobody",
        victim.id: "1" * 32,
    }
    for source in sources(victim):
        other = source
        for old, new in never.items():
            other = other.replace(old, new)
        hidden = mine.rpc("model-versions/create", name="mine", source=source)
        absent = mine.rpc("model-versions/create", name="mine", source=other)
        assert told(hidden, {**never, source: other}) == told(absent, {}), source


def told(reply: Reply, names: dict[str, str]) -> tuple[int, str]:
    """Status and body of an answer, with names replaced; of a version, whether there is one."""
    if reply.status == 200:
        return 200, ""
    text = reply.body.decode().replace(reply.headers["x-request-id"], "")
    for old, new in names.items():
        text = text.replace(old, new)
    return reply.status, text


PARSED = [
    ("runs/set-tag", b'{"run_id": "%(mine)s", "run_uuid": "%(theirs)s", "key": "k", "value": "v"}'),
    ("runs/set-tag", b'{"run_uuid": "%(mine)s", "run_id": "%(theirs)s", "key": "k", "value": "v"}'),
    ("runs/set-tag", b'{"run_id": "%(mine)s", "run_id": "%(theirs)s", "key": "k", "value": "v"}'),
    ("runs/set-tag", b'{"run_id": "%(mine)s", "runId": "%(theirs)s", "key": "k", "value": "v"}'),
    ("runs/set-tag", b'{"runId": "%(theirs)s", "key": "k", "value": "v"}'),
    ("runs/set-tag", b'{"run_id": ["%(mine)s", "%(theirs)s"], "key": "k", "value": "v"}'),
    ("runs/set-tag", b'{"run_id": {"": "%(theirs)s"}, "key": "k", "value": "v"}'),
    ("runs/set-tag", b'{"run_id": "%(mine)s", "run\\u005fid": "%(theirs)s", "key": "k", "value": "v"}'),
    ("runs/set-tag?run_id=%(theirs)s", b'{"run_id": "%(mine)s", "key": "k", "value": "v"}'),
    ("runs/set-tag?run_id=%(mine)s", b'{"run_id": "%(theirs)s", "key": "k", "value": "v"}'),
    ("runs/set-tag?run_uuid=%(theirs)s", b'{"run_id": "%(mine)s", "key": "k", "value": "v"}'),
    ("runs/set-tag", b"run_id=%(theirs)s&key=k&value=v"),
    ("runs/set-tag", b'"{\\"run_id\\": \\"%(theirs)s\\", \\"key\\": \\"k\\", \\"value\\": \\"v\\"}"'),
    ("runs/set-tag?run_id=%(mine)s&run_id=%(theirs)s&key=k&value=v", b""),
    ("runs/set-tag?run_id=%(theirs)s&key=k&value=v", b""),
]


@pytest.mark.parametrize("number", range(len(PARSED)))
def test_AZ_05_a_request_that_could_be_read_two_ways_changes_nothing_of_others(
    sides: tuple[Side, Side], number: int
) -> None:
    """Two names of a field, doubled keys, query against body, lists for one: refused, or about one's own."""
    mine, victim = sides
    target, body = PARSED[number]
    ids = {"mine": mine.run_id, "theirs": victim.run_id}
    before = journal(mine.registry)
    reply = mine.send(
        "POST", RPC + target % ids, body % {k.encode(): v.encode() for k, v in ids.items()} if body else None
    )
    items = mine.registry.send("GET", "/api/v1/journal?limit=1000").json["items"][: journal(mine.registry) - before]
    assert victim.run_id not in {one["resource"].rpartition("/")[2] for one in items}, reply
    assert tags_of(victim) == [], reply
    if reply.status != 200:
        reply.problem()


def tags_of(side: Side) -> list[Any]:
    """The tags of a side's run, as the administrator sees them."""
    run = side.registry.send("GET", f"{RPC}runs/get?run_id={side.run_id}").json["run"]
    return [one for one in run["data"].get("tags", []) if one["key"] == "k"]


def test_AZ_05_two_names_in_a_query_are_refused(sides: tuple[Side, Side]) -> None:
    """A GET that names two models is about neither."""
    mine, victim = sides
    for target in (
        f"{RPC}registered-models/get?name=mine&name=victim",
        f"{RPC}runs/get?run_id={mine.run_id}&run_id={victim.run_id}",
        f"/get-artifact?path=a.txt&run_uuid={mine.run_id}&run_uuid={victim.run_id}",
        "/api/v1/models/mine?name=victim",
    ):
        reply = mine.send("GET", target)
        assert reply.refused(400)


def test_AZ_09_bytes_are_not_had_by_their_digest(sides: tuple[Side, Side]) -> None:
    """Whoever knows a digest has nothing by it: no route gives the bytes, and an upload of them is like any other."""
    mine, victim = sides
    listed = victim.send("GET", "/api/v1/models/victim/versions/1/manifest").json
    digest = listed["files"][0]["sha256"]
    size = listed["files"][0]["size"]
    for target in (f"/api/v1/signed/blobs/{digest}/{size}/a.txt?link=x", f"/api/v1/signed/blobs/{digest}/{size}/a.txt"):
        assert mine.send("GET", target).status in {400, 401}
    fields = {"name": "mine", "source": f"mlflow-artifacts:/{mine.root}", "digest": digest}
    assert mine.send("POST", "/api/v1/models/mine/versions", fields).status in {400, 409}
    known = mine.registry.wire.call("PUT", f"{PROXY}{mine.root}/k.txt", SECRET + b"victim", token=mine.token)
    fresh = mine.registry.wire.call("PUT", f"{PROXY}{mine.root}/f.txt", SECRET + b"nobody", token=mine.token)
    assert (known.status, known.body, known.headers.keys()) == (fresh.status, fresh.body, fresh.headers.keys())
    assert mine.send("DELETE", f"{PROXY}{mine.root}/k.txt").status == 200


def test_AZ_12_a_batch_with_one_forbidden_thing_does_nothing(sides: tuple[Side, Side]) -> None:
    """Metrics of one's own run that name somebody else's logged model are all refused; none is written."""
    mine, victim = sides
    metrics = [
        {"key": "acc", "value": 1, "timestamp": 1, "model_id": mine.model_id},
        {"key": "acc", "value": 2, "timestamp": 2, "model_id": victim.model_id},
    ]
    assert mine.rpc("runs/log-batch", run_id=mine.run_id, metrics=metrics).status == 404
    assert mine.send("GET", f"{RPC}runs/get?run_id={mine.run_id}").json["run"]["data"].get("metrics", []) == []
    outputs = [{"model_id": mine.model_id, "step": 0}, {"model_id": victim.model_id, "step": 0}]
    assert mine.rpc("runs/outputs", run_id=mine.run_id, models=outputs).status == 404
    bulk = f"{RPC}metrics/get-history-bulk?metric_key=acc&run_id={mine.run_id}&run_id="
    assert mine.send("GET", bulk + victim.run_id).json == mine.send("GET", bulk + "0" * 32).json


ESCALATIONS = [
    ("POST", "assignments", {"principal": "user/owner-of-mine", "role": "administrator"}),
    ("POST", "assignments", {"principal": "user/owner-of-mine", "role": "administrator", "workspace": "*"}),
    ("POST", "assignments", {"principal": "user/owner-of-mine", "role": "viewer", "model": "victim"}),
    ("POST", "assignments", {"principal": "user/owner-of-mine", "role": "viewer", "kind": "model", "pattern": "vic*"}),
    ("POST", "assignments", {"principal": "user/owner-of-mine", "role": "manager", "workspace": "red"}),
    (
        "POST",
        "assignments",
        {"principal": "user/owner-of-mine", "role": "manager", "model": "mine", "experiment": "victim"},
    ),
    ("POST", "assignments", {"principal": "user/owner-of-mine", "role": "manager", "model": "mine", "workspace": "*"}),
    ("POST", "roles", {"name": "mine"}),
    ("POST", "roles", {"name": "mine", "everywhere": True}),
    ("PATCH", "users/owner-of-mine", {"is_admin": True}),
    ("PATCH", "users/owner-of-mine", {"disabled": False}),
    ("PUT", "users/admin/password", {"password": "battery staple correct horse"}),
    ("POST", "users", {"name": "x", "is_admin": True}),
    ("POST", "tokens", {"owner": "admin", "name": "x"}),
    ("POST", "me/tokens", {"name": "x", "service": "admin"}),
    ("POST", "me/tokens", {"name": "x", "user_id": "admin"}),
    ("POST", "models/victim/shares", {"workspace": "red", "expires_at": LATER}),
    ("POST", "issuers", {"name": "x", "issuer": "https://x.example", "audience": "a", "service": "s", "claims": {}}),
    ("PUT", "groups/staff/members/owner-of-mine", {}),
]


@pytest.mark.parametrize("number", range(len(ESCALATIONS)))
def test_AZ_13_nobody_gives_themselves_more(sides: tuple[Side, Side], number: int) -> None:
    """Who manages one model gives out nothing but that: roles, tokens, shares and accounts beyond it are refused."""
    mine, _ = sides
    method, path, fields = ESCALATIONS[number]
    before = mine.registry.send("GET", "/api/v1/access/effective?user=owner-of-mine").json
    reply = mine.send(method, f"/api/v1/{path}", fields)
    reply.problem()
    assert mine.registry.send("GET", "/api/v1/access/effective?user=owner-of-mine").json == before
    assert mine.send("GET", "/api/v1/models/victim").status == 404


EXTRA = {
    "created_by": "admin",
    "actor": "admin",
    "user_id": "u-0",
    "workspace": "red",
    "stage": "Production",
    "current_stage": "Production",
    "aliases": ["champion"],
    "id": "0" * 32,
    "digest": "0" * 64,
    "approved_by": "admin",
    "creation_timestamp": 1,
    "created_at": 1,
    "is_admin": True,
    "version": "77",
    "origin": "kept",
}


@pytest.mark.parametrize("field", EXTRA)
def test_AZ_13_fields_that_are_the_server_s_to_set_are_not_taken_from_a_body(
    sides: tuple[Side, Side], field: str
) -> None:
    """What a client adds about who, when, where and in which state is refused or makes no difference."""
    mine, _ = sides
    own = f"mlflow-artifacts:/{mine.root}"
    made = mine.rpc("model-versions/create", name="mine", source=own, **{field: EXTRA[field]})
    if made.status == 200:
        version = made.json["model_version"]
        shown = mine.send("GET", f"/api/v1/models/mine/versions/{version['version']}").json
        assert str(EXTRA[field]) not in {str(shown.get(name)) for name in ("created_by", "stage", "version", "digest")}
        assert "aliases" not in version or version["aliases"] == []
        assert shown["created_by"] == "owner-of-mine"
    native = mine.send("POST", "/api/v1/models/mine/versions", {"source": own, field: EXTRA[field]})
    assert native.problem()


def test_AZ_13_a_token_of_one_s_own_can_do_no_more_than_the_one_that_made_it(sides: tuple[Side, Side]) -> None:
    """From a token that only reads, another is made that only reads; wider ones are refused."""
    mine, _ = sides
    narrow = mine.send("POST", "/api/v1/me/tokens", {"name": "reading", "verbs": ["read"]}).json["token"]
    send = mine.registry.send
    for fields in ({}, {"verbs": ["read", "edit"]}, {"verbs": ["manage"]}, {"verbs": []}, {"days": 365}):
        wider = send("POST", "/api/v1/me/tokens", {"name": "x", **fields}, token=narrow)
        if wider.status == 201:
            assert wider.json.get("verbs") in (["read"], []), wider.json
        else:
            wider.problem()
    assert send("DELETE", "/api/v1/models/mine", token=narrow).status == 403


def test_a_push_is_its_maker_s_alone(sides: tuple[Side, Side]) -> None:
    """Whatever else they may do, nobody sees, adds to or registers a push that somebody else has opened."""
    mine, _ = sides
    registry = mine.registry
    other = registry.user("contributor", given=[Given("contributor")])
    push = registry.native("POST", "pushes")
    path = push["path"]
    registry.put(f"{path}/a.txt", SECRET)
    calls = [
        ("GET", f"/api/v1/pushes/{push['id']}", None),
        ("GET", f"/api/v1/pushes/{push['id']}/files", None),
        ("GET", f"{PROXY}{path}/a.txt", None),
        ("PUT", f"{PROXY}{path}/planted.txt", b"planted"),
        ("PUT", f"{PROXY}{path}/a.txt", b"planted"),
        ("DELETE", f"{PROXY}{path}/a.txt", None),
        ("POST", "/api/v1/uploads", {"path": f"{path}/planted.txt", "size": 1}),
        ("POST", "/api/v1/models/mine/versions", {"source": push["source"]}),
        ("POST", RPC + "model-versions/create", {"name": "mine", "source": push["source"]}),
        ("GET", f"/api/v1/resolve?uri={push['source']}", None),
    ]
    for method, target, fields in calls:
        reply = registry.send(method, target, fields, token=other)
        # To delete what is not there is fine, and so is a version on MLflow's wire of files that are not there.
        absent = {200} if method == "DELETE" or target.startswith(RPC) else {400, 404}
        assert reply.status in absent, (method, target, reply)
        assert SECRET not in reply.body
    files = registry.send("GET", f"/api/v1/pushes/{push['id']}/files").json
    assert [one["path"] for one in files["items"]] == ["a.txt"]


def test_AZ_11_a_new_thing_of_an_old_name_has_none_of_its_grants(registry: Governed, sides: tuple[Side, Side]) -> None:
    """CVE-2026-14113: grants follow a model through its rename; a new model or user of the old name has none."""
    registry.made["followed"] = registry.native("POST", "models", name="followed")["id"]
    reader = registry.user("reader", given=[Given("viewer", kind="model", of="followed")])
    registry.post("registered-models/rename", name="followed", new_name="moved")
    assert registry.send("GET", "/api/v1/models/moved", token=reader).status == 200
    registry.native("POST", "models", name="followed")
    assert registry.send("GET", "/api/v1/models/followed", token=reader).status == 404
    registry.native("DELETE", "models/moved")
    registry.native("POST", "models", name="moved")
    assert registry.send("GET", "/api/v1/models/moved", token=reader).status == 404
    registry.native("DELETE", "users/reader")
    again = registry.user("reader")
    registry.app.forget_rights()
    assert registry.send("GET", "/api/v1/models/moved", token=again).status == 404
    assert registry.send("GET", "/api/v1/me", token=reader).status == 401


def test_AZ_11_a_renamed_experiment_keeps_its_readers_and_a_new_one_has_none(registry: Governed) -> None:
    """CVE-2026-14094: what was given on an experiment stays with its id."""
    registry.made["lab"] = registry.post("experiments/create", name="lab")["experiment_id"]
    reader = registry.user("lab-reader", given=[Given("viewer", kind="experiment", of="lab")])
    registry.post("experiments/update", experiment_id=registry.made["lab"], new_name="lab-2")
    registry.post("experiments/create", name="lab")
    by_name = f"{RPC}experiments/get-by-name?experiment_name="
    assert registry.send("GET", by_name + "lab-2", token=reader).status == 200
    assert registry.send("GET", by_name + "lab", token=reader).status == 404


def test_AZ_16_what_a_registered_version_holds_is_changed_by_no_route(sides: tuple[Side, Side]) -> None:
    """Files of a version are read-only on every route that writes or deletes files, for its manager too."""
    mine, _ = sides
    root = mine.send("GET", f"{RPC}model-versions/get-download-uri?name=mine&version=1").json["artifact_uri"]
    path = root.removeprefix("mlflow-artifacts:/")
    for method, target, body in (
        ("PUT", f"{PROXY}{path}/a.txt", b"x"),
        ("DELETE", f"{PROXY}{path}/a.txt", b""),
        ("PUT", f"/ajax{PROXY[4:]}{path}/a.txt", b"x"),
    ):
        reply = mine.registry.wire.call(method, target.replace("/ajax/", "/ajax-api/"), body, token=mine.token)
        assert reply.status in {400, 403, 404, 409}, reply
    begun = mine.send("POST", "/api/v1/uploads", {"path": f"{path}/a.txt", "size": 1})
    assert begun.status in {400, 403, 409}
    assert mine.send("GET", f"{PROXY}{path}/a.txt").body == SECRET + b"mine"
