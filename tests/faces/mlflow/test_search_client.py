"""Searches through the client: models, versions, experiments and runs, their filters, orders and pages."""

import mlflow
import pytest
from mlflow.entities import Metric, ViewType
from mlflow.exceptions import RestException
from mlflow.tracking import MlflowClient

from faces.mlflow.build import Build, unused


@pytest.fixture(scope="module")
def line(build: Build) -> str:
    """A registered model: 1 archived, 2 in production as champion, 3 in staging, 4 nowhere and of a run."""
    name = build.model(unused("line"), tags=[{"key": "team", "value": "risk"}])
    for stage in ("Archived", "Production", "Staging"):
        build.staged(name, stage)
    build.version(name, "s3://other/place", run_id=build.run(), tags=[{"key": "kind", "value": "tree"}])
    build.wire.post("registered-models/alias", name=name, alias="champion", version="2").ok()
    return name


def numbers(client: MlflowClient, line: str, text: str) -> str:
    """The numbers of the versions of `line` that a filter finds, in ascending order."""
    found = client.search_model_versions(f"name='{line}' AND {text}" if text else f"name='{line}'")
    return "".join(sorted(version.version for version in found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1234"),
        ("version_number > 2", "34"),
        ("version_number != 2 AND version_number <= 3", "13"),
        ("source_path = 's3://other/place'", "4"),
        ("source_path LIKE 's3://else%'", "123"),
        ("tags.kind = 'tree'", "4"),
        ("tags.kind != 'net'", "4"),
        ("run_id IN ('nothing')", ""),
    ],
)
def test_filters_of_versions(client: MlflowClient, line: str, text: str, expected: str):
    """A search finds the versions that meet every condition."""
    assert numbers(client, line, text) == expected


def test_versions_are_found_by_their_run(client: MlflowClient, line: str):
    """run_id finds the version of a run, alone and in a list."""
    run = client.get_model_version(line, "4").run_id
    assert numbers(client, line, f"run_id = '{run}'") == "4"
    assert numbers(client, line, f"run_id IN ('{run}', '{'0' * 32}')") == "4"


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("current_stage = 'Production'", "2"),
        ("current_stage != 'Production'", "134"),
        ("current_stage IN ('Staging', 'Archived')", "13"),
        ("aliases = 'champion'", "2"),
        ("status = 'READY'", "1234"),
        ("(current_stage = 'Production' OR current_stage = 'Staging') AND NOT version_number = 3", "2"),
        ("(version_number = 1 OR tags.kind = 'tree')", "14"),
        ("NOT (version_number = 1 OR version_number = 4)", "23"),
    ],
)
def test_filters_of_versions_that_mlflow_rejects(client: MlflowClient, line: str, text: str, expected: str):
    """Stage, alias and status can be searched, and conditions combined by OR, NOT and parentheses."""
    assert numbers(client, line, text) == expected


@pytest.mark.beyond_mlflow
def test_production_versions_of_all_models_are_found(client: MlflowClient, line: str):
    """The stage alone is a filter."""
    found = client.search_model_versions("current_stage='Production'", max_results=1000)
    assert (line, "2") in {(version.name, version.version) for version in found}
    assert {version.current_stage for version in found} == {"Production"}


def test_an_unknown_key_is_refused_in_words(client: MlflowClient):
    """The refusal of a filter reaches the caller as the server's text."""
    with pytest.raises(RestException, match="INVALID_PARAMETER_VALUE: Invalid attribute key 'naem' specified"):
        client.search_model_versions("naem='x'")


def test_orders_of_versions(client: MlflowClient, line: str):
    """Versions are ordered by number or name when asked."""
    found = client.search_model_versions(f"name='{line}'", order_by=["version_number DESC"])
    assert [version.version for version in found] == ["4", "3", "2", "1"]


def test_models_are_found_and_listed(client: MlflowClient, line: str):
    """search_registered_models without a filter lists models, and finds them by name and tag."""
    assert client.search_registered_models()
    (found,) = client.search_registered_models(f"name LIKE '{line[:-1]}%' AND tags.team = 'risk'")
    assert (found.name, found.tags, found.aliases) == (line, {"team": "risk"}, {"champion": "2"})
    assert {version.current_stage for version in found.latest_versions} == {"None", "Staging", "Production", "Archived"}


def test_models_come_in_pages(client: MlflowClient, build: Build, name: str):
    """Page tokens lead through all models in order, forwards and backwards by order."""
    made = [build.model(f"{name}-{number}") for number in range(5)]
    for order, expected in (([], made), (["name DESC"], made[::-1])):
        seen, token = [], None
        while token != "":
            page = client.search_registered_models(f"name LIKE '{name}-%'", 2, order_by=order, page_token=token)
            seen += [model.name for model in page]
            token = page.token or ""
        assert seen == expected


def test_versions_come_in_pages(client: MlflowClient, line: str):
    """Page tokens lead through all versions."""
    first = client.search_model_versions(f"name='{line}'", max_results=3)
    rest = client.search_model_versions(f"name='{line}'", max_results=3, page_token=first.token)
    assert (len(first), len(rest), rest.token or "") == (3, 1, "")


@pytest.fixture(scope="module")
def runs(build: Build) -> tuple[str, dict[str, str]]:
    """An experiment with four runs of different metrics, parameters, tags and states; ids by name."""
    experiment = build.experiment()
    made = {}
    for start, (name, acc) in enumerate((("a", 0.9), ("b", 0.5), ("c", "NaN"), ("d", None))):
        run = build.run(experiment, run_name=name, start_time=1000 + start)
        build.wire.post("runs/log-parameter", run_id=run, key="kind", value="Tree" if name in "ab" else "net").ok()
        build.wire.post("runs/set-tag", run_id=run, key="stage one", value=name).ok()
        if acc is not None:
            build.wire.post("runs/log-metric", run_id=run, key="acc", value=acc, timestamp=1).ok()
        made[name] = run
    build.wire.post("runs/log-parameter", run_id=made["a"], key="extra", value="1").ok()
    build.wire.post("runs/update", run_id=made["b"], status="FAILED", end_time=5000).ok()
    return experiment, made


def names(client: MlflowClient, runs: tuple[str, dict[str, str]], text: str = "", **asked: object) -> str:
    """The names of the runs that a search finds, in its order."""
    return "".join(run.info.run_name for run in client.search_runs([runs[0]], text, **asked))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "dcba"),
        ("metrics.acc > 0.6", "a"),
        ("metrics.acc <= 0.9", "ba"),
        ("metrics.acc != 0.5", "ca"),
        ("params.kind = 'Tree'", "ba"),
        ("params.kind LIKE 'tr%'", ""),
        ("params.kind ILIKE 'tr%'", "ba"),
        ("params.kind != 'Tree'", "dc"),
        ("params.extra != '2'", "a"),
        ("params.extra IS NULL", "dcb"),
        ("params.extra IS NOT NULL", "a"),
        ("tags.`stage one` = 'c'", "c"),
        ('tags."stage one" = "c"', "c"),
        ("status = 'FAILED'", "b"),
        ("attributes.status != 'FAILED'", "dca"),
        ("run_name = 'd'", "d"),
        ("`Run name` = 'd'", "d"),
        ("start_time > 1001", "dc"),
        ("end_time = 5000", "b"),
        ("metrics.acc > 0.1 AND params.kind = 'Tree' and run_name != 'b'", "a"),
        ("artifact_uri LIKE '%/artifacts'", "dcba"),
    ],
)
def test_filters_of_runs(client: MlflowClient, runs: tuple[str, dict[str, str]], text: str, expected: str):
    """A search finds the runs that meet every condition, newest first."""
    assert names(client, runs, text) == expected


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run_name = 'a' OR run_name = 'd'", "da"),
        ("NOT params.kind = 'Tree'", "dc"),
        ("(metrics.acc > 0.6 OR status = 'FAILED') AND params.kind = 'Tree'", "ba"),
    ],
)
def test_alternatives_of_runs(client: MlflowClient, runs: tuple[str, dict[str, str]], text: str, expected: str):
    """Run searches take OR, NOT and parentheses too."""
    assert names(client, runs, text) == expected


def test_runs_are_found_by_ids(client: MlflowClient, runs: tuple[str, dict[str, str]]):
    """Lists of ids are taken and left out."""
    ids = runs[1]
    assert names(client, runs, f"run_id IN ('{ids['a']}', '{ids['c']}')") == "ca"
    assert names(client, runs, f"run_id NOT IN ('{ids['a']}', '{ids['c']}')") == "db"


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["metrics.acc DESC"], "abcd"),
        (["metrics.acc ASC"], "bacd"),
        (["params.kind ASC", "start_time ASC"], "abcd"),
        (["params.extra DESC"], "adcb"),
        (["start_time ASC"], "abcd"),
        (["tags.`stage one` DESC"], "dcba"),
        (["attributes.end_time ASC"], "bdca"),
    ],
)
def test_orders_of_runs(client: MlflowClient, runs: tuple[str, dict[str, str]], order: list[str], expected: str):
    """Missing values come last both ways, NaN after numbers, and newest first decides among equals."""
    assert names(client, runs, order_by=order) == expected


def test_runs_come_in_pages(client: MlflowClient, runs: tuple[str, dict[str, str]]):
    """Page tokens lead through all runs."""
    first = client.search_runs([runs[0]], max_results=3)
    rest = client.search_runs([runs[0]], max_results=3, page_token=first.token)
    assert [run.info.run_name for run in [*first, *rest]] == ["d", "c", "b", "a"]
    assert not rest.token


def test_runs_make_a_table(client: MlflowClient, runs: tuple[str, dict[str, str]]):
    """The fluent search gives a table with a column for each metric, parameter and tag."""
    table = mlflow.search_runs([runs[0]], "params.kind = 'Tree'", order_by=["metrics.acc DESC"])
    assert list(table["metrics.acc"]) == [0.9, 0.5]
    assert list(table["tags.stage one"]) == ["a", "b"]


def test_runs_of_several_experiments_are_searched_together(client: MlflowClient, build: Build):
    """A search over experiments gives the runs of all, and deleted ones only when asked."""
    experiments = [build.experiment(), build.experiment()]
    made = [build.run(experiment) for experiment in experiments]
    client.delete_run(made[1])
    assert [run.info.run_id for run in client.search_runs(experiments)] == made[:1]
    assert len(client.search_runs(experiments, run_view_type=ViewType.ALL)) == 2


def test_the_shown_metric_is_what_is_searched(client: MlflowClient, build: Build):
    """A filter looks at the last value of a metric, not at its history."""
    experiment = build.experiment()
    run = build.run(experiment)
    client.log_batch(run, [Metric("acc", 0.9, 1, 0), Metric("acc", 0.1, 2, 1)])
    assert client.search_runs([experiment], "metrics.acc > 0.5") == []
    assert len(client.search_runs([experiment], "metrics.acc < 0.5")) == 1


def test_experiments_are_searched(client: MlflowClient, build: Build, name: str):
    """Experiments are found by name, tag and time, newest first, in pages, deleted ones when asked."""
    for last in "abc":
        build.experiment(f"{name}-{last}", tags=[{"key": "last", "value": last}])
    client.delete_experiment(client.get_experiment_by_name(f"{name}-c").experiment_id)

    def found(text: str = "", **asked: object) -> str:
        text = f"name LIKE '{name}-%'{text}"
        return "".join(each.name[-1] for each in client.search_experiments(filter_string=text, **asked))

    assert found() == "ba"
    assert found(order_by=["name ASC"]) == "ab"
    assert found(view_type=ViewType.DELETED_ONLY) == "c"
    assert sorted(found(view_type=ViewType.ALL)) == ["a", "b", "c"]
    assert found(" AND tags.last = 'a'") == "a"
    assert found(" AND tags.other IS NULL AND creation_time > 0") == "ba"
    assert found(max_results=1) == "b"
