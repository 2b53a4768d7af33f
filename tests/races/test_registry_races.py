"""Many clients change the same thing at the same moment, over the wire: nobody is lost, and the rules hold."""

import hashlib
import itertools
import os
import threading
from pathlib import Path

import pytest

from faces.mlflow.build import unused
from faces.mlflow.wire import Answer, Wire
from races.crowd import Crowd, statuses
from servers import RunningServer, ServerError

MIB = 1024 * 1024


def test_200_registrations_at_once_get_200_consecutive_numbers(crowd: Crowd) -> None:
    """200 clients register versions of one model, half of them from one tree: all succeed, with numbers 1 to 200."""
    name = crowd.build.model()
    folder = crowd.run_folder()
    crowd.wire.put_file(f"{folder}/model/weights", b"weights").ok()
    sources = ["s3://elsewhere/model", f"mlflow-artifacts:/{folder}/model"]

    def register(wire: Wire, number: int) -> Answer:
        return wire.post("model-versions/create", name=name, source=sources[number // 2 % 2], description=str(number))

    made = [answer.ok()["model_version"] for answer in crowd.at_once(200, register)]
    assert sorted(int(version["version"]) for version in made) == list(range(1, 201))
    for version in made:
        seen = crowd.wire.get("model-versions/get", name=name, version=version["version"]).ok()["model_version"]
        assert (seen["description"], seen["source"]) == (version["description"], version["source"])


@pytest.mark.parametrize(
    ("rpc", "record"), [("registered-models/create", "registered_model"), ("experiments/create", "experiment_id")]
)
def test_one_of_32_makes_a_name(crowd: Crowd, rpc: str, record: str) -> None:
    """Of 32 clients that create one name, one succeeds and 31 are told RESOURCE_ALREADY_EXISTS, each time."""
    for name in (unused() for _ in range(5)):
        answers = crowd.at_once(32, lambda wire, _, name=name: wire.post(rpc, name=name))
        won = [answer for answer in answers if answer.status == 200]
        assert len(won) == 1, statuses(answers)
        assert won[0].json[record]
        for answer in answers:
            if answer is not won[0]:
                answer.taken(name)


def test_a_new_alias_or_tag_is_set_by_all(crowd: Crowd) -> None:
    """Eight clients set one new alias, model tag and version tag: all succeed, and one of the values stands."""
    name = crowd.build.model()
    versions = [crowd.build.version(name)["version"] for _ in range(8)]
    for round_ in range(10):
        key = f"new-{round_}"

        def set_alias(wire: Wire, number: int, key: str = key) -> Answer:
            return wire.post("registered-models/alias", name=name, alias=key, version=versions[number])

        def tag_model(wire: Wire, number: int, key: str = key) -> Answer:
            return wire.post("registered-models/set-tag", name=name, key=key, value=str(number))

        def tag_version(wire: Wire, number: int, key: str = key) -> Answer:
            return wire.post("model-versions/set-tag", name=name, version="1", key=key, value=str(number))

        for change in (set_alias, tag_model, tag_version):
            assert statuses(crowd.at_once(8, change)) == [200] * 8
        model = crowd.wire.get("registered-models/get", name=name).ok()["registered_model"]
        assert [one["version"] in versions for one in model["aliases"] if one["alias"] == key] == [True]
        assert [int(tag["value"]) in range(8) for tag in model["tags"] if tag["key"] == key] == [True]
        version = crowd.wire.get("model-versions/get", name=name, version="1").ok()["model_version"]
        assert [int(tag["value"]) in range(8) for tag in version["tags"] if tag["key"] == key] == [True]


def test_moves_that_archive_the_others_leave_one_in_production(crowd: Crowd) -> None:
    """Sixteen versions go to Production at once, each archiving the others: one stays there, the rest is Archived."""
    name = crowd.build.model()
    versions = [crowd.build.version(name)["version"] for _ in range(16)]

    def move(wire: Wire, number: int) -> Answer:
        fields = {"stage": "Production", "archive_existing_versions": True}
        return wire.post("model-versions/transition-stage", name=name, version=versions[number], **fields)

    for _ in range(5):
        assert statuses(crowd.at_once(16, move)) == [200] * 16
        found = [crowd.wire.get("model-versions/get", name=name, version=version).ok() for version in versions]
        stages = sorted(record["model_version"]["current_stage"] for record in found)
        assert stages == ["Archived"] * 15 + ["Production"]


def test_no_alias_outlives_its_version(crowd: Crowd) -> None:
    """A version is deleted while seven clients give it aliases: each gets 200 or 404, and no alias of it is left."""
    name = crowd.build.model()
    for _ in range(20):
        version = crowd.build.version(name)["version"]

        def change(wire: Wire, number: int, version: str = version) -> Answer:
            if number == 3:
                return wire.delete("model-versions/delete", name=name, version=version)
            return wire.post("registered-models/alias", name=name, alias=f"a{number}", version=version)

        answers = crowd.at_once(8, change)
        assert answers.pop(3).status == 200
        for answer in answers:
            if answer.status != 200:
                answer.missing()
        model = crowd.wire.get("registered-models/get", name=name).ok()["registered_model"]
        assert model.get("aliases", []) == []
        crowd.wire.get("model-versions/get", name=name, version=version).missing()


@pytest.mark.parametrize("rpc", ["runs/log-parameter", "runs/log-batch"])
def test_a_parameter_keeps_the_first_of_several_values(crowd: Crowd, rpc: str) -> None:
    """Eight clients log one new parameter with different values: one is kept, the others are told that it is set."""
    run_id = crowd.build.run()
    for key in (f"param-{number}" for number in range(10)):

        def log(wire: Wire, number: int, key: str = key) -> Answer:
            param = {"key": key, "value": str(number)}
            fields = {"params": [param]} if rpc == "runs/log-batch" else param
            return wire.post(rpc, run_id=run_id, **fields)

        answers = crowd.at_once(8, log)
        assert statuses(answers) == [200] + [400] * 7
        winner = next(number for number, answer in enumerate(answers) if answer.status == 200)
        for number, answer in enumerate(answers):
            if number != winner:
                answer.invalid("Changing param values is not allowed", key, str(winner))
        params = crowd.wire.get("runs/get", run_id=run_id).ok()["run"]["data"]["params"]
        assert [param["value"] for param in params if param["key"] == key] == [str(winner)]


def test_the_same_parameter_may_be_logged_by_all(crowd: Crowd) -> None:
    """Eight clients log one new parameter with the same value, with metrics and tags: all succeed."""
    run_id = crowd.build.run()
    for round_ in range(10):
        pairs = [{"key": f"{round_}-{number}", "value": "same"} for number in range(5)]

        def log(wire: Wire, number: int, pairs: list[dict[str, str]] = pairs) -> Answer:
            mine = pairs if number % 2 else pairs[::-1]
            metrics = [{"key": pair["key"], "value": number, "timestamp": 1, "step": number} for pair in mine]
            return wire.post("runs/log-batch", run_id=run_id, params=mine, tags=mine, metrics=metrics)

        assert statuses(crowd.at_once(8, log)) == [200] * 8
    data = crowd.wire.get("runs/get", run_id=run_id).ok()["run"]["data"]
    assert [metric["value"] for metric in data["metrics"]] == [7.0] * 50


def test_a_file_overwritten_while_it_is_read_is_one_whole_upload(crowd: Crowd) -> None:
    """While two contents of 3 MiB take turns at one path, every download is all of one of them."""
    folder = crowd.run_folder()
    contents = [os.urandom(3 * MIB) for _ in range(2)]
    wanted = {hashlib.sha256(content).hexdigest() for content in contents}
    crowd.wire.put_file(f"{folder}/file", contents[0]).ok()
    done, seen = threading.Event(), set[str]()

    def overwrite(wire: Wire) -> None:
        for number, content in enumerate(itertools.islice(itertools.cycle(contents), 300)):
            wire.put_file(f"{folder}/file", content).ok()
            if number >= 30 and seen >= wanted:
                break
        done.set()

    def read(wire: Wire) -> None:
        while not done.is_set():
            answer = wire.get_file(f"{folder}/file")
            assert answer.status == 200
            seen.add(hashlib.sha256(answer.body).hexdigest())

    crowd.at_once(5, lambda wire, number: read(wire) if number else overwrite(wire))
    assert seen == wanted


def test_the_same_bytes_may_arrive_sixteen_times_at_once(crowd: Crowd) -> None:
    """Sixteen clients upload the same bytes, each twice, to paths of their own and to one: all of them are there."""
    folder = crowd.run_folder()
    for data in (b"", os.urandom(MIB)):
        targets = ["shared", *(f"own-{number}" for number in range(16))]

        def upload(wire: Wire, number: int, data: bytes = data) -> list[int]:
            own, shared = f"{folder}/own-{number}", f"{folder}/shared"
            return [wire.put_file(own, data).status, wire.put_file(shared, data).status]

        assert crowd.at_once(16, upload) == [[200, 200]] * 16
        assert all(crowd.wire.get_file(f"{folder}/{target}").body == data for target in targets)


def test_a_second_server_on_one_sqlite_file_is_refused(tmp_path: Path) -> None:
    """A second process on the SQLite file of a running one ends with code 1 and says why; the first one goes on."""
    with RunningServer(tmp_path / "data") as first:
        with pytest.raises(ServerError) as refused:
            RunningServer(first.data)
        assert "exit code 1 " in str(refused.value)
        assert "in use by another modelkeep process" in str(refused.value)
        assert Wire(first.url, first.token).call("GET", "/ready").status == 200
