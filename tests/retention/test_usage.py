"""What a workspace holds, as clients see it and as it lies in the store, and the quota that limits it."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelkeep import artifacts, models, retention, runs
from modelkeep.artifacts import Amount
from modelkeep.core.errors import TooLarge
from retention.keeper import Keeper

KB = 1000


def usage(keeper: Keeper) -> artifacts.Usage:
    """What the caller's workspace holds."""
    return keeper.see(artifacts.workspace_usage)


def test_each_file_counts_for_clients_and_each_blob_once_in_the_store(keeper: Keeper) -> None:
    """Files of trees and versions add up as clients see them; the store's part counts the same bytes once."""
    keeper.model()
    folder = keeper.folder(keeper.run())
    keeper.upload(f"{folder}/weights", b"x" * KB)
    keeper.upload(f"{folder}/copy", b"x" * KB)
    keeper.upload(f"{folder}/other", b"y" * KB)
    assert usage(keeper) == (Amount(3, 3 * KB), 0, Amount(), Amount(2, 2 * KB))
    keeper.register(folder)
    keeper.do(models.create_version, models.NewVersion("churn", "models:/churn/1"))
    assert usage(keeper) == (Amount(3, 3 * KB), 2, Amount(6, 6 * KB), Amount(2, 2 * KB))


def test_an_empty_workspace_holds_nothing(keeper: Keeper) -> None:
    """Without files all is zero, and no model is listed, not even one without files."""
    keeper.model()
    keeper.do(models.create_version, models.NewVersion("churn", "s3://elsewhere/model"))
    assert usage(keeper) == (Amount(), 0, Amount(), Amount())
    assert keeper.see(retention.largest_models, None, 10) == []
    assert keeper.see(retention.reclaimable_size) == 0


def test_versions_count_until_they_are_reclaimed(keeper: Keeper) -> None:
    """A retired version counts as long as its files are kept; a reclaimed one does not, for clients or in the store."""
    keeper.model()
    keeper.version(b"x" * KB)
    keeper.do(models.retire_version, "churn", 1)
    assert usage(keeper).version_files == Amount(1, KB)
    keeper.days_pass(31)
    assert keeper.see(retention.reclaimable_size) == KB
    keeper.gc()
    assert usage(keeper) == (Amount(), 0, Amount(), Amount())
    assert keeper.see(artifacts.blob_amounts) == (Amount(1, KB), Amount(1, KB))


def test_deleted_runs_count_until_their_files_are_removed(keeper: Keeper) -> None:
    """Files of a run that was deleted long ago are among what can be reclaimed."""
    run_id = keeper.run()
    keeper.upload(f"{keeper.folder(run_id)}/file", b"x" * KB)
    keeper.do(runs.delete_run, run_id)
    assert (usage(keeper).files, keeper.see(retention.reclaimable_size)) == (Amount(1, KB), 0)
    keeper.days_pass(31)
    assert keeper.see(retention.reclaimable_size) == KB


def test_a_workspace_sees_its_own_bytes_only(keeper: Keeper) -> None:
    """What another workspace holds changes nothing here, also if the bytes are the same."""
    other = keeper.within("team-b")
    for one in (keeper, other):
        one.upload(f"{one.folder(one.run())}/file", b"x" * KB)
    assert usage(keeper).stored == usage(other).stored == Amount(1, KB)
    assert keeper.see(artifacts.blob_amounts)[0] == Amount(1, KB)


def test_models_are_listed_by_size_in_pages(keeper: Keeper) -> None:
    """The largest model comes first; pages give each once; equal files of several versions are stored once."""
    for index in range(4):
        keeper.model(f"m{index}")
        for _ in range(2):
            keeper.version(b"%d" % index * KB * (1 + index // 2), f"m{index}")
    found: list[retention.ModelUsage] = []
    while page := keeper.see(retention.largest_models, (found[-1].size, found[-1].model_id) if found else None, 3):
        found += page
    assert sorted(one.name for one in found[:2]) == ["m2", "m3"]
    assert sorted(one.name for one in found) == ["m0", "m1", "m2", "m3"]
    assert {(one.versions, one.files, one.size, one.stored) for one in found[:2]} == {(2, 2, 4 * KB, 2 * KB)}


def test_an_upload_over_the_quota_is_refused_before_its_body(keeper: Keeper) -> None:
    """Where the declared length has no room, not a byte is read, nothing is stored, and the message says how much."""
    keeper.do(artifacts.set_quota, "default", 10 * KB)
    path = f"{keeper.folder(keeper.run())}/file"
    keeper.upload(path, b"x" * 6 * KB, 6 * KB)

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    upload = artifacts.store_file(keeper.database, keeper.caller, keeper.blobs, (*path.split("/"),), unread(), 5 * KB)
    with pytest.raises(TooLarge, match=r"quota of 10000 bytes has no room for 5000 more bytes: 6000 are in use"):
        asyncio.run(upload)
    assert len(keeper.held()) == 1


def test_an_upload_of_unknown_length_is_broken_off_at_the_quota(keeper: Keeper) -> None:
    """Without a declared length the upload is refused when it has grown too long, and nothing of it is left."""
    keeper.do(artifacts.set_quota, "default", 10 * KB)
    path = f"{keeper.folder(keeper.run())}/file"
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10**9:
            sent += KB
            yield b"x" * KB

    upload = artifacts.store_file(keeper.database, keeper.caller, keeper.blobs, (*path.split("/"),), endless(), None)
    with pytest.raises(TooLarge, match="quota"):
        asyncio.run(upload)
    assert sent == 11 * KB
    assert keeper.held() == set()
    keeper.upload(path, b"y" * 10 * KB)


def test_a_refused_or_failed_upload_uses_no_quota(keeper: Keeper) -> None:
    """Room that was taken for an upload that did not come about is given back."""
    keeper.do(artifacts.set_quota, "default", 10 * KB)
    path = f"{keeper.folder(keeper.run())}/file"
    for _ in range(5):
        with pytest.raises(Exception, match="declared"):
            keeper.upload(path, b"x" * 4 * KB, 5 * KB)
    keeper.upload(path, b"x" * 10 * KB)


def test_uploads_at_once_do_not_pass_the_quota_together(keeper: Keeper) -> None:
    """Of ten uploads that each have room alone, as many succeed as there is room for all of them."""
    keeper.do(artifacts.set_quota, "default", 10 * KB)
    folder = keeper.folder(keeper.run())

    def upload(index: int) -> bool:
        try:
            keeper.upload(f"{folder}/{index}", b"%d" % index * 3 * KB, 3 * KB)
        except TooLarge:
            return False
        return True

    with ThreadPoolExecutor(10) as clients:
        assert sum(clients.map(upload, range(10))) == 3
    assert usage(keeper).stored == Amount(3, 9 * KB)


def test_registering_and_copying_need_no_quota(keeper: Keeper) -> None:
    """A full workspace can still register and copy versions: no bytes are written, the stored ones stay the same."""
    keeper.model()
    folder = keeper.folder(keeper.run())
    keeper.upload(f"{folder}/weights", b"x" * KB)
    keeper.do(artifacts.set_quota, "default", KB)
    keeper.register(folder)
    keeper.do(models.create_version, models.NewVersion("churn", "models:/churn/1"))
    assert (usage(keeper).version_files, usage(keeper).stored) == (Amount(2, 2 * KB), Amount(1, KB))
    with pytest.raises(TooLarge):
        keeper.upload(f"{folder}/more", b"y")


def test_a_quota_can_be_changed_and_lifted(keeper: Keeper) -> None:
    """A quota holds from the next upload on, also one below what is there; each change is told once."""
    folder = keeper.folder(keeper.run())
    keeper.upload(f"{folder}/a", b"x" * KB)
    keeper.events.clear()
    for _ in range(2):
        keeper.do(artifacts.set_quota, "default", 1)
    with pytest.raises(TooLarge):
        keeper.upload(f"{folder}/b", b"y")
    keeper.do(artifacts.set_quota, "default", 2 * KB)
    keeper.upload(f"{folder}/b", b"y")
    assert keeper.see(artifacts.get_quota, "default") == 2 * KB
    for _ in range(2):
        keeper.do(artifacts.lift_quota, "default")
    keeper.upload(f"{folder}/c", b"z" * 5 * KB)
    assert keeper.see(artifacts.get_quota, "default") is None
    told = [kind for kind in keeper.kinds() if kind.startswith("quota")]
    assert told == ["quota.set", "quota.set", "quota.lifted"]


def test_the_quota_of_one_workspace_does_not_limit_another(keeper: Keeper) -> None:
    """A quota is its workspace's alone."""
    other = keeper.within("team-b")
    keeper.do(artifacts.set_quota, "default", 1)
    other.upload(f"{other.folder(other.run())}/file", b"x" * KB)
    assert usage(other).stored == Amount(1, KB)


def test_what_can_be_reclaimed_is_what_the_candidates_hold(keeper: Keeper) -> None:
    """Whatever rules, holds, placements, ages and retirements meet: the sum is that of what gc would list."""
    held, ruled = "held", "ruled"
    for index, name in enumerate(("plain", ruled, held)):
        keeper.model(name)
        for size in range(1, 6):
            keeper.version(b"%d" % index * size * KB, name)
    keeper.do(retention.hold_version, held, 1, "evidence")
    keeper.move(1, "Production", ruled)
    keeper.do(models.retire_version, "plain", 4)
    keeper.days_pass(40)
    keeper.version(b"young" * KB, "plain")
    keeper.do(models.retire_version, held, 5)
    sums = [reclaimable(keeper)]
    for last, days in ((2, None), (None, 10), (None, 50), (1, 10), (3, 50)):
        keeper.do(retention.set_workspace_rule, "default", retention.Rule(last, days))
        sums.append(reclaimable(keeper))
    keeper.do(retention.set_model_rule, ruled, retention.Rule(keep_last=1))
    sums.append(reclaimable(keeper))
    keeper.do(retention.delete_workspace_rule, "default")
    sums.append(reclaimable(keeper))
    assert len(set(sums)) >= 5


def reclaimable(keeper: Keeper) -> int:
    """The bytes that may go, as usage tells them; they are those of the candidates."""
    told = keeper.see(retention.reclaimable_size)
    assert told == sum(one.size for one in keeper.see(retention.version_candidates, retention.Terms(), ("", 0), 1000))
    return told
