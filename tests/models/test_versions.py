"""Model versions: numbers, records, tags, retirement, and the races for them."""

import pytest

from modelkeep import catalog, models, promotion
from modelkeep.core.errors import Conflict, InvalidInput, NotFound
from modelkeep.db import Tx
from models.registry import ELSEWHERE, Registry, kinds

HUGE = 10**30
ABSENT = [
    lambda tx, number: models.get_version(tx, "iris", number),
    lambda tx, number: models.describe_version(tx, "iris", number, "x"),
    lambda tx, number: models.retire_version(tx, "iris", number),
    lambda tx, number: models.restore_version(tx, "iris", number),
    lambda tx, number: models.set_version_tag(tx, "iris", number, "k", "v"),
    lambda tx, number: models.delete_version_tag(tx, "iris", number, "k"),
    lambda tx, number: promotion.move(tx, "iris", number, "Staging"),
    lambda tx, number: promotion.set_alias(tx, "iris", "champion", number),
    lambda tx, number: catalog.get_version(tx, "iris", number),
    lambda tx, number: catalog.get_any_version(tx, "iris", number),
    lambda tx, number: catalog.download_uri(tx, "iris", number),
]


def test_a_new_version_stands_in_no_stage(registry: Registry) -> None:
    """A version has what the caller said, its creator, and the first number."""
    registry.model()
    registry.version(run_link="http://run", description="first", tags=[("k", "v")])
    view = registry.get()
    assert (view.version, view.stage, view.status, view.created_by) == (1, "None", "READY", "alice")
    assert (view.run_link, view.description, view.tags, view.aliases) == ("http://run", "first", [["k", "v"]], [])
    assert (view.origin, view.digest, view.verified, view.download_uri) == ("external", None, False, ELSEWHERE)


def test_many_creations_at_once_get_consecutive_numbers(registry: Registry) -> None:
    """200 versions created by 40 callers at the same moment have the numbers 1 to 200."""
    registry.model()

    def one(tx: Tx, index: int) -> int:
        return models.create_version(tx, models.NewVersion("iris", ELSEWHERE))

    made = [number for _ in range(5) for number in registry.at_once(40, one)]
    assert sorted(made) == list(range(1, 201))
    assert registry.numbers() == list(range(1, 201))


def test_a_failed_creation_takes_no_number(registry: Registry) -> None:
    """A refused request leaves the counter where it was."""
    registry.model()
    with pytest.raises(InvalidInput):
        registry.version(source="/etc/passwd")
    assert registry.version() == 1


@pytest.mark.parametrize("number", [-1, 0, 9, HUGE])
@pytest.mark.parametrize("use_case", ABSENT)
def test_a_version_that_never_was_is_not_found(registry: Registry, use_case: object, number: int) -> None:
    """Every use case refuses an unknown number in the same words."""
    registry.model()
    with pytest.raises(NotFound) as refusal:
        registry.do(use_case, number)
    assert refusal.value.message == f"Model Version (name=iris, version={number}) not found"


def test_describing_moves_the_version_and_not_the_model(registry: Registry) -> None:
    """A description is the version's own affair; None removes it."""
    registry.model()
    registry.version(description="one")
    before = registry.see(catalog.get_model, "iris").updated_at
    registry.do(models.describe_version, "iris", 1, None)
    assert registry.get().description is None
    assert registry.see(catalog.get_model, "iris").updated_at == before


def test_setting_the_same_tag_again_is_no_news(registry: Registry) -> None:
    """Only changes of tags are told."""
    registry.model()
    registry.version()
    registry.events.clear()
    for value in ("1", "1", "2"):
        registry.do(models.set_version_tag, "iris", 1, "k", value)
    assert registry.get().tags == [["k", "2"]]
    for _ in range(2):
        registry.do(models.delete_version_tag, "iris", 1, "k")
    assert kinds(registry.events) == ["model_version_tag.set"] * 2 + ["model_version_tag.deleted"]


def test_a_retired_version_keeps_its_record(registry: Registry) -> None:
    """Source, creator and tags can still be shown; stage and aliases are gone; the number is not given again."""
    registry.model()
    registry.version(tags=[("k", "v")])
    registry.do(promotion.set_alias, "iris", "champion", 1)
    registry.do(models.retire_version, "iris", 1)
    view = registry.see(catalog.get_any_version, "iris", 1)
    assert (view.source, view.created_by, view.tags) == (ELSEWHERE, "alice", [["k", "v"]])
    assert (view.stage, view.aliases, view.retired_at is None) == (None, [], False)
    assert registry.see(catalog.get_model, "iris").aliases == []
    assert registry.version() == 2
    assert {"model_version.retired", "model_version_alias.deleted"} <= set(kinds(registry.events))


def test_retiring_twice_is_refused(registry: Registry) -> None:
    """A version out of use cannot be taken out of use."""
    registry.model()
    registry.version()
    registry.do(models.retire_version, "iris", 1)
    with pytest.raises(NotFound):
        registry.do(models.retire_version, "iris", 1)


def test_a_restored_version_stands_in_no_stage(registry: Registry) -> None:
    """It is in use again, and has to be placed anew."""
    registry.model()
    registry.staged("Production")
    registry.do(models.retire_version, "iris", 1)
    registry.do(models.restore_version, "iris", 1)
    assert registry.get().stage == "None"
    with pytest.raises(Conflict, match="is not retired"):
        registry.do(models.restore_version, "iris", 1)


def test_after_a_month_a_version_is_not_restored(registry: Registry) -> None:
    """Thirty days are the limit."""
    registry.model()
    registry.version()
    registry.do(models.retire_version, "iris", 1)

    def restore_late(tx: Tx) -> None:
        tx.now += 31 * 24 * 3600 * 1000
        models.restore_version(tx, "iris", 1)

    with pytest.raises(Conflict, match="more than 30 days ago"):
        registry.do(restore_late)


def test_an_alias_set_while_its_version_is_retired_leaves_nothing_dangling(registry: Registry) -> None:
    """Whoever comes first, no alias points at a retired version, and the loser gets a refusal it can understand."""
    registry.model()
    for _ in range(8):
        number = registry.version()

        def one(tx: Tx, index: int, number: int = number) -> None:
            if index % 2:
                promotion.set_alias(tx, "iris", "champion", number)
            else:
                models.retire_version(tx, "iris", number)

        outcomes = registry.at_once(2, one)
        assert all(outcome is None or isinstance(outcome, NotFound) for outcome in outcomes), outcomes
        assert registry.see(catalog.get_model, "iris").aliases == []


def test_versions_created_while_their_model_is_retired_are_retired_with_it(registry: Registry) -> None:
    """A creation comes before the retirement or is refused; none is left in use."""
    registry.model()

    def one(tx: Tx, index: int) -> object:
        if index == 4:
            return models.retire_model(tx, "iris")
        return models.create_version(tx, models.NewVersion("iris", ELSEWHERE))

    outcomes = registry.at_once(8, one)
    made = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert all(not isinstance(outcome, Exception) or isinstance(outcome, NotFound) for outcome in outcomes), outcomes
    registry.do(models.restore_model, "iris")
    assert registry.numbers() == sorted(made)
