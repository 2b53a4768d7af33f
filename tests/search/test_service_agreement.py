"""Random filters and orders find, on both databases and by every plan, what they mean; and pages make up the whole."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelkeep.search import Page, ViewType, paging, search_runs, search_versions
from modelkeep.search.grammar import parse_filter
from modelkeep.search.order import parse_order
from modelkeep.search.paging import by, with_ties
from modelkeep.search.schemas import RUNS, VERSIONS
from modelkeep.search.store.origins import Costs
from search.conftest import World
from search.judge import holds, ordered
from search.world import CALLER, LONG, NAMES, VALUES

# In so small a world all candidates are few and get sorted; with the other costs indexes are walked, also by groups.
PLANS = [Costs(), Costs(0, 0, 10**6, 0), Costs(candidates=3, by_beginning=3, large=2, few=1)]


def quoted(text: str) -> str:
    """A string of the language."""
    return "'" + text.replace("'", "''") + "'"


texts = st.sampled_from([*VALUES, *NAMES]).map(quoted)
patterns = st.one_of(
    st.sampled_from(["%", "a%", "%a%", "r_d", "R%", "%\\%", "_", "", "a\\%", "ü%", "%x%1", LONG + "%", "x%", "red%x"]),
    st.sampled_from(NAMES),
).map(quoted)
numbers = st.sampled_from(["0", "1", "1.0", "-2.5", "2", "1e300", "0.999"])
times = st.sampled_from(["0", "1000", "1500.5", "2000", "9999"])
comparisons = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


def text_terms(keys: list[str]) -> st.SearchStrategy[str]:
    """Comparisons of texts."""
    key = st.sampled_from(keys)
    return st.one_of(
        st.builds("{} {} {}".format, key, st.sampled_from(["=", "!="]), texts),
        st.builds("{} {} {}".format, key, st.sampled_from(["LIKE", "ILIKE"]), patterns),
    )


def trees(terms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Filters of these terms."""
    return st.recursive(
        terms,
        lambda inner: st.one_of(
            st.builds("({} AND {})".format, inner, inner),
            st.builds("({} OR {})".format, inner, inner),
            st.builds("NOT {}".format, inner),
        ),
        max_leaves=4,
    )


def filters(terms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Terms that must all hold, and trees of them."""
    return st.one_of(st.lists(terms, max_size=3).map(" AND ".join), trees(terms))


def orders(keys: list[str]) -> st.SearchStrategy[list[str]]:
    """Up to three keys, each in a direction."""
    directed = st.builds("{} {}".format, st.sampled_from(keys), st.sampled_from(["ASC", "DESC"]))
    return st.lists(directed, max_size=3, unique_by=lambda clause: clause.split()[0])


free = ["tags.k", "tags.l", "params.k", "params.l"]
run_terms = st.one_of(
    text_terms([*free, "run_name", "status", "user_id", "artifact_uri"]),
    st.builds("{} {}".format, st.sampled_from([*free, "tags.none"]), st.sampled_from(["IS NULL", "IS NOT NULL"])),
    st.builds("{} {} {}".format, st.sampled_from(["metrics.m", "metrics.n", "metrics.none"]), comparisons, numbers),
    st.builds("{} {} {}".format, st.sampled_from(["start_time", "end_time"]), comparisons, times),
    st.sampled_from(["dataset.name = 'iris'", "dataset.name != 'iris'", "dataset.name IN ('wine', 'x')"]),
    st.sampled_from(["run_id IN ('a', 'b')", "run_id NOT IN ('a')", "run_id LIKE 'a%'", "run_id IN ('A')"]),
)
run_orders = orders(
    ["metrics.m", "metrics.n", "metrics.none", "params.k", "tags.k", "start_time", "end_time", "run_name"]
)
version_terms = st.one_of(
    text_terms(["tags.k", "tags.l", "name", "source_path", "description", "user_id", "digest", "run_id", "model_id"]),
    st.builds("version_number {} {}".format, comparisons, st.sampled_from(["1", "3", "8"])),
    st.sampled_from(["name IN ('red', 'blue')", "name NOT IN ('red')", "digest IN ('d1')", "run_id NOT IN ('aa')"]),
    st.sampled_from(["current_stage = 'production'", "stage != 'None'", "current_stage IN ('Staging', 'None')"]),
    st.sampled_from(
        ["aliases = 'champion'", "alias LIKE 'v-%'", "aliases != 'champion'", "alias IN ('x', 'champion')"]
    ),
    st.sampled_from(["tags.k IS NULL", "tags.l IS NOT NULL"]),
)
version_orders = orders(["name", "version_number", "creation_timestamp", "last_updated_timestamp"])


def all_pages(search: Callable[[str | None], Page[Any]], most: int) -> list[Any]:
    """Every entry, page by page; no page is larger than asked, none but the last smaller."""
    page = search(None)
    found = list(page.items)
    while page.next_page_token is not None:
        assert len(page.items) == most
        page = search(page.next_page_token)
        found += page.items
    assert len(page.items) <= most
    return found


@pytest.mark.parametrize("costs", PLANS)
@given(
    text=filters(run_terms), order=run_orders, view=st.sampled_from(list(ViewType)), most=st.sampled_from([1, 7, 40])
)
@settings(deadline=None)
def test_runs_agree(world: World, costs: Costs, text: str, order: list[str], view: ViewType, most: int):
    """Any search of runs finds exactly those that the filter holds for, in order, each once."""
    experiments = ["1", "2"]
    expr = parse_filter(text, RUNS)
    keys = with_ties(parse_order(order, RUNS), by("start_time", ascending=False), by("run_id", ascending=True))
    seen = [t for t in world.runs if t.attributes["experiment"] in (1, 2) and t.attributes["lifecycle"] in view.value]
    expected = ordered([thing for thing in seen if holds(thing, expr)], keys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "COSTS", costs)
        found = world.database.read_now(
            CALLER,
            lambda tx: all_pages(lambda token: search_runs(tx, experiments, text, view, most, order, token), most),
        )
    assert [run.id for run in found] == expected


@pytest.mark.parametrize("costs", PLANS)
@given(text=filters(version_terms), order=version_orders, most=st.sampled_from([1, 7, 40]))
@settings(deadline=None)
def test_versions_agree(world: World, costs: Costs, text: str, order: list[str], most: int):
    """Any search of versions finds exactly those in use that the filter holds for, in order, each once."""
    expr = parse_filter(text, VERSIONS)
    first = () if order else (by("last_updated_timestamp", ascending=False),)
    ties = (by("name", ascending=True), by("version_number", ascending=False))
    seen = [t for t in world.versions if not t.hidden and t.attributes["kind"] == "model"]
    expected = ordered([t for t in seen if holds(t, expr)], with_ties((*parse_order(order, VERSIONS), *first), *ties))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "COSTS", costs)
        found = world.database.read_now(
            CALLER, lambda tx: all_pages(lambda token: search_versions(tx, text, most, order, token), most)
        )
    assert [(version.model_id, version.version) for version in found] == expected
