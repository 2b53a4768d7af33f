"""Logged models, on both databases."""

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from modelkeep import artifacts, runs
from modelkeep.artifacts import Content
from modelkeep.bootstrap import open_database
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.core.events import Event
from modelkeep.core.types import Actor, Caller
from modelkeep.db import Database
from modelkeep.db.migrate import create_schema
from modelkeep.runs import LoggedModelView

ALICE = Caller(Actor("alice", "token"))
OTHER = Caller(Actor("bob", "token"), workspace="team-b")
ABSENT = "m-" + "0" * 32


def pairs(**values: str) -> list[Any]:
    """Tags or parameters as a client sends them."""
    return [SimpleNamespace(key=key, value=value) for key, value in values.items()]


class Registry:
    """Alice's way to the use cases."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def do(self, use_case: Any, *given: Any, caller: Caller = ALICE, **named: Any) -> Any:
        """Run a use case in a transaction of its own."""
        return self.database.write_now(caller, lambda tx: use_case(tx, *given, **named))

    def make(self, **fields: Any) -> LoggedModelView:
        """A logged model of experiment 0."""
        return self.do(runs.create_logged_model, "0", **fields)

    def get(self, model_id: str, **named: Any) -> LoggedModelView:
        """A logged model."""
        return self.do(runs.get_logged_model, model_id, **named)

    def versions_noted(self, model_id: str) -> Any:
        """What the tag of registrations lists."""
        return json.loads(dict(self.get(model_id).tags)["mlflow.modelVersions"])


@pytest.fixture
def heard() -> list[Event]:
    """The events of the test."""
    return []


@pytest.fixture
def registry(database_url: str, heard: list[Event]) -> Iterator[Registry]:
    """An empty registry."""
    create_schema(database_url)
    database = open_database(database_url, [lambda tx, event: heard.append(event)])
    database.write_now(ALICE, runs.prepare_default_experiment)
    heard.clear()
    yield Registry(database)
    database.close()


def test_a_new_logged_model_is_pending(registry: Registry):
    """A logged model has what it was made with, an id of its own, its maker, and is pending."""
    made = registry.make(
        name="clf", model_type="tree", source_run_id="r1", params=pairs(b="2", a="1"), tags=pairs(k="v")
    )
    assert re.fullmatch("m-[0-9a-f]{32}", made.id)
    assert (made.experiment_id, made.name, made.model_type, made.source_run_id) == (0, "clf", "tree", "r1")
    assert (made.status, made.created_by, made.deleted_at, made.metrics) == ("PENDING", "alice", None, [])
    assert (made.params, made.tags) == ([("a", "1"), ("b", "2")], [("k", "v")])
    assert made.created_at == made.updated_at > 0
    assert registry.get(made.id) == made


def test_a_logged_model_can_be_uploaded_to(registry: Registry):
    """The artifact location of a logged model is a tree that files can be stored in."""
    made = registry.make()
    assert made.artifact_uri == f"mlflow-artifacts:/0/models/{made.id}/artifacts"
    place = artifacts.folder_segments(made.artifact_uri, "MLmodel")
    registry.do(artifacts.put_file, place, Content("a" * 64, 1, None), 0)
    assert registry.do(artifacts.find_file, place).sha256 == "a" * 64


def test_files_may_be_kept_elsewhere(registry: Registry):
    """In an experiment on other storage the location is below the experiment's, its query at the end."""
    number = registry.do(runs.create_experiment, "elsewhere", "s3://bucket/place?region=x")
    made = registry.do(runs.create_logged_model, str(number))
    assert made.artifact_uri == f"s3://bucket/place/models/{made.id}/artifacts?region=x"


@pytest.mark.parametrize("name", [None, ""])
def test_a_name_is_made_up(registry: Registry, name: str | None):
    """A logged model without a name gets one."""
    assert registry.make(name=name).name


def test_names_are_not_unique(registry: Registry):
    """Two logged models may have one name."""
    assert registry.make(name="clf").id != registry.make(name="clf").id


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", 'a"b', "a'b", "a" * 501, "a\x00b"])
def test_a_bad_name_is_refused(registry: Registry, name: str):
    """A name that a URI could misread, or that cannot be stored, makes no logged model."""
    with pytest.raises(InvalidInput):
        registry.make(name=name)


@pytest.mark.parametrize(
    "fields",
    [
        {"tags": pairs(**{"../k": "v"})},
        {"tags": pairs(**{"": "v"})},
        {"tags": pairs(k="v" * 100_001)},
        {"tags": pairs(k="\x00")},
        {"params": pairs(**{"a//b": "v"})},
        {"params": [*pairs(a="1"), *pairs(a="2")]},
        {"model_type": "t" * 501},
    ],
)
def test_bad_tags_and_params_make_no_model(registry: Registry, heard: list[Event], fields: dict[str, Any]):
    """A logged model is made whole or not at all."""
    with pytest.raises(InvalidInput):
        registry.make(**fields)
    assert heard == []


def test_an_experiment_must_be_there_and_active(registry: Registry):
    """A logged model is made in an experiment that exists and is not deleted."""
    number = str(registry.do(runs.create_experiment, "gone"))
    registry.do(runs.delete_experiment, number)
    with pytest.raises(InvalidInput, match=f"The experiment {number} must be in the 'active' state"):
        registry.do(runs.create_logged_model, number)
    with pytest.raises(NotFound, match="No Experiment with id=99 exists"):
        registry.do(runs.create_logged_model, "99")


def test_a_workspace_begins_with_its_own_default_experiment(registry: Registry):
    """The first logged model of another workspace finds an experiment 0 there, and its files have their place there."""
    made = registry.do(runs.create_logged_model, "0", caller=OTHER)
    assert made.artifact_uri == f"mlflow-artifacts:/workspaces/team-b/0/models/{made.id}/artifacts"


@pytest.mark.parametrize("status", ["READY", "FAILED"])
def test_finalizing_sets_the_status(registry: Registry, heard: list[Event], status: str):
    """The status changes, and is told once."""
    model = registry.make().id
    heard.clear()
    assert registry.do(runs.finalize_logged_model, model, status).status == status
    registry.do(runs.finalize_logged_model, model, status)
    assert [(event.kind, event.resource) for event in heard] == [("logged_model.finalized", f"logged-model/{model}")]


def test_there_are_no_other_statuses(registry: Registry):
    """A status that is none is refused."""
    with pytest.raises(InvalidInput):
        registry.do(runs.finalize_logged_model, registry.make().id, "DONE")


def test_deleting_hides(registry: Registry, heard: list[Event]):
    """A deleted logged model is shown only to those who ask for it, and deleting it again changes nothing."""
    model = registry.make(tags=pairs(k="v")).id
    heard.clear()
    registry.do(runs.delete_logged_model, model)
    registry.do(runs.delete_logged_model, model)
    with pytest.raises(NotFound, match=f"Logged model with ID '{model}' not found."):
        registry.get(model)
    assert registry.get(model, allow_deleted=True).tags == [("k", "v")]
    assert [event.kind for event in heard] == ["logged_model.deleted"]


def test_a_deleted_logged_model_can_be_changed(registry: Registry):
    """What an upload that was under way still says of a deleted logged model is kept."""
    model = registry.make().id
    registry.do(runs.delete_logged_model, model)
    registry.do(runs.set_logged_model_tags, model, pairs(k="v"))
    registry.do(runs.log_logged_model_params, model, pairs(p="1"))
    changed = registry.do(runs.finalize_logged_model, model, "READY")
    assert (changed.status, changed.tags, changed.params) == ("READY", [("k", "v")], [("p", "1")])


def test_tags_are_set_over(registry: Registry, heard: list[Event]):
    """Setting tags replaces values, the last of a repeated key counts, and equal values are no change."""
    model = registry.make(tags=pairs(a="1", b="1")).id
    heard.clear()
    for _ in range(2):
        registry.do(runs.set_logged_model_tags, model, [*pairs(a="0"), *pairs(a="2", b="1", c="")])
    assert registry.get(model).tags == [("a", "2"), ("b", "1"), ("c", "")]
    told = {"model_id": model, "tags": {"a": "2", "c": ""}, "before": {"a": "1", "c": None}}
    assert [event.data() for event in heard] == [told]


def test_a_tag_is_deleted(registry: Registry):
    """A deleted tag is gone, and a second deletion says that there is none."""
    model = registry.make(tags=pairs(**{"a/b": "1", "c": "2"})).id
    registry.do(runs.delete_logged_model_tag, model, "a/b")
    assert registry.get(model).tags == [("c", "2")]
    with pytest.raises(NotFound, match=f"No tag with key 'a/b' found for model with ID '{model}'."):
        registry.do(runs.delete_logged_model_tag, model, "a/b")


def test_params_are_written_once(registry: Registry, heard: list[Event]):
    """New parameters are added and equal ones are fine; another value is refused, with all that came with it."""
    model = registry.make(params=pairs(a="1")).id
    heard.clear()
    registry.do(runs.log_logged_model_params, model, pairs(a="1", b="2"))
    registry.do(runs.log_logged_model_params, model, pairs(a="1"))
    with pytest.raises(InvalidInput, match="was already logged with value='1'"):
        registry.do(runs.log_logged_model_params, model, pairs(c="3", a="9"))
    assert registry.get(model).params == [("a", "1"), ("b", "2")]
    assert [event.data() for event in heard] == [{"model_id": model, "params": 1}]


@pytest.mark.parametrize(
    "change",
    [
        (runs.get_logged_model,),
        (runs.finalize_logged_model, "READY"),
        (runs.delete_logged_model,),
        (runs.set_logged_model_tags, pairs(k="v")),
        (runs.delete_logged_model_tag, "k"),
        (runs.log_logged_model_params, pairs(p="1")),
        (runs.note_registration, "clf", 1),
    ],
)
@pytest.mark.parametrize("which", ["absent", "another workspace's", "impossible"])
def test_an_absent_logged_model_is_not_found(registry: Registry, change: tuple[Any, ...], which: str):
    """Every use case says that there is no such logged model, also where only another workspace has it."""
    model = {"absent": ABSENT, "impossible": "m-\x00"}.get(which) or registry.make(tags=pairs(k="v")).id
    use_case, *given = change
    with pytest.raises(NotFound, match=f"Logged model with ID '{model}' not found."):
        registry.do(use_case, model, *given, caller=OTHER if which == "another workspace's" else ALICE)


def test_logged_models_are_loaded_in_the_order_asked_for(registry: Registry):
    """Loading keeps the order of the ids, includes deleted ones and leaves out those that are not there."""
    one, two = registry.make().id, registry.make().id
    registry.do(runs.delete_logged_model, one)
    assert [view.id for view in registry.do(runs.load_logged_models, [two, ABSENT, one])] == [two, one]
    assert registry.do(runs.load_logged_models, []) == []
    assert registry.do(runs.load_logged_models, [one], caller=OTHER) == []


def test_the_head_is_the_row(registry: Registry):
    """The head says where the files are, which run made them, and whether it was deleted; None where there is none."""
    made = registry.make(source_run_id="r1")
    head = registry.do(runs.logged_model_head, made.id)
    assert (head.artifact_uri, head.source_run_id, head.experiment_id, head.deleted_at) == (
        made.artifact_uri,
        "r1",
        0,
        None,
    )
    assert registry.do(runs.logged_model_head, ABSENT) is None
    assert registry.do(runs.logged_model_head, made.id, caller=OTHER) is None


def test_registrations_are_noted_in_order(registry: Registry):
    """Each registration is appended to the tag that clients show."""
    model = registry.make().id
    registry.do(runs.note_registration, model, "clf", 1)
    registry.do(runs.note_registration, model, "other", 12)
    assert registry.versions_noted(model) == [{"name": "clf", "version": "1"}, {"name": "other", "version": "12"}]


@pytest.mark.parametrize("text", ["no json", '{"a": 1}', "[" * 100_000, ""])
def test_a_spoiled_note_does_not_stop_a_registration(registry: Registry, text: str):
    """Whatever a client wrote into the tag, a registration is noted."""
    model = registry.make(tags=pairs(**{"mlflow.modelVersions": text})).id
    registry.do(runs.note_registration, model, "clf", 1)
    assert registry.versions_noted(model) == [{"name": "clf", "version": "1"}]


def test_racing_registrations_are_all_noted(registry: Registry):
    """Of registrations at the same time none is lost."""
    model = registry.make().id
    start = threading.Barrier(4)

    def note(number: int) -> None:
        start.wait()
        registry.do(runs.note_registration, model, "clf", number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(note, range(4)))
    assert sorted(entry["version"] for entry in registry.versions_noted(model)) == ["0", "1", "2", "3"]


def test_racing_writers_of_a_param_agree(registry: Registry):
    """Of two values for one new parameter at the same time, one is kept and the other refused."""
    model = registry.make().id
    start = threading.Barrier(2)

    def log(value: str) -> bool:
        start.wait()
        try:
            registry.do(runs.log_logged_model_params, model, pairs(p=value))
        except InvalidInput:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(log, "12")) == [False, True]
    assert len(registry.get(model).params) == 1


def test_metrics_are_shown_as_they_were_logged(registry: Registry):
    """Metric points that a run logged on a model are shown to the last bit, with run, step and dataset."""
    model = registry.make().id
    run = registry.do(runs.create_run, "0").id
    point = SimpleNamespace(key="loss", timestamp=5, step=1, model_id=model, dataset_name="iris", dataset_digest="d")
    for value in (0.1 + 0.2, float("nan")):
        point.value, point.step = value, point.step + 1
        registry.do(runs.log_metric, run, point)
    shown = [(p.key, p.value, p.is_nan, p.timestamp, p.step, p.run_id) for p in registry.get(model).metrics]
    assert shown == [("loss", 0.1 + 0.2, 0, 5, 2, run), ("loss", 0.0, 1, 5, 3, run)]
    assert {(p.dataset_name, p.dataset_digest) for p in registry.get(model).metrics} == {("iris", "d")}
