"""`modelkeep artifacts verify` and `modelkeep doctor` as an operator runs them, on a server whose files are changed."""

import fcntl
import json
import signal
import time
from collections.abc import Iterator

import pytest

from cli.test_commands import USAGE, done, run
from faces.native.pushing import Registry
from security.raw import Raw
from servers import RunningServer

LARGE = bytes(range(256)) * 8192
# F_SETSIG of fcntl(2), which Python does not name.
_SET_SIGNAL = 10


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry on a server of its own with a model `clf` of two versions, and another model."""
    with RunningServer(tmp_path_factory.mktemp("verify") / "data") as server, Raw(server.port, server.token) as raw:
        made = Registry(server, raw)
        made.register({"MLmodel": b"one", "data/large.bin": LARGE}, "clf")
        made.register({"MLmodel": b"two"}, "clf")
        made.register({"MLmodel": b"three"}, "other")
        yield made


def access(registry: Registry) -> dict[str, str]:
    """The environment of somebody who may use the server."""
    return {"MLFLOW_TRACKING_URI": registry.server.url, "MLFLOW_TRACKING_TOKEN": registry.server.token or ""}


def test_wrong_blobs_are_reported_until_they_are_right_again(registry: Registry) -> None:
    """Each kind of damage is printed with its holder and exit code 1; the right bytes heal it, and the code is 0."""
    env = access(registry)
    assert "all right" in done("artifacts", "verify", "--all", **env)
    assert json.loads(done("artifacts", "verify", "clf", "--json", **env)) == {
        "checked": 3,
        "bytes": len(LARGE) + 6,
        "wrong": [],
    }
    flipped, missing, swapped = (registry.blob(data) for data in (LARGE, b"one", b"two"))
    flipped.write_bytes(LARGE[:-1] + b"!")
    missing.unlink()
    swapped.write_bytes(b"three")
    result = run("artifacts", "verify", "clf", "--json", **env)
    assert result.returncode == 1
    found = {one["holders"][0]["path"] + one["problem"]: one for one in json.loads(result.stdout)["wrong"]}
    assert found.keys() == {"data/large.binflipped", "MLmodelmissing", "MLmodelswapped"}
    assert found["MLmodelswapped"]["holders"] == [{"path": "MLmodel", "model": "clf", "version": 2}]
    text = run("artifacts", "verify", "--all", "--deep", **env)
    assert text.returncode == 1
    for word in ("clf version 1: data/large.bin", "clf version 2: MLmodel", "swapped", "missing", "flipped", "3 wrong"):
        assert word in text.stdout
    metrics = registry.raw.request("GET", "/metrics").body.decode()
    assert "damaged" in metrics
    registry.push({"a": LARGE, "b": b"one", "c": b"two"})
    assert "3 blobs" in done("artifacts", "verify", "clf", **env)
    assert "all right" in done("artifacts", "verify", "clf/1", **env)


def wait_until_judged(registry: Registry) -> None:
    """Wait for the inspections, which read the files, to be over."""
    deadline = time.monotonic() + 60
    for name, number in (("clf", 1), ("clf", 2), ("other", 1)):
        while registry.ok("GET", f"models/{name}/versions/{number}/inspection")["state"] != "done":
            assert time.monotonic() < deadline, f"{name} version {number} is not judged"
            time.sleep(0.05)


def test_a_blob_that_could_only_not_be_read_is_served_still(registry: Registry) -> None:
    """A read error that may pass is reported with exit code 1, but it marks and counts nothing: it passes."""
    env = access(registry)
    wait_until_judged(registry)  # nobody gets a lease on a file that somebody else has open
    with registry.blob(LARGE).open("rb+") as kept:
        # Who opens the file now is told to try again, until the lease on it is given back.
        fcntl.fcntl(kept, _SET_SIGNAL, signal.SIGURG)  # one that is ignored
        fcntl.fcntl(kept, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        result = run("artifacts", "verify", "--all", "--json", **env)
        text = run("artifacts", "verify", "clf", **env)
        fcntl.fcntl(kept, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    (wrong,) = json.loads(result.stdout)["wrong"]
    assert (result.returncode, wrong["problem"], wrong["certain"]) == (1, "unreadable", False)
    assert "is served still" in text.stdout
    assert "modelkeep_corrupt_blobs_total 0" in registry.raw.request("GET", "/metrics").body.decode()
    assert "all right" in done("artifacts", "verify", "--all", **env)
    assert json.loads(registry.raw.request("GET", "/api/v1/artifacts/damage").body)["items"] == []


def test_verify_wants_exactly_one_scope(registry: Registry) -> None:
    """No scope, two, or a version that is no number is wrong usage; what is not there or not held is refused."""
    env = access(registry)
    for wrong in ([], ["clf", "--all"], ["clf/x"], ["clf/"]):
        assert run("artifacts", "verify", *wrong, **env).returncode == USAGE
    registry.raw.json("POST", "/api/2.0/mlflow/model-versions/create", {"name": "other", "source": "s3://bucket/x"})
    for wrong, why in (("nobody", "not found"), ("clf/9", "not found"), ("other/2", "external")):
        result = run("artifacts", "verify", wrong, **env)
        assert result.returncode == 1
        assert why in result.stderr


def test_doctor_tells_what_to_do(registry: Registry) -> None:
    """A sound registry is ok in every line; lost and unknown bytes are told with a remedy, and the exit code is 1."""
    env = access(registry)
    sound = json.loads(done("doctor", "--json", **env))
    assert {line["status"] for line in sound["lines"]} <= {"ok", "warn"}
    assert {line["name"] for line in sound["lines"]} >= {"database", "schema", "store", "workers", "agreement", "jobs"}
    assert "a worker is alive" in json.dumps(sound)
    assert "database and store agree" in done("doctor", **env)
    registry.blob(b"one").unlink()
    stray = registry.blob(b"two").with_name(registry.blob(b"two").name[:-4] + "0000")
    stray.write_bytes(b"stray")
    result = run("doctor", "--json", **env)
    assert result.returncode == 1
    agreement = [line for line in json.loads(result.stdout)["lines"] if line["name"] == "agreement"]
    assert [(line["status"], line["count"]) for line in agreement] == [("bad", 1), ("warn", 1)]
    assert all(line["remedy"] for line in agreement)
    printed = run("doctor", **env)
    assert printed.returncode == 1
    assert stray.name in printed.stdout


def test_pages_are_asked_for_with_their_own_cursors(registry: Registry) -> None:
    """A cursor that no page gave, a version without its model, and unknown fields are refused."""
    for body in ({"cursor": "x"}, {"version": 1}, {"model": "clf", "version": 0}, {"scope": "all"}):
        registry.call("POST", "artifacts/verify", body).refused(400)
    registry.call("POST", "doctor", {"cursor": "WzksIiIsMF0"}).refused(400)
    first = registry.ok("POST", "artifacts/verify", {})
    assert (first["checked"], first["total"]["blobs"], "next_cursor" in first) == (4, 4, False)


def test_another_workspace_sees_nothing_of_it(registry: Registry) -> None:
    """In another workspace there is no such model to verify."""
    registry.ok("POST", "workspaces", {"name": "blue"})
    elsewhere = Registry(registry.server, registry.raw, [(b"X-MLFLOW-WORKSPACE", b"blue")])
    elsewhere.call("POST", "artifacts/verify", {"model": "clf"}).refused(404)
