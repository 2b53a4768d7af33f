"""Moving versions and pointing aliases, alone and all at once."""

import pytest

from modelkeep import catalog, models, promotion
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.db import Tx
from models.registry import Registry, kinds


def stages(registry: Registry) -> dict[int, str | None]:
    """Where every version stands."""
    return {view.version: view.stage for view in registry.see(catalog.list_versions, "iris", None, 1000)}


def later(tx: Tx) -> Tx:
    """The same transaction, a little later."""
    tx.now += 5
    return tx


def test_a_move_is_told_with_where_it_came_from(registry: Registry) -> None:
    """The event names both stages."""
    model_id = registry.model()
    registry.staged("staging")
    assert registry.events[-1] == promotion.VersionMoved(model_id, "iris", 1, "Staging", "None", None)
    assert registry.events[-1].resource == f"model-version/{model_id}/1"


def test_a_move_updates_version_and_model(registry: Registry) -> None:
    """Moving, also to where it stands, is an update of both."""
    registry.model()
    registry.staged("Staging")
    before = registry.get()
    registry.do(lambda tx: promotion.move(later(tx), "iris", 1, "Staging"))
    assert registry.get().updated_at > before.updated_at
    assert registry.see(catalog.get_model, "iris").updated_at == registry.get().updated_at


def test_archiving_moves_every_other_version_of_the_stage(registry: Registry) -> None:
    """Versions of other stages stay; those archived count as updated, and each is told."""
    registry.model()
    for stage in ("Production", "Production", "Staging", "None"):
        registry.staged(stage)
    before = registry.get(number=1).updated_at
    registry.events.clear()
    registry.do(lambda tx: promotion.move(later(tx), "iris", 4, "Production", archive_existing=True))
    assert stages(registry) == {1: "Archived", 2: "Archived", 3: "Staging", 4: "Production"}
    assert registry.get(number=1).updated_at > before
    assert kinds(registry.events) == ["model_version.moved"] * 3


def test_a_refused_move_changes_nothing(registry: Registry) -> None:
    """A bad stage, an inactive stage to empty, and an unknown version leave everything as it was."""
    registry.model()
    registry.staged("Production")
    moved = registry.see(catalog.get_model, "iris").updated_at
    refused = [(1, "Nowhere", False, InvalidInput), (1, "None", True, InvalidInput), (2, "Production", True, NotFound)]
    for number, stage, archive, error in refused:
        with pytest.raises(error):
            registry.do(
                lambda tx, n=number, s=stage, a=archive: promotion.move(later(tx), "iris", n, s, archive_existing=a)
            )
    assert stages(registry) == {1: "Production"}
    assert registry.see(catalog.get_model, "iris").updated_at == moved


def test_moves_at_once_that_archive_leave_one_in_production(registry: Registry) -> None:
    """Twelve versions moved to Production at the same moment: the last move wins, all others are archived."""
    registry.model()
    for _ in range(12):
        registry.version()

    def one(tx: Tx, index: int) -> None:
        promotion.move(tx, "iris", index + 1, "Production", archive_existing=True)

    assert registry.at_once(12, one) == [None] * 12
    assert sorted(str(stage) for stage in stages(registry).values()) == ["Archived"] * 11 + ["Production"]


def test_an_alias_points_at_one_version(registry: Registry) -> None:
    """Setting an alias again moves it, and setting it where it is changes nothing."""
    model_id = registry.model()
    for _ in range(2):
        registry.version()
    registry.events.clear()
    for number in (1, 2, 2):
        registry.do(promotion.set_alias, "iris", "champion", number)
    assert registry.see(catalog.get_model, "iris").aliases == [["champion", 2]]
    assert registry.events == [
        promotion.AliasSet(model_id, "iris", 1, "champion", None, None),
        promotion.AliasSet(model_id, "iris", 2, "champion", 1, None),
    ]


def test_aliases_set_at_once_point_at_one_of_the_versions(registry: Registry) -> None:
    """Sixteen callers set one alias at the same moment: all succeed, one version has it."""
    registry.model()
    for _ in range(16):
        registry.version()
    outcomes = registry.at_once(16, lambda tx, index: promotion.set_alias(tx, "iris", "champion", index + 1))
    assert outcomes == [None] * 16
    (alias,) = registry.see(catalog.get_model, "iris").aliases
    assert alias[0] == "champion"
    assert registry.see(catalog.get_version_by_alias, "iris", "champion").version == alias[1]


def test_deleting_an_alias_is_told_once(registry: Registry) -> None:
    """An absent alias is already deleted; an unknown model is a mistake."""
    registry.model()
    registry.version()
    registry.do(promotion.set_alias, "iris", "champion", 1)
    registry.events.clear()
    for _ in range(2):
        registry.do(promotion.delete_alias, "iris", "champion")
    assert kinds(registry.events) == ["model_version_alias.deleted"]
    with pytest.raises(NotFound):
        registry.do(promotion.delete_alias, "never", "champion")


def test_an_alias_of_a_retired_version_is_refused(registry: Registry) -> None:
    """An alias needs a version in use."""
    registry.model()
    registry.version()
    registry.do(models.retire_version, "iris", 1)
    with pytest.raises(NotFound):
        registry.do(promotion.set_alias, "iris", "champion", 1)
