"""Searches beyond their filters: what is searched at all, defaults, limits, and page tokens as callers bend them."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from modelkeep.core.errors import InvalidInput
from modelkeep.core.types import Actor, Caller
from modelkeep.db import Tx
from modelkeep.search import (
    DatasetFilter,
    OrderField,
    ViewType,
    search_experiments,
    search_logged_models,
    search_models,
    search_runs,
    search_versions,
)
from search.conftest import World
from search.world import CALLER

Search = Callable[[Tx], Any]


def ask(world: World, search: Search, caller: Caller = CALLER) -> Any:
    """The page that a search answers."""
    return world.database.read_now(caller, search)


def names(world: World, text: str | None = None, *order: str) -> list[str]:
    """The names of the models that a search finds."""
    return [model.name for model in ask(world, lambda tx: search_models(tx, text, order_by=order)).items]


def test_models_come_by_name_without_retired_ones_and_prompts(world: World):
    """A search of models without arguments shows those in use, prompts left out, in code point order."""
    assert names(world) == ["100%", "Red", "r_d", "red", "red fox", "Über", "über"]


@pytest.mark.parametrize("order", ["name DESC", "name ASC"])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_pages_by_a_name_alone_make_up_the_whole(world: World, order: str, most: int):
    """Models in the order of their name, either way and nothing else, go on behind each page."""
    pages = ask(world, lambda tx: search_models(tx, None, most, [order]))
    found = [model.name for model in pages.items]
    while pages.next_page_token:
        token = pages.next_page_token
        pages = ask(world, lambda tx, token=token: search_models(tx, None, most, [order], token))
        found += [model.name for model in pages.items]
    assert found == names(world, None, order)


def test_prompts_are_found_when_asked_for(world: World):
    """The prompt tag of a filter chooses prompts, models, or with an alternative both."""
    assert names(world, "tags.`mlflow.prompt.is_prompt` = 'true'") == ["blue"]
    assert "blue" not in names(world, "tags.`mlflow.prompt.is_prompt` != 'true'")
    assert "blue" in names(world, "tags.`mlflow.prompt.is_prompt` = 'x' OR name LIKE 'b%'")


def test_models_in_the_order_asked_for(world: World):
    """Equal times are told apart by name, upwards in both directions."""
    found = ask(world, lambda tx: search_models(tx, None, order_by=["timestamp DESC"])).items
    assert [(-model.updated_at, model.name) for model in found] == sorted((-m.updated_at, m.name) for m in found)


def test_conditions_on_tags_and_aliases_of_models(world: World):
    """A model is found by its own tags, and by the aliases of its versions."""
    assert names(world, "tags.k = 'ab'") == ["red fox"]
    assert set(names(world, "aliases = 'champion'")) <= set(names(world))
    assert names(world, "aliases = 'nobody'") == []


def test_another_workspace_shows_nothing_of_this_one(world: World):
    """No search reaches into another workspace, whatever its filter says."""
    stranger = Caller(Actor("stranger", "none"), "elsewhere")
    for text in (None, "NOT name = 'x'"):
        assert ask(world, lambda tx, text=text: search_models(tx, text), stranger).items == []
        assert ask(world, lambda tx, text=text: search_versions(tx, text), stranger).items == []
    for text in (None, "tags.k != 'x'", "NOT tags.k = 'x'", "metrics.m > -1e9"):
        assert ask(world, lambda tx, text=text: search_runs(tx, ["1", "2"], text), stranger).items == []


def test_the_other_workspaces_experiment_of_the_same_number_is_its_own(world: World):
    """Experiments are numbered in each workspace, so the number alone does not find a run."""
    other = Caller(Actor("tester", "none"), "other")
    seen = ask(world, lambda tx: search_runs(tx, ["1"], None, ViewType.ALL), other).items
    assert len(seen) == 1
    assert seen[0].id not in {thing.id for thing in world.runs}


def test_experiments_come_newest_first_and_by_number(world: World):
    """The default order of experiments is by age, then upwards by id; an order of one's own ends with the id down."""
    everything = ask(world, lambda tx: search_experiments(tx, None, ViewType.ACTIVE_ONLY, 10)).items
    assert [experiment.id for experiment in everything] == [1, 2, 3]
    by_time = ask(world, lambda tx: search_experiments(tx, None, ViewType.ALL, 10, ["creation_time"])).items
    assert [experiment.id for experiment in by_time] == [3, 2, 1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("experiment_id = '2'", [2]),
        ("experiment_id != '2'", [1, 3]),
        ("experiment_id IN ('1', '3', 'x')", [1, 3]),
        ("name LIKE 'experiment _' AND last_update_time < 999", [2, 3]),
        ("name = 'experiment 3' OR NOT last_update_time < 999", [1, 3]),
        ("tags.x IS NULL", [1, 2, 3]),
    ],
)
def test_filters_of_experiments(world: World, text: str, found: list[int]):
    """Experiments are found by name, number (as text), times and tags."""
    page = ask(world, lambda tx: search_experiments(tx, text, ViewType.ACTIVE_ONLY, 10))
    assert [experiment.id for experiment in page.items] == found


def test_runs_of_no_experiments_are_none(world: World):
    """Without experiments there is nothing to look through."""
    assert ask(world, lambda tx: search_runs(tx, [])).items == []


def test_many_experiments_are_searched_as_few_are(world: World):
    """With so many experiments that they are sorted together the answer is the same."""
    few = ask(world, lambda tx: search_runs(tx, ["1", "2", "3"], "tags.k != 'x'", order_by=["metrics.m DESC"])).items
    many = [str(number) for number in range(1, 300)]
    all_at_once = ask(world, lambda tx: search_runs(tx, many, "tags.k != 'x'", order_by=["metrics.m DESC"])).items
    assert [run.id for run in all_at_once] == [run.id for run in few] != []


def test_experiments_that_are_no_numbers_are_refused(world: World):
    """An id that is no number is the caller's mistake; one that is too large is of no experiment."""
    with pytest.raises(InvalidInput, match=r"^Invalid experiment ID 'x'\. Experiment ID must be a valid integer\.$"):
        ask(world, lambda tx: search_runs(tx, ["1", "x"]))
    assert ask(world, lambda tx: search_runs(tx, ["9" * 30])).items == []


LIMITS: list[tuple[Callable[[Tx, int], Any], int, str]] = [
    (lambda tx, most: search_models(tx, None, most), 1000, "It must be at most 1000"),
    (lambda tx, most: search_runs(tx, ["1"], None, ViewType.ALL, most), 50_000, "It must be at most 50000"),
    (lambda tx, most: search_experiments(tx, None, ViewType.ALL, most), 50_000, "It must be at most 50000"),
    (lambda tx, most: search_versions(tx, None, most), 200_000, "It must be at most 200000"),
]


@pytest.mark.parametrize(("search", "most", "said"), LIMITS)
def test_pages_have_a_largest_size(world: World, search: Callable[[Tx, int], Any], most: int, said: str):
    """The limit is allowed, one more and none at all are refused."""
    ask(world, lambda tx: search(tx, most))
    with pytest.raises(InvalidInput, match=said):
        ask(world, lambda tx: search(tx, most + 1))
    for wrong in (0, -1):
        with pytest.raises(InvalidInput, match="It must be a positive integer"):
            ask(world, lambda tx, wrong=wrong: search(tx, wrong))


def runs_page(
    token: str | None = None, text: str = "", order: list[str] | None = None, experiment: str = "1"
) -> Search:
    """A search of three runs."""
    return lambda tx: search_runs(tx, [experiment], text, ViewType.ALL, 3, order or [], token)


def test_a_token_leads_on_only_in_its_own_search(world: World):
    """With another filter, order or experiment a token is refused, and the text says which it was."""
    token = ask(world, runs_page()).next_page_token
    assert len(ask(world, runs_page(token)).items) == 3
    for search, said in (
        (runs_page(token, text="status = 'RUNNING'"), "Filter string in the page token does not match"),
        (runs_page(token, order=["run_name"]), "Order by in the page token does not match"),
        (runs_page(token, experiment="2"), "Experiment IDs in the page token do not match"),
    ):
        with pytest.raises(InvalidInput, match=said):
            ask(world, search)


def test_the_last_page_has_no_token(world: World):
    """A page that ends with the last row says that there is no further one."""
    number = sum(thing.attributes["experiment"] == 1 for thing in world.runs)
    page = ask(world, lambda tx: search_runs(tx, ["1"], "", ViewType.ALL, number))
    assert (len(page.items), page.next_page_token) == (number, None)


def bent(token: str, values: object) -> str:
    """The token with other contents in the place of its last row."""
    content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return base64.urlsafe_b64encode(json.dumps([*content[:3], values]).encode()).decode()


@pytest.mark.parametrize(
    "values",
    [
        None,
        5,
        [],
        [0],
        ["0", 1, "x"],
        [0, 2**63, "x"],
        [0, "1", "x"],
        [0, 1, 2],
        [0, 1, "\x00"],
        [0, 1, "\ud800"],
        [True, 1, "x"],
        [0, [1], "x"],
        [0, 1.5, "x"],
        [0, float("nan"), "x"],
        [0, 1, "x", 2],
    ],
)
def test_a_bent_token_is_refused(world: World, values: object):
    """Whatever stands in a token, it is either a row of the search's order or refused as the caller's mistake."""
    token = ask(world, runs_page()).next_page_token
    with pytest.raises(InvalidInput, match=r"^Invalid page token, "):
        ask(world, runs_page(bent(token, values)))


@pytest.mark.parametrize(
    "token", ["!!", "a", "bm90IGpzb24", "W10", "e30", "NQ", "[" * 3000, "é", "eyJvZmZzZXQiOiAxMH0="]
)
def test_what_is_no_token_is_refused(world: World, token: str):
    """Text that this server never gave out is refused."""
    with pytest.raises(InvalidInput, match=r"^Invalid page token, "):
        ask(world, runs_page(token))
    with pytest.raises(InvalidInput, match=r"^Invalid page token: "):
        ask(world, lambda tx: search_logged_models(tx, ["1"], page_token=token))


def test_a_rank_that_no_row_has_finds_the_rest_or_nothing(world: World):
    """A token bent to a place where no row can be does no harm."""
    token = ask(world, runs_page()).next_page_token
    for rank in (-1, 3, 2**62):
        assert len(ask(world, runs_page(bent(token, [rank, 1, "x"]))).items) <= 3


def test_datasets_of_a_search_need_names(world: World):
    """A dataset is named, and a search names no more than a hundred."""
    for datasets in ([DatasetFilter("")], [DatasetFilter("d")] * 101):
        with pytest.raises(InvalidInput):
            ask(world, lambda tx, datasets=datasets: search_logged_models(tx, ["1"], None, datasets))


def test_keys_to_order_logged_models_by_are_known(world: World):
    """An unknown field is refused in words that clients match."""
    with pytest.raises(InvalidInput, match="Invalid order by field name: foo"):
        ask(world, lambda tx: search_logged_models(tx, ["1"], order_by=[OrderField("foo")]))
