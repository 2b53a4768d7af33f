"""Places in the artifact store that belong to somebody else are as places that never were (AZ-06)."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from modelkeep import audit
from modelkeep.core.types import SYSTEM
from security.governed import PROXY, RPC, Given, Governed
from security.raw import Reply

SECRET = b"a secret of somebody else"
REGISTERED = "mlflow-artifacts:/registered"


@dataclass
class Places:
    """A registry, somebody who owns a model and an experiment on it, and what is hidden from them."""

    registry: Governed
    token: str
    run_id: str
    root: str
    model_id: str
    push: dict[str, str]

    def ask(self, method: str, target: str, fields: Any = None) -> Reply:
        """A call of hers."""
        return self.registry.send(method, target, fields, token=self.token)

    def never(self, text: str) -> str:
        """The same with ids that nothing has."""
        for known in (self.run_id, self.model_id, self.push["id"]):
            text = text.replace(known, "0" * 32)
        return text

    def told(self, reply: Reply) -> tuple[int, bytes]:
        """What an answer says, but for ids and when."""
        text = self.never(reply.body.decode()).replace(reply.headers["x-request-id"], "")
        return reply.status, re.sub(r"0{32}|[0-9a-f]{32}|\d{13}|\"version\": ?\"?\d+\"?", "", text).encode()

    def pair(self, method: str, target: str, fields: Any = None) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
        """What is answered about the hidden place and about one that never was."""
        other = json.loads(self.never(json.dumps(fields))) if isinstance(fields, dict) else fields
        hidden, absent = self.ask(method, target, fields), self.ask(method, self.never(target), other)
        assert SECRET not in hidden.body
        return self.told(hidden), self.told(absent)

    def refusals(self) -> list[tuple[str, str, bool]]:
        """Operation, resource and whether it was hidden of every refusal, once what is behind answers is done."""
        self.registry.app.hidden_refusals.write(self.registry.app.database)
        chosen = audit.Selection(everywhere=True, outcome="refused", kind="access.refused")
        rows = self.registry.app.database.read_now(SYSTEM, lambda tx: audit.search(tx, chosen, 2**63 - 1, 1000))
        said = [(json.loads(row.data), row.resource) for row in rows[::-1]]
        return [(data["operation"], resource, data["hidden"]) for data, resource in said]


@pytest.fixture
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """A registry where somebody else has a run with a file, a version of it, and an open push."""
    with Governed.start(tmp_path_factory.mktemp("hidden") / "data") as registry:
        run = registry.post("runs/create", experiment_id="0", start_time=1)["run"]["info"]
        root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
        registry.put(f"{root}/a.txt", SECRET)
        model_id = registry.native("POST", "models", name="theirs")["id"]
        registry.post("model-versions/create", name="theirs", source=run["artifact_uri"])
        push = registry.native("POST", "pushes")
        registry.put(f"{push['path']}/a.txt", SECRET)
        registry.made["mine"] = registry.native("POST", "models", name="mine")["id"]
        registry.made["lab"] = registry.post("experiments/create", name="lab")["experiment_id"]
        given = [Given("manager", kind="model", of="mine"), Given("manager", kind="experiment", of="lab")]
        token = registry.user("ann", given=given)
        yield Places(registry, token, run["run_id"], root, model_id, push)


def hidden_paths(places: Places) -> list[str]:
    """A folder of each kind that is not hers."""
    return [places.root, places.push["path"], f"registered/{places.model_id}/1"]


def test_AZ_06_a_hidden_path_is_answered_as_one_that_never_was(places: Places) -> None:
    """Every artifact call on files of a run, push or version of somebody else's gets the answer for absent ones."""
    for path in hidden_paths(places):
        for method, target, fields in (
            ("GET", f"{PROXY}{path}/a.txt", None),
            ("HEAD", f"{PROXY}{path}/a.txt", None),
            ("GET", f"{PROXY[:-1]}?path={path}", None),
            ("PUT", f"{PROXY}{path}/a.txt", b"planted"),
            ("PUT", f"{PROXY}{path}/b.txt", b"planted"),
            ("DELETE", f"{PROXY}{path}/a.txt", None),
            ("DELETE", f"{PROXY}{path}", None),
            ("POST", "/api/v1/uploads", {"path": f"{path}/c.bin", "size": 1}),
            ("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{path}", {"path": "c.bin", "num_parts": 1}),
        ):
            hidden, absent = places.pair(method, target, fields)
            assert hidden == absent, (method, target)
    assert places.registry.send("GET", f"{PROXY}{places.root}/a.txt").body == SECRET
    assert places.registry.send("GET", f"{PROXY}{places.push['path']}/a.txt").body == SECRET


def test_AZ_06_a_hidden_path_as_a_source_is_as_one_that_never_was(places: Places) -> None:
    """A version of a hidden place is made, or refused, as one of an absent place, and serves nothing of it."""
    for path in hidden_paths(places):
        for source in (f"mlflow-artifacts:/{path}", f"mlflow-artifacts:/{path}/a.txt", f"mlflow-artifacts:///{path}"):
            for target in (f"{RPC}model-versions/create", "/api/v1/models/mine/versions"):
                fields = {"source": source} | ({"name": "mine"} if "create" in target else {})
                hidden, absent = places.pair("POST", target, fields)
                assert hidden == absent, (target, source)
    for number in range(1, 40):
        page = places.ask("GET", f"/model-versions/get-artifact?name=mine&version={number}&path=a.txt")
        assert page.status in {404, 409} and SECRET not in page.body, page
        assert SECRET not in places.ask("GET", f"/model-versions/get-artifact?name=mine&version={number}&path=").body
    assert places.registry.native("GET", f"pushes/{places.push['id']}")["id"] == places.push["id"]


def test_AZ_06_a_version_of_no_files_serves_none_that_come_later(places: Places) -> None:
    """What lies where an external version's files would be is not read through the version: it was never part of it."""
    registry = places.registry
    run = registry.post("runs/create", experiment_id=registry.made["lab"], start_time=1)["run"]["info"]
    assert (
        places.ask("POST", f"{RPC}model-versions/create", {"name": "mine", "source": run["artifact_uri"]}).status == 200
    )
    registry.put(run["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/late.txt", SECRET)
    page = places.ask("GET", "/model-versions/get-artifact?name=mine&version=1&path=late.txt")
    assert (page.status, SECRET in page.body) == (409, False)


def test_AL_01_what_was_hidden_behind_an_answer_is_an_entry(places: Places) -> None:
    """Looking at, deleting from and registering what is hidden leaves a refusal each; with absent things, none."""
    model, push = f"registered-model/{places.model_id}", places.push["id"]
    for method, target, fields in (
        ("GET", f"/api/v1/pushes/{push}", None),
        ("PUT", f"{PROXY}{places.push['path']}/a.txt", b"planted"),
        ("DELETE", f"{PROXY}{places.root}/a.txt", None),
        ("POST", f"{RPC}model-versions/create", {"name": "mine", "source": f"mlflow-artifacts:/{places.root}"}),
        ("POST", f"{RPC}model-versions/create", {"name": "mine", "source": places.push["source"]}),
        ("POST", f"{RPC}model-versions/create", {"name": "mine", "source": f"{REGISTERED}/{places.model_id}/1"}),
    ):
        places.pair(method, target, fields)
        places.refusals()
    assert places.refusals() == [
        ("pushes.show", f"push/{push}", True),
        ("artifacts.upload", f"push/{push}", True),
        ("artifacts.delete", "experiment/0", True),
        ("model_versions.create", "experiment/0", True),
        ("model_versions.create", f"push/{push}", True),
        ("model_versions.create", model, True),
    ]


def test_AZ_11_a_new_user_of_an_old_name_has_none_of_the_old_one_s_pushes(places: Places) -> None:
    """A push stays with the lasting id of who opened it: whoever is made later under their name does not see it."""
    registry = places.registry
    first = registry.user("ben", given=[Given("contributor")])
    push = registry.send("POST", "/api/v1/pushes", {}, token=first).json
    assert registry.send("PUT", f"{PROXY}{push['path']}/a.txt", SECRET, token=first).status == 200
    registry.native("DELETE", "users/ben")
    again = registry.user("ben", given=[Given("contributor")])
    registry.app.forget_rights()
    for target in (
        f"/api/v1/pushes/{push['id']}",
        f"/api/v1/pushes/{push['id']}/files",
        f"{PROXY}{push['path']}/a.txt",
    ):
        assert registry.send("GET", target, token=again).status == 404, target
    planted = registry.send("PUT", f"{PROXY}{push['path']}/b.txt", b"planted", token=again)
    assert planted.status == 404, planted
