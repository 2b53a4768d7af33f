"""Registered models: creation, names and the numbers under them, retirement and restoring."""

import pytest

from modelkeep import catalog, models, promotion
from modelkeep.core.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from modelkeep.core.types import Actor, Caller
from modelkeep.db import Tx
from models.registry import ALICE, Registry, kinds

PROMPT = [("mlflow.prompt.is_prompt", "true")]
MONTH_MS = 31 * 24 * 3600 * 1000


def later(tx: Tx, ms: int) -> Tx:
    """The same transaction, seen from another time."""
    tx.now += ms
    return tx


def test_a_new_model_knows_who_made_it(registry: Registry) -> None:
    """The caller is the creator, and the fact is told once."""
    model_id = registry.model(description="why", tags=[("team", "risk")])
    view = registry.see(catalog.get_model, "iris")
    assert (view.id, view.created_by, view.description, view.tags) == (model_id, "alice", "why", [["team", "risk"]])
    assert (view.kind, view.last_version, view.latest, view.aliases) == ("model", 0, [], [])
    assert registry.events == [models.ModelCreated(model_id, "iris", "model", "why", {"team": "risk"})]


def test_of_many_creations_of_one_name_one_succeeds(registry: Registry) -> None:
    """32 callers create the same name at the same moment: one model, 31 refusals."""
    outcomes = registry.at_once(32, lambda tx, _: models.create_model(tx, "iris"))
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 31


def test_models_and_prompts_share_their_names(registry: Registry) -> None:
    """A refusal tells whether a model or a prompt has the name."""
    registry.model("m")
    registry.model("p", tags=PROMPT)
    with pytest.raises(AlreadyExists, match="already taken by a prompt"):
        registry.model("p")
    with pytest.raises(AlreadyExists, match="already taken by a registered model"):
        registry.model("m", tags=PROMPT)
    with pytest.raises(AlreadyExists, match=r"Prompt \(name=p\) already exists"):
        registry.model("p", tags=PROMPT)


def test_the_same_name_in_two_workspaces_is_two_models(registry: Registry) -> None:
    """Names belong to their workspace, and nothing of one is seen from another."""
    registry.model()
    registry.version()
    registry.caller = Caller(Actor("bob", "token"), "other")
    with pytest.raises(NotFound):
        registry.see(catalog.get_model, "iris")
    with pytest.raises(NotFound):
        registry.see(catalog.get_version, "iris", 1)
    registry.model()
    assert registry.version() == 1


def test_describing_a_model_moves_its_time(registry: Registry) -> None:
    """A new description is an update."""
    registry.model()
    registry.do(lambda tx: models.describe_model(later(tx, 5), "iris", "new"))
    view = registry.see(catalog.get_model, "iris")
    assert view.description == "new"
    assert view.updated_at > view.created_at


def test_setting_the_same_tag_again_is_no_news(registry: Registry) -> None:
    """An event tells a change, so setting and deleting what is already so emits none."""
    registry.model()
    for value in ("1", "1", "2"):
        registry.do(models.set_model_tag, "iris", "k", value)
    for _ in range(2):
        registry.do(models.delete_model_tag, "iris", "k")
    assert kinds(registry.events)[1:] == ["registered_model_tag.set"] * 2 + ["registered_model_tag.deleted"]


def test_the_prompt_tag_decides_the_kind(registry: Registry) -> None:
    """Setting and deleting the tag that marks prompts changes what the model counts as."""
    registry.model()
    registry.do(models.set_model_tag, "iris", *PROMPT[0])
    assert registry.see(catalog.get_model, "iris").kind == "prompt"
    registry.do(models.delete_model_tag, "iris", PROMPT[0][0])
    assert registry.see(catalog.get_model, "iris").kind == "model"


@pytest.mark.parametrize(
    "use_case",
    [
        lambda tx: models.set_model_tag(tx, "iris", "modelkeep.x", "1"),
        lambda tx: models.delete_model_tag(tx, "iris", "modelkeep.x"),
        lambda tx: models.create_model(tx, "other", [("modelkeep.x", "1")]),
    ],
)
def test_the_registrys_tags_are_not_for_callers(registry: Registry, use_case: object) -> None:
    """No call sets or deletes a tag that the registry keeps."""
    registry.model()
    with pytest.raises(InvalidInput, match="kept by the registry"):
        registry.do(use_case)


def test_rename_takes_everything_along(registry: Registry) -> None:
    """Versions, tags, aliases and stages follow the new name; id and numbers stay."""
    model_id = registry.model(tags=[("team", "risk")])
    registry.staged("Production")
    registry.do(promotion.set_alias, "iris", "champion", 1)
    registry.do(models.rename_model, "iris", "rose")
    view = registry.see(catalog.get_version_by_alias, "rose", "champion")
    assert (view.model_id, view.name, view.version, view.stage) == (model_id, "rose", 1, "Production")
    assert registry.see(catalog.get_model, "rose").tags == [["team", "risk"]]
    with pytest.raises(NotFound):
        registry.see(catalog.get_version, "iris", 1)


def test_rename_to_a_taken_name_is_refused(registry: Registry) -> None:
    """A rename replaces no model, and leaves no trace when it is refused."""
    registry.model()
    registry.model("rose")
    with pytest.raises(AlreadyExists, match=r"Registered Model \(name=rose\) already exists"):
        registry.do(models.rename_model, "iris", "rose")
    assert {view.name for view in registry.see(catalog.list_models, "", 10)} == {"iris", "rose"}


def test_rename_to_its_own_name_changes_nothing(registry: Registry) -> None:
    """The name that it has is not taken by another."""
    registry.model()
    registry.do(models.rename_model, "iris", "iris")
    assert kinds(registry.events) == ["registered_model.created"]


def test_rename_back_to_an_own_former_name(registry: Registry) -> None:
    """A model's own numbers do not keep it from a name it had, and counting goes on."""
    registry.model()
    registry.version()
    registry.do(models.rename_model, "iris", "rose")
    registry.version("rose")
    registry.do(models.rename_model, "rose", "iris")
    assert registry.version() == 3


def test_of_many_renames_to_one_name_one_succeeds(registry: Registry) -> None:
    """Models renamed to the same name at the same moment: one has it, the others keep theirs."""
    for index in range(8):
        registry.model(f"m{index}")
    outcomes = registry.at_once(8, lambda tx, index: models.rename_model(tx, f"m{index}", "rose"))
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 7
    assert len(registry.see(catalog.list_models, "", 100)) == 8


def test_a_rename_and_a_creation_of_one_name_do_not_both_succeed(registry: Registry) -> None:
    """Whichever way a name is taken at the same moment, one call gets it."""
    for index in range(4):
        registry.model(f"m{index}")

    def take(tx: Tx, index: int) -> object:
        return models.rename_model(tx, f"m{index}", "rose") if index < 4 else models.create_model(tx, "rose")

    outcomes = registry.at_once(8, take)
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 7


def test_a_new_model_of_an_old_name_goes_on_counting(registry: Registry) -> None:
    """The numbers of a retired and of a renamed model are not given again under their name."""
    registry.model()
    for _ in range(3):
        registry.version()
    registry.do(models.retire_model, "iris")
    registry.model()
    assert registry.version() == 4
    registry.do(models.rename_model, "iris", "rose")
    registry.model()
    assert registry.version() == 5


def test_rename_onto_numbers_of_another_is_refused(registry: Registry) -> None:
    """`models:/iris/1` would come to mean other files, so the name is refused with a remedy."""
    registry.model()
    registry.version()
    registry.do(models.retire_model, "iris")
    registry.model("rose")
    registry.version("rose")
    with pytest.raises(AlreadyExists, match=r"Version 1 of 'iris' was another model's.*Choose another name"):
        registry.do(models.rename_model, "rose", "iris")


def test_rename_onto_a_used_name_without_overlap_goes_on_counting(registry: Registry) -> None:
    """A model without clashing numbers takes the name and counts from where the name had come to."""
    registry.model()
    registry.version()
    registry.do(models.retire_model, "iris")
    registry.model("rose")
    registry.do(models.rename_model, "rose", "iris")
    assert registry.version() == 2


def test_a_retired_model_is_hidden_from_every_read(registry: Registry) -> None:
    """Neither the model nor its versions are found by name, number, alias, stage, key or list."""
    model_id = registry.model()
    registry.staged("Production")
    registry.do(promotion.set_alias, "iris", "champion", 1)
    registry.do(models.retire_model, "iris")
    reads = [
        (catalog.get_model, "iris"),
        (catalog.get_version, "iris", 1),
        (catalog.get_any_version, "iris", 1),
        (catalog.get_version_by_alias, "iris", "champion"),
        (catalog.alias_target, "iris", "champion"),
        (catalog.latest_versions, "iris", ["Production"]),
        (catalog.download_uri, "iris", 1),
        (models.get_version, "iris", 1),
        (catalog.list_versions, "iris", None, 10),
    ]
    for use_case, *given in reads:
        with pytest.raises(NotFound):
            registry.see(use_case, *given)
    assert registry.see(catalog.models_by_ids, [model_id]) == []
    assert registry.see(catalog.versions_by_keys, [(model_id, 1)]) == []
    assert registry.see(catalog.list_models, "", 10) == []


def test_restoring_brings_back_everything(registry: Registry) -> None:
    """Versions, tags, aliases, stages, sources and creators are as they were; retired versions stay retired."""
    registry.model(tags=[("team", "risk")])
    registry.staged("Production")
    registry.version()
    registry.do(models.retire_version, "iris", 2)
    registry.do(promotion.set_alias, "iris", "champion", 1)
    before = registry.see(catalog.get_version_by_alias, "iris", "champion")
    registry.do(models.retire_model, "iris")
    assert [view.name for view in registry.see(catalog.list_retired_models, None, 10)] == ["iris"]
    assert registry.do(models.restore_model, "iris") == "iris"
    after = registry.see(catalog.get_version_by_alias, "iris", "champion")
    assert after._replace(updated_at=0) == before._replace(updated_at=0)
    assert registry.see(catalog.get_model, "iris").tags == [["team", "risk"]]
    assert registry.numbers() == [1]
    assert registry.see(catalog.list_retired_models, None, 10) == []


def test_restoring_onto_a_taken_name_needs_another(registry: Registry) -> None:
    """The refusal tells the remedy, and the remedy works."""
    model_id = registry.model()
    registry.version()
    registry.do(models.retire_model, "iris")
    registry.model()
    with pytest.raises(AlreadyExists, match=r"already exists\. Restore it under another name"):
        registry.do(models.restore_model, "iris")
    assert registry.do(models.restore_model, model_id, "rose") == "rose"
    assert registry.get("rose").model_id == model_id


def test_of_two_retired_models_of_a_name_the_last_comes_back_and_the_first_by_its_id(registry: Registry) -> None:
    """A name means the last retired; an id means one model. Counting goes on above both."""
    first = registry.model()
    registry.version()
    registry.do(models.retire_model, "iris")
    second = registry.do(lambda tx: models.create_model(later(tx, 5), "iris"))
    registry.version()
    registry.do(lambda tx: models.retire_model(later(tx, 10), "iris"))
    registry.do(models.restore_model, "iris")
    assert registry.see(catalog.get_model, "iris").id == second
    registry.do(models.rename_model, "iris", "rose")
    registry.do(models.restore_model, first)
    assert registry.see(catalog.get_model, "iris").id == first
    assert registry.version() == 3


def test_after_a_month_a_model_is_not_restored(registry: Registry) -> None:
    """Thirty days are the limit."""
    registry.model()
    registry.do(models.retire_model, "iris")
    with pytest.raises(Conflict, match="over 30 days ago"):
        registry.do(lambda tx: models.restore_model(later(tx, MONTH_MS), "iris"))


def test_restoring_what_is_not_retired_is_refused(registry: Registry) -> None:
    """A model in use, and one that never was, cannot be restored."""
    registry.model()
    for reference in ("iris", "never"):
        with pytest.raises(NotFound):
            registry.do(models.restore_model, reference)


def test_a_model_is_one_resource_under_all_its_names(registry: Registry) -> None:
    """Events name the permanent id, so a rename does not break a model's history."""
    model_id = registry.model()
    registry.do(models.rename_model, "iris", "rose")
    registry.do(models.retire_model, "rose")
    registry.do(models.restore_model, "rose")
    assert {event.resource for event in registry.events} == {f"registered-model/{model_id}"}
    assert kinds(registry.events)[1:] == [f"registered_model.{past}" for past in ("renamed", "retired", "restored")]
    assert ALICE.actor.name == registry.see(catalog.get_model, "rose").created_by
