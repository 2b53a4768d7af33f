"""Versions whose files are let go of: by rule or retirement, never what is placed or held, and what is left of them."""

import threading
from typing import Any

import pytest

from modelkeep import artifacts, models, promotion, retention, runs
from modelkeep.core.errors import Conflict, NotFound
from modelkeep.retention import Rule, Terms
from retention.keeper import Keeper


@pytest.fixture
def five(keeper: Keeper) -> Keeper:
    """A model with five versions of different files, which no run has any more."""
    keeper.model()
    for number in range(1, 6):
        keeper.version(f"weights {number}")
    keeper.events.clear()
    return keeper


def kept(keeper: Keeper) -> list[int]:
    """The versions whose files can be read, right."""
    return [n for n in range(1, 6) if keeper.show(n).reclaimed_at is None and keeper.content(n) == b"weights %d" % n]


def test_without_a_rule_every_version_is_kept(five: Keeper) -> None:
    """However old, no version in use goes by itself."""
    five.days_pass(10_000)
    assert five.candidates() == {}
    five.gc(older_than=0, trash_days=0)
    assert kept(five) == [1, 2, 3, 4, 5]


def test_a_workspaces_rule_lets_the_rest_go(five: Keeper) -> None:
    """With a rule for the last two, the others' bytes are deleted and their records stay."""
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=2))
    assert sorted(five.candidates()) == [1, 2, 3]
    assert five.gc(trash_days=0).versions.count == 3
    assert kept(five) == [4, 5]
    gone = five.show(1)
    assert (gone.digest is not None, gone.verified, gone.size, gone.created_by) == (True, False, 9, "alice")
    assert [line.path for line in five.see(artifacts.manifest_files, gone.digest)] == ["weights"]
    assert len(five.held()) == 2


def test_a_models_own_rule_takes_its_workspaces_place(five: Keeper) -> None:
    """A model with a rule of its own is judged by that alone; without it the workspace's holds again."""
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=1))
    five.do(retention.set_model_rule, "churn", Rule(keep_last=4))
    assert sorted(five.candidates()) == [1]
    assert five.see(retention.model_rule, "churn") == (Rule(keep_last=4), True)
    five.do(retention.delete_model_rule, "churn")
    assert sorted(five.candidates()) == [1, 2, 3, 4]
    assert five.see(retention.model_rule, "churn") == (Rule(keep_last=1), False)
    five.do(retention.delete_workspace_rule, "default")
    assert five.candidates() == {}


def test_age_keeps_versions_too(five: Keeper) -> None:
    """A rule for a number of days lets go of older versions only, and counts from registration."""
    five.days_pass(10)
    five.version("weights 6")
    five.do(retention.set_workspace_rule, "default", Rule(keep_days=10))
    assert sorted(five.candidates()) == [1, 2, 3, 4, 5]
    five.do(retention.set_workspace_rule, "default", Rule(keep_days=11))
    assert five.candidates() == {}


def test_rules_of_another_workspace_do_not_count(five: Keeper) -> None:
    """A rule holds in its own workspace, and a workspace's gc touches no version of another one."""
    other = five.within("team-b")
    other.do(retention.set_workspace_rule, "team-b", Rule(keep_last=1))
    other.model()
    for data in ("weights 1", "weights 2"):
        other.version(data)
    assert five.candidates() == {}
    assert other.gc(trash_days=0).versions.count == 1
    assert kept(five) == [1, 2, 3, 4, 5]
    assert (other.show(1).reclaimed_at is None, other.show(2).reclaimed_at is None) == (False, True)


@pytest.mark.parametrize("placing", ["Staging", "Production", "alias", "hold"])
def test_what_is_placed_or_held_is_no_candidate(five: Keeper, placing: str) -> None:
    """A version in Staging or Production, behind an alias or held is kept, and counts no longer once it is not."""
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=1))
    if placing == "alias":
        five.do(promotion.set_alias, "churn", "champion", 2)
    elif placing == "hold":
        five.do(retention.hold_version, "churn", 2, "a lawsuit")
    else:
        five.move(2, placing)
    assert sorted(five.candidates()) == [1, 3, 4]
    five.gc(trash_days=0)
    assert kept(five) == [2, 5]
    if placing == "alias":
        five.do(promotion.delete_alias, "churn", "champion")
    elif placing == "hold":
        five.do(retention.lift_hold, "churn", 2)
    else:
        five.move(2, "Archived")
    assert sorted(five.candidates()) == [2]


def test_external_versions_and_those_already_gone_do_not_count(five: Keeper) -> None:
    """The last N are the newest with files here: versions elsewhere, retired or reclaimed ones take nobody's place."""
    for _ in range(3):
        five.do(models.create_version, models.NewVersion("churn", "s3://elsewhere/model"))
    five.do(models.retire_version, "churn", 5)
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=2))
    assert sorted(five.candidates()) == [1, 2]


def test_a_retired_version_goes_when_it_cannot_be_restored(five: Keeper) -> None:
    """For 30 days a retired version can be restored with its files; afterwards gc lets go of them."""
    five.do(models.retire_version, "churn", 3)
    five.days_pass(29)
    five.gc(trash_days=0)
    five.do(models.restore_version, "churn", 3)
    assert kept(five) == [1, 2, 3, 4, 5]
    five.do(models.retire_version, "churn", 3)
    five.days_pass(31)
    assert five.candidates() == {3: "retired more than 30 days ago"}
    five.gc(trash_days=0)
    assert five.show(3).reclaimed_at is not None


def test_a_held_version_survives_its_retirement_and_its_models(five: Keeper) -> None:
    """A hold keeps the files of a retired version, and of a retired model's, and can be set and lifted by its id."""
    model_id = five.show(1).model_id
    five.do(models.retire_model, "churn")
    five.do(retention.hold_version, model_id, 2, "an audit")
    five.days_pass(100)
    assert sorted(five.candidates()) == [1, 3, 4, 5]
    five.gc(trash_days=0)
    assert len(five.held()) == 1
    assert five.see(retention.get_hold, model_id, 2).reason == "an audit"
    five.do(retention.lift_hold, model_id, 2)
    five.gc(trash_days=0)
    assert five.held() == set()


def test_gc_before_the_window_closes_is_asked_for_by_name(five: Keeper) -> None:
    """With older_than 0 a version retired just now goes, and can then not be restored."""
    five.do(models.retire_version, "churn", 3)
    five.gc(older_than=0, trash_days=0)
    with pytest.raises(Conflict, match="reclaimed"):
        five.do(models.restore_version, "churn", 3)


@pytest.mark.parametrize(
    "use_case",
    [
        lambda tx: promotion.move(tx, "churn", 1, "Production"),
        lambda tx: promotion.move(tx, "churn", 1, "Archived"),
        lambda tx: promotion.set_alias(tx, "churn", "champion", 1),
        lambda tx: models.create_version(tx, models.NewVersion("churn", "models:/churn/1")),
        lambda tx: retention.hold_version(tx, "churn", 1, "too late"),
    ],
    ids=["production", "archived", "alias", "copy", "hold"],
)
def test_a_reclaimed_version_goes_nowhere(five: Keeper, use_case: Any) -> None:
    """A version without files cannot be moved, aliased, copied or held: the refusal says why, nothing is changed."""
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=1))
    five.gc()
    five.events.clear()
    with pytest.raises(Conflict, match=r"reclaimed|no files"):
        five.do(use_case)
    assert five.events == []


def test_a_reclaimed_version_is_seen_and_retired(five: Keeper) -> None:
    """Its record can still be read, described, tagged and retired; its download is refused by a clear message."""
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=4))
    five.gc()
    five.do(models.describe_version, "churn", 1, "the first")
    five.do(models.set_version_tag, "churn", 1, "k", "v")
    with pytest.raises(NotFound, match="reclaimed"):
        five.content(1)
    five.do(models.retire_version, "churn", 1)
    assert five.show(1).description == "the first"


def test_the_same_bytes_can_be_registered_again(five: Keeper) -> None:
    """Files that were reclaimed, deleted or not yet, make a good new version of the same digest when uploaded again."""
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=2))
    five.gc()
    for trash_days in (7, 0):
        five.gc(trash_days=trash_days)
        number = five.version("weights 1")
        assert five.content(number) == b"weights 1"
        assert five.show(number).digest == five.show(1).digest
        assert five.show(1).reclaimed_at is not None


def test_copies_keep_what_their_original_lets_go_of(five: Keeper) -> None:
    """Bytes of a reclaimed version stay as long as another version, of any model, names them."""
    five.model("copy")
    five.do(models.create_version, models.NewVersion("copy", "models:/churn/1"))
    five.do(retention.set_model_rule, "churn", Rule(keep_last=1))
    five.gc(trash_days=0)
    assert kept(five) == [5]
    assert five.content(1, "copy") == b"weights 1"


def test_what_frees_nothing_is_told(five: Keeper) -> None:
    """A candidate says how many bytes nothing else names: none where a run or another version has the same file."""
    five.version("also in a run", keep_run=True)
    five.version("weights 2")
    five.version("the last")
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=1))
    found = five.see(retention.version_candidates, Terms(), ("", 0), 100)
    assert {one.version: (one.size, one.frees) for one in found} == {
        1: (9, 9),
        2: (9, 0),
        3: (9, 9),
        4: (9, 9),
        5: (9, 9),
        6: (13, 0),
        7: (9, 0),
    }


def test_candidates_come_in_pages(five: Keeper) -> None:
    """Paging through candidates of several models gives each once."""
    five.model("other")
    for number in range(4):
        five.version(f"other {number}", "other")
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=1))
    seen: list[tuple[str, int]] = []
    after = ("", 0)
    while page := five.see(retention.version_candidates, Terms(), after, 2):
        after = page[-1].model_id, page[-1].version
        seen += [(one.name, one.version) for one in page]
    assert sorted(seen) == [("churn", n) for n in range(1, 5)] + [("other", n) for n in range(1, 4)]


def test_automatic_rules_are_applied_by_the_server(five: Keeper) -> None:
    """The chore applies automatic rules, in every workspace, and neither other rules nor retirements."""
    other = five.within("team-b")
    other.model()
    for data in ("one", "two"):
        other.version(data)
    five.do(models.retire_version, "churn", 5)
    five.days_pass(100)
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=1))
    other.do(retention.set_workspace_rule, "team-b", Rule(keep_last=1, automatic=True))
    retention.apply_automatic_rules(five.database)
    assert [five.show(number).reclaimed_at for number in range(1, 6)] == [None] * 5
    assert (other.show(1).reclaimed_at is None, other.show(2).reclaimed_at is None) == (False, True)
    assert len(other.trash()) == 1


def test_a_manual_rule_of_a_model_keeps_it_from_its_workspaces_automatic_one(five: Keeper) -> None:
    """Where a model's own rule is not automatic, the server does nothing to it by itself."""
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=1, automatic=True))
    five.do(retention.set_model_rule, "churn", Rule(keep_last=1))
    retention.apply_automatic_rules(five.database)
    assert kept(five) == [1, 2, 3, 4, 5]


def test_everything_that_changes_is_told(five: Keeper) -> None:
    """Rules, holds and reclaimed versions are facts with their reasons; doing the same again tells nothing."""
    for _ in range(2):
        five.do(retention.set_workspace_rule, "default", Rule(keep_last=4))
        five.do(retention.set_model_rule, "churn", Rule(keep_last=4))
        five.do(retention.hold_version, "churn", 2, "a lawsuit")
    five.gc(trash_days=0)
    for _ in range(2):
        five.do(retention.lift_hold, "churn", 2)
        five.do(retention.delete_model_rule, "churn")
        five.do(retention.delete_workspace_rule, "default")
    reclaimed = [event for event in five.events if isinstance(event, retention.VersionReclaimed)]
    assert [(e.version, e.size, e.trashed, e.reason) for e in reclaimed] == [
        (1, 9, 9, "outside the retention rule: the last 4 are kept")
    ]
    assert five.kinds() == [
        "retention_rule.set",
        "retention_rule.set",
        "model_version.held",
        "blobs.trashed",
        "model_version.reclaimed",
        "blobs.deleted",
        "model_version.hold_lifted",
        "retention_rule.deleted",
        "retention_rule.deleted",
    ]


def test_what_is_not_there_is_not_found(keeper: Keeper) -> None:
    """Rules of unknown workspaces and models, absent rules, unknown versions and absent holds are NotFound."""
    keeper.model()
    for use_case, *given in (
        (retention.workspace_rule, "none"),
        (retention.workspace_rule, "default"),
        (retention.set_workspace_rule, "none", Rule(1)),
        (retention.delete_workspace_rule, "none"),
        (retention.model_rule, "none"),
        (retention.model_rule, "churn"),
        (retention.set_model_rule, "none", Rule(1)),
        (retention.delete_model_rule, "none"),
        (retention.hold_version, "churn", 1, "why"),
        (retention.hold_version, "none", 1, "why"),
        (retention.lift_hold, "churn", 2**70),
        (retention.get_hold, "churn", 1),
    ):
        with pytest.raises(NotFound):
            keeper.do(use_case, *given)


@pytest.mark.parametrize("how", ["run", "logged model"])
def test_files_of_what_was_deleted_long_ago_go(keeper: Keeper, how: str) -> None:
    """Files of a run or logged model deleted 30 days ago are removed; its record stays, one in use is left alone."""
    identity, folder = _made(keeper, how)
    keeper.upload(f"{folder}/a/weights", b"weights")
    keeper.days_pass(100)
    assert keeper.gc(trash_days=0).trees.count == 0
    _deleted(keeper, how, identity)
    keeper.days_pass(29)
    assert keeper.gc(trash_days=0).trees.count == 0
    keeper.days_pass(2)
    keeper.events.clear()
    done = keeper.gc(trash_days=0)
    assert (done.trees.count, done.trees.size, done.deleted.count) == (1, 7, 1)
    assert keeper.kinds()[0] == "artifacts.reclaimed"
    assert keeper.held() == set()
    if how == "run":
        assert keeper.see(runs.get_run, identity).lifecycle == "deleted"
        keeper.do(runs.restore_run, identity)
        keeper.upload(f"{folder}/again", b"again")
        assert keeper.read(f"{folder}/again") == b"again"
    else:
        assert keeper.see(runs.get_logged_model, identity, allow_deleted=True).deleted_at is not None


def test_a_run_that_is_restored_meanwhile_keeps_its_files(keeper: Keeper) -> None:
    """Between listing and removing, a restored run is left alone."""
    run_id, folder = _made(keeper, "run")
    keeper.upload(f"{folder}/weights", b"weights")
    keeper.do(runs.delete_run, run_id)
    terms = Terms(0)
    (found,) = keeper.see(retention.left_behind, terms, "", 10)
    assert (found.owner, found.files, found.size) == (f"run/{run_id}", 1, 7)
    keeper.do(runs.restore_run, run_id)
    assert keeper.do(retention.clear_tree, found, terms).count == 0
    assert keeper.read(f"{folder}/weights") == b"weights"


def test_a_version_placed_or_held_after_it_was_listed_keeps_its_files(five: Keeper) -> None:
    """What is decided when the list is made is decided again when the files go."""
    five.do(retention.set_workspace_rule, "default", Rule(keep_last=1))
    terms = Terms()
    assert sorted(five.candidates()) == [1, 2, 3, 4]
    five.move(1, "Production")
    five.do(promotion.set_alias, "churn", "champion", 2)
    five.do(retention.hold_version, "churn", 3, "a lawsuit")
    assert five.do(retention.release_versions, terms, five.show(1).model_id, [1, 2, 3, 4, 5, 99]) == [9]
    assert kept(five) == [1, 2, 3, 5]


def test_promotion_and_reclaiming_come_one_after_the_other(keeper: Keeper) -> None:
    """Of a promotion and a release at the same moment one wins: never is a version placed whose files went."""
    keeper.do(retention.set_workspace_rule, "default", Rule(keep_last=1))
    for round_ in range(25):
        name = f"race-{round_}"
        keeper.model(name)
        for number in range(2):
            keeper.version(f"{name} {number}", name)
        model_id = keeper.show(1, name).model_id
        outcomes = _at_once(
            lambda name=name: keeper.move(1, "Production", name),
            lambda name=name: keeper.do(promotion.set_alias, name, "champion", 1),
            lambda model_id=model_id: keeper.do(retention.release_versions, Terms(), model_id, [1]),
        )
        view = keeper.show(1, name)
        placed = view.stage == "Production" or bool(view.aliases)
        assert placed != (view.reclaimed_at is not None), (outcomes, view)
        if placed:
            assert keeper.content(1, name) == f"{name} 0".encode()


def _at_once(*works: Any) -> list[Any]:
    barrier = threading.Barrier(len(works))
    outcomes: list[Any] = [None] * len(works)

    def begin(index: int) -> None:
        barrier.wait()
        try:
            outcomes[index] = works[index]()
        except Conflict as error:
            outcomes[index] = error

    threads = [threading.Thread(target=begin, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _made(keeper: Keeper, how: str) -> tuple[str, str]:
    if how == "run":
        run_id = keeper.run()
        return run_id, keeper.folder(run_id)
    view = keeper.do(runs.create_logged_model, "0", "logged")
    return view.id, view.artifact_uri.removeprefix("mlflow-artifacts:/")


def _deleted(keeper: Keeper, how: str, identity: str) -> None:
    keeper.do(runs.delete_run if how == "run" else runs.delete_logged_model, identity)
