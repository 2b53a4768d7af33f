"""The grammar of searches on the wire: which filters and orders are taken, which are refused, and in which words."""

import pytest

from faces.mlflow.build import Build
from faces.mlflow.wire import Answer, Wire

MODELS, VERSIONS, EXPERIMENTS, RUNS = (
    "registered-models/search",
    "model-versions/search",
    "experiments/search",
    "runs/search",
)


def ask(wire: Wire, call: str, **fields: object) -> Answer:
    """A search as its own client sends it."""
    if call == RUNS:
        return wire.post(call, experiment_ids=["0"], **fields)
    return wire.get(call, **{"max_results": 5} | fields)


REFUSED = [
    (MODELS, "naem = 'a'", "Invalid attribute key 'naem' specified. Valid keys are '{'name'}'"),
    (MODELS, "name = 'a'; name = 'b'", "Search filter contained multiple expression"),
    (MODELS, "name = a", "Parameter value is either not quoted or unidentified quote types used for string value a"),
    (MODELS, "name > 'a'", "Invalid comparator for attribute: >"),
    (MODELS, "name == 'a'", "Invalid comparator for attribute: =="),
    (MODELS, "foo.k = 'v'", "Invalid entity type 'foo'. Valid entity types are ("),
    (MODELS, "name = 5", "Expected a quoted string value"),
    (VERSIONS, "naem = 'a'", "Invalid attribute key 'naem' specified. Valid keys are '{"),
    (VERSIONS, "version_number LIKE 1", "Invalid comparator for attribute"),
    (VERSIONS, "run_id IN ()", "expected a non-empty list of string values, but got empty list"),
    (
        VERSIONS,
        "run_id IN ('a', 5)",
        "expected string value, punctuation, or whitespace, but got different type in list",
    ),
    (VERSIONS, "run_id IN (5)", "expected string value, punctuation, or whitespace, but got different type in list"),
    (EXPERIMENTS, "naem = 'a'", "Invalid attribute key 'naem' specified. Valid keys are '{"),
    (EXPERIMENTS, "creation_time > '5'", "Expected numeric value type for numeric attribute: creation_time. Found '5'"),
    (EXPERIMENTS, "tags.k IN ('a')", "Expected a quoted string value for tag"),
    (RUNS, "naem = 'a'", "Invalid attribute key 'naem' specified. Valid keys are '{"),
    (RUNS, "metrics.m > 'a'", "Expected numeric value type for metric. Found 'a'"),
    (RUNS, "metrics.m LIKE 1", "Invalid comparator 'LIKE' not one of"),
    (RUNS, "params.p = 1", "Expected a quoted string value for parameter"),
    (RUNS, "params.p > '1'", "Invalid comparator '>' not one of"),
    (RUNS, "tags.t > 'x'", "Invalid comparator '>' not one of"),
    (RUNS, "run_name IN ('a')", "comparison with a list of quoted string values."),
    (RUNS, "run_id IN ()", "expected a non-empty list of string values, but got empty list"),
    (RUNS, "start_time > '5'", "Expected numeric value type for numeric attribute: start_time. Found '5'"),
    (RUNS, "dataset.foo = 'x'", "Invalid dataset key 'foo' specified. Valid keys are"),
    (RUNS, "foo.bar = 'x'", "Invalid entity type 'foo'. Valid values are ["),
    (RUNS, "status = 'a'; x", "Search filter contained multiple expression"),
]
BROKEN = ["name = 'a", "name", "name =", "= 'a'", "name 'a'", "((", "name = 'a' )"]
TAKEN = [
    (MODELS, "  name = 'a'  "),
    (MODELS, "name ilike 'A%' and name LIKE 'a%' AND name != 'x'"),
    (MODELS, "tags.`a b` = 'x' AND tags.\"a.b\" = 'x' AND tag.k ILIKE 'x'"),
    (VERSIONS, "version_number > 1 AND version_number <= 5 AND version_number != 3"),
    (VERSIONS, "run_id IN ('a', 'b')"),
    (VERSIONS, "run_id = 'a' AND source_path LIKE 's3%' AND name != 'x'"),
    (EXPERIMENTS, "creation_time > 5 AND last_update_time <= 5 AND attribute.name = 'a'"),
    (EXPERIMENTS, "tags.k IS NULL AND tags.j IS NOT NULL"),
    (RUNS, "metrics.m > -1.5e3 AND metric.`a b` <= 7"),
    (RUNS, 'params.p IS NULL AND parameter.q ILIKE \'X%\' AND params."a b" = "x"'),
    (RUNS, "attributes.status != 'x' AND attr.status = 'RUNNING' AND run.status LIKE 'R%'"),
    (RUNS, "run_id IN ('a') AND run_id NOT IN ('b')"),
    (RUNS, "`run name` = 'x' AND \"Run Name\" = 'x' AND Created > 5 AND created > 5 AND end_time < 7"),
    (RUNS, "dataset.name = 'x' AND datasets.digest IN ('a', 'b') AND dataset.context LIKE 'tr%'"),
    (RUNS, "artifact_uri LIKE 'x%' AND user_id ILIKE 'X'"),
]
LOOSE = ["AND", "name = 'a' AND AND name = 'b'", "name = 'a' AND"]
ALTERNATIVES = ["name = 'a' OR name = 'b'", "(name = 'a')", "NOT name = 'a'"]
ORDERS_TAKEN = [
    (MODELS, ["name", "timestamp desc"]),
    (MODELS, ["last_updated_timestamp DESC", "name ASC"]),
    (VERSIONS, ["name ASC", "version_number DESC", "creation_timestamp", "last_updated_timestamp"]),
    (EXPERIMENTS, ["name", "experiment_id DESC", "creation_time", "last_update_time"]),
    (RUNS, ["metrics.m DESC", "params.p", "tags.t ASC", "start_time", "attributes.end_time DESC", "metrics.`a b`"]),
]
ORDERS_REFUSED = [
    (MODELS, ["foo"], "Invalid order by key 'foo' specified"),
    (MODELS, ["name foo"], "Invalid ordering key in order_by clause 'name foo'."),
    (MODELS, ["name ASC DESC"], "Invalid order_by clause 'name ASC DESC'. Could not be parsed."),
    (VERSIONS, ["run_id"], "Invalid attribute key 'run_id' specified."),
    (EXPERIMENTS, ["foo"], "Invalid attribute key 'foo' specified."),
    (RUNS, ["foo"], "Invalid attribute key 'foo' specified."),
    (RUNS, ["foo.bar"], "Invalid entity type 'foo'. Valid values are ["),
    (RUNS, ["metrics.m FOO"], "Invalid ordering key in order_by clause 'metrics.m FOO'."),
]


@pytest.mark.parametrize(("call", "text", "said"), REFUSED)
def test_a_wrong_filter_is_refused_in_the_words_that_clients_match(wire: Wire, call: str, text: str, said: str):
    """A filter that means nothing is a 400 that tells what is wrong with it."""
    ask(wire, call, filter=text).invalid(said)


@pytest.mark.parametrize("call", [MODELS, VERSIONS, EXPERIMENTS, RUNS])
@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_filter_is_refused(wire: Wire, call: str, text: str):
    """A filter that is no list of comparisons is a 400 on every search."""
    ask(wire, call, filter=text.replace("name", "run_name") if call == RUNS else text).invalid()


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("call", [MODELS, VERSIONS, EXPERIMENTS, RUNS])
@pytest.mark.parametrize("text", LOOSE)
def test_a_loose_and_is_refused(wire: Wire, call: str, text: str):
    """A conjunction without both of its sides is a mistake that MLflow overlooks."""
    ask(wire, call, filter=text.replace("name", "run_name") if call == RUNS else text).invalid()


@pytest.mark.parametrize(("call", "text"), TAKEN)
def test_these_filters_are_taken(wire: Wire, call: str, text: str):
    """Every spelling that MLflow's grammar knows is understood."""
    ask(wire, call, filter=text).ok()


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("call", [MODELS, VERSIONS, EXPERIMENTS, RUNS])
@pytest.mark.parametrize("text", ALTERNATIVES)
def test_or_not_and_parentheses_are_taken(wire: Wire, call: str, text: str):
    """Alternatives, negation and grouping are understood, which MLflow refuses."""
    ask(wire, call, filter=text.replace("name", "run_name") if call == RUNS else text).ok()


@pytest.mark.parametrize("call", [MODELS, VERSIONS, EXPERIMENTS, RUNS])
def test_an_empty_filter_is_none(wire: Wire, call: str):
    """The empty filter keeps everything."""
    ask(wire, call, filter="").ok()


@pytest.mark.parametrize(("call", "order"), ORDERS_TAKEN)
def test_these_orders_are_taken(wire: Wire, call: str, order: list[str]):
    """Directions are words in any case, and several keys may follow each other."""
    ask(wire, call, order_by=order).ok()


@pytest.mark.parametrize(("call", "order", "said"), ORDERS_REFUSED)
def test_a_wrong_order_is_refused_in_the_words_that_clients_match(wire: Wire, call: str, order: list[str], said: str):
    """An order by nothing known is a 400 that tells what is wrong with it."""
    ask(wire, call, order_by=order).invalid(said)


@pytest.mark.beyond_mlflow
@pytest.mark.parametrize("order", [["name", "name"], ["timestamp", "last_updated_timestamp"]])
def test_an_order_by_the_same_field_twice_is_the_callers_mistake(wire: Wire, order: list[str]):
    """A field given twice, also by its other name, is refused as 400, where MLflow answers 500."""
    ask(wire, MODELS, order_by=order).invalid("`order_by` contains duplicate fields: [")


@pytest.mark.parametrize("size", [0, -1])
def test_pages_of_nothing_are_refused(wire: Wire, size: int):
    """A page holds at least one entry, and each search says so in its own words."""
    ask(wire, VERSIONS, max_results=size).invalid(
        f"Invalid value for max_results. It must be a positive integer, but got {size}"
    )
    for call in (EXPERIMENTS, RUNS):
        ask(wire, call, max_results=size).invalid(
            f"Invalid value {size} for parameter 'max_results' supplied. It must be a positive integer"
        )


@pytest.mark.parametrize(("call", "most"), [(MODELS, 1000), (VERSIONS, 200_000), (EXPERIMENTS, 50_000), (RUNS, 50_000)])
def test_the_largest_page_of_each_search(wire: Wire, call: str, most: int):
    """The limit itself is allowed and one more is not."""
    ask(wire, call, max_results=most, filter="run_name = 'x'" if call == RUNS else "name = 'x'").ok()
    ask(wire, call, max_results=most + 1).invalid(str(most + 1) if call != EXPERIMENTS else str(most), "max_results")


def test_runs_of_no_experiments_are_none(wire: Wire):
    """A run search without experiments finds nothing."""
    assert wire.post(RUNS).ok() == wire.post(RUNS, experiment_ids=[]).ok() == {}


def found(wire: Wire, prefix: str, text: str) -> list[str]:
    """The last letters of the models of a test that a filter finds."""
    answer = ask(wire, MODELS, filter=f"name LIKE '{prefix}-%'" + (f" AND {text}" if text else ""), max_results=50).ok()
    return [model["name"].removeprefix(prefix + "-") for model in answer.get("registered_models", [])]


def test_like_tells_cases_apart_and_ilike_does_not(wire: Wire, build: Build, name: str):
    """LIKE is case-sensitive on every database, `%` is any text and `_` any character."""
    for last in ("abc", "ABC", "axc"):
        build.model(f"{name}-{last}")
    assert found(wire, name, f"name LIKE '{name}-a%'") == ["abc", "axc"]
    assert found(wire, name, f"name ILIKE '{name}-A_C'") == ["ABC", "abc", "axc"]
    assert found(wire, name, f"name = '{name}-ABC'") == ["ABC"]
    assert found(wire, name, f"name != '{name}-ABC'") == ["abc", "axc"]


def test_tag_conditions_hold_for_models_that_have_the_tag(wire: Wire, build: Build, name: str):
    """Even `!=` finds only models that have the tag, and several conditions on one key must all hold."""
    for last, value in (("a", "risk"), ("b", "fraud"), ("c", None)):
        build.model(f"{name}-{last}", tags=[{"key": "team", "value": value}] if value else [])
    assert found(wire, name, "tags.team = 'risk'") == ["a"]
    assert found(wire, name, "tags.team != 'risk'") == ["b"]
    assert found(wire, name, "tags.team LIKE '%r%' AND tags.team LIKE 'f%'") == ["b"]


def test_models_are_ordered_by_name_unless_asked(wire: Wire, build: Build, name: str):
    """The default order is by name, ascending."""
    for last in ("b", "c", "a"):
        build.model(f"{name}-{last}")
    assert found(wire, name, "") == ["a", "b", "c"]


def test_versions_are_ordered_newest_first_unless_asked(wire: Wire, build: Build):
    """The default order of versions is by last change, descending, and by number among equals."""
    model = build.model()
    for _ in range(3):
        build.version(model)
    for order, numbers in (([], "321"), (["version_number ASC"], "123"), (["name"], "321")):
        answer = ask(wire, VERSIONS, filter=f"name = '{model}'", order_by=order).ok()
        assert "".join(version["version"] for version in answer["model_versions"]) == numbers


def test_prompts_are_left_out_unless_asked(wire: Wire, build: Build, name: str):
    """A search for models shows no prompts, one for prompts no models, and a model without the tag counts as none."""
    build.model(f"{name}-model")
    build.prompt(f"{name}-prompt")
    is_prompt = "tags.`mlflow.prompt.is_prompt`"
    assert found(wire, name, "") == ["model"]
    assert found(wire, name, f"{is_prompt} = 'true'") == found(wire, name, f"{is_prompt} != 'false'") == ["prompt"]
    assert found(wire, name, f"{is_prompt} = 'false'") == found(wire, name, f"{is_prompt} != 'true'") == ["model"]
