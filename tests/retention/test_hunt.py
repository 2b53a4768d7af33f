"""Nothing that is named is ever lost, whatever races the collection of garbage with no grace at all."""

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from modelkeep.artifacts.tables import blobs as blob_rows
from retention.hunt import SlowBlobs, damaged, furnish, hunt, hunt_in_process, named
from retention.keeper import Keeper

LENGTHS = [5, pytest.param(60, marks=pytest.mark.slow)]


@pytest.mark.parametrize("seconds", LENGTHS)
def test_no_named_blob_is_lost(keeper: Keeper, database_url: str, tmp_path: Path, seconds: float) -> None:
    """Uploads, overwrites, deletions, registrations, copies, moves, retirements and restores race gc with zero grace.

    Threads of one process on SQLite, three processes on PostgreSQL, on a slow store. What was acknowledged is there
    when it is looked at; afterwards every named blob has its bytes, and one more collection leaves just those.
    """
    run_ids = furnish(keeper)
    if keeper.database.name == "sqlite":
        slow = Keeper(keeper.database, SlowBlobs(tmp_path / "blobs"), [])
        done = hunt(slow, run_ids, 1, seconds, threads=7)
        slow.blobs.close()
    else:
        done = _in_processes(database_url, tmp_path / "blobs", run_ids, seconds)
    assert damaged(keeper) == [], done
    keeper.gc(older_than=0, trash_days=0)
    assert damaged(keeper) == [], done
    assert keeper.held() == keeper.known() == named(keeper)
    assert keeper.see(lambda tx: tx.rows(blob_rows.select().where(blob_rows.c.deleting == 1))) == []
    # The hunt was one: things did happen, and often enough against each other.
    assert all(done[deed] > 0 for deed in ("upload_and_look", "register_and_look", "collect")), done


def _in_processes(url: str, folder: Path, run_ids: list[str], seconds: float) -> Counter[str]:
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as processes:
        begun = [processes.submit(hunt_in_process, url, str(folder), run_ids, 10 * seed, seconds) for seed in range(3)]
        return sum((one.result() for one in begun), Counter())
