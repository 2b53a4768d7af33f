"""Reading the registry: latest versions, aliases, pages, and keys in bulk."""

import pytest

from modelkeep import catalog, models, promotion
from modelkeep.core.errors import InvalidInput, NotFound
from models.registry import ELSEWHERE, Registry


def test_the_latest_of_each_stage(registry: Registry) -> None:
    """Each stage that has versions is stood for by its newest; stages are read in any case."""
    registry.model()
    for stage in ("Staging", "Staging", "Production", "None"):
        registry.staged(stage)
    found = registry.see(catalog.latest_versions, "iris")
    assert {view.stage: view.version for view in found} == {"Staging": 2, "Production": 3, "None": 4}
    assert [view.version for view in registry.see(catalog.latest_versions, "iris", ["staging", "STAGING"])] == [2]
    assert registry.see(catalog.latest_versions, "iris", ["Archived"]) == []


def test_the_latest_of_an_unknown_model_or_stage(registry: Registry) -> None:
    """No model and no such stage are told apart from no versions."""
    registry.model()
    assert registry.see(catalog.latest_versions, "iris") == []
    with pytest.raises(NotFound):
        registry.see(catalog.latest_versions, "never")
    with pytest.raises(InvalidInput):
        registry.see(catalog.latest_versions, "iris", ["Nowhere"])


def test_a_model_shows_its_latest_versions(registry: Registry) -> None:
    """A model comes with the newest of each stage, and those with their tags and aliases."""
    registry.model()
    registry.version(tags=[("b", "2"), ("a", "1")])
    registry.do(promotion.set_alias, "iris", "champion", 1)
    (latest,) = registry.see(catalog.get_model, "iris").latest
    assert (latest.tags, latest.aliases) == ([["a", "1"], ["b", "2"]], ["champion"])


def test_latest_as_an_alias(registry: Registry) -> None:
    """`latest` is the newest version of all, and missing where there is none."""
    registry.model()
    with pytest.raises(NotFound, match="Latest version not found for model iris"):
        registry.see(catalog.get_version_by_alias, "iris", "latest")
    for stage in ("None", "Production"):
        registry.staged(stage)
    assert registry.see(catalog.get_version_by_alias, "iris", "LATEST").version == 2


def test_an_unknown_alias_is_told_apart_from_an_unknown_model(registry: Registry) -> None:
    """The alias of a model that exists is a wrong parameter; the model itself is not found."""
    registry.model()
    with pytest.raises(InvalidInput, match="Registered model alias champion not found"):
        registry.see(catalog.get_version_by_alias, "iris", "champion")
    with pytest.raises(NotFound, match="Registered Model with name=never not found"):
        registry.see(catalog.get_version_by_alias, "never", "champion")


def test_models_in_the_order_of_their_ids(registry: Registry) -> None:
    """Asking for many ids answers in that order, leaves out unknown ones, and brings the latest versions."""
    ids = [registry.model(f"m{index}") for index in range(3)]
    registry.staged("Production", "m1")
    found = registry.see(catalog.models_by_ids, [ids[2], "unknown", ids[1], ids[0]])
    assert [view.name for view in found] == ["m2", "m1", "m0"]
    assert [[version.stage for version in view.latest] for view in found] == [[], ["Production"], []]


def test_versions_in_the_order_of_their_keys(registry: Registry) -> None:
    """Asking for more keys than one statement takes answers all, in order, without unknown ones."""
    model_id = registry.model()

    def many(tx: object) -> None:
        for _ in range(1100):
            models.create_version(tx, models.NewVersion("iris", ELSEWHERE))

    registry.do(many)
    keys = [(model_id, number) for number in range(1101, 0, -1)]
    found = registry.see(catalog.versions_by_keys, keys)
    assert [view.version for view in found] == list(range(1100, 0, -1))
    assert registry.see(catalog.versions_by_keys, []) == []


def test_pages_of_models_and_versions(registry: Registry) -> None:
    """A page ends where the next one begins."""
    for name in ("c", "a", "b"):
        registry.model(name)
    for _ in range(3):
        registry.version("a")
    registry.do(models.retire_version, "a", 2)
    assert [view.name for view in registry.see(catalog.list_models, "", 2)] == ["a", "b"]
    assert [view.name for view in registry.see(catalog.list_models, "b", 2)] == ["c"]
    assert [view.version for view in registry.see(catalog.list_versions, "a", None, 1)] == [3]
    assert [view.version for view in registry.see(catalog.list_versions, "a", 3, 5)] == [1]
    everything = registry.see(catalog.list_versions, "a", None, 5, with_retired=True)
    assert [view.version for view in everything] == [3, 2, 1]


def test_retired_models_in_pages(registry: Registry) -> None:
    """The last retired comes first, also when several were retired in one moment."""

    def retire_all(tx: object) -> None:
        for name in ("a", "b", "c"):
            models.create_model(tx, name)
            models.retire_model(tx, name)

    registry.do(retire_all)
    seen: list[str] = []
    after = None
    for _ in range(3):
        (view,) = registry.see(catalog.list_retired_models, after, 1)
        seen.append(view.name)
        after = (view.retired_at, view.id)
    assert sorted(seen) == ["a", "b", "c"]
    assert registry.see(catalog.list_retired_models, after, 1) == []
