"""When files are judged, what is kept of it, and what workspaces refuse because of it, on both databases."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from inspection.hostile import EVIL
from modelkeep import inspection, models
from modelkeep.artifacts import BlobStore
from modelkeep.artifacts.tables import blob_chunks
from modelkeep.core.errors import Conflict, DomainError, Forbidden, NotFound, Unavailable
from modelkeep.db import Database
from modelkeep.db.jobs import claim, finish, jobs, postpone
from modelkeep.inspection import JOB, RULE_SET, DownloadPolicy, Inspection, Verdict
from modelkeep.inspection.tables import inspections
from models.registry import kinds
from retention.keeper import Keeper

# Bytes of no format, the same in every run.
NOISE = random.Random(11).randbytes(50_000)


@dataclass
class Parts:
    """The parts of the app that the handler and the chore use."""

    database: Database
    blobs: BlobStore


def waiting(keeper: Keeper) -> Any | None:
    """The inspection that a worker would do next; the worker has it now."""
    return keeper.do(claim, json.dumps([JOB]), 60_000)


def work(keeper: Keeper) -> int:
    """Do all inspections that wait, those that fail until nobody tries them again; how many times."""
    done = 0
    while (job := waiting(keeper)) is not None:
        done += 1
        try:
            inspection.inspect_files(Parts(keeper.database, keeper.blobs), keeper.caller, job)
        except Unavailable as error:
            keeper.do(postpone, job, 0, error.message)
        else:
            keeper.do(finish, job)
    return done


def found(keeper: Keeper, number: int) -> Inspection:
    """What is known of a version."""
    return keeper.see(inspection.get_inspection, keeper.show(number).digest)


def path_of(keeper: Keeper, number: int) -> tuple[str, ...]:
    """Where the version's file is served."""
    return (*keeper.show(number).download_uri.removeprefix("mlflow-artifacts:/").split("/"), "weights")


def work_one(keeper: Keeper, digest: str | None) -> None:
    """Judge these files, though others may wait longer."""
    job = keeper.see(lambda tx: tx.row(select(jobs).where(jobs.c.key == digest)))
    inspection.inspect_files(Parts(keeper.database, keeper.blobs), keeper.caller, job)
    keeper.do(finish, job)


def lose(keeper: Keeper) -> None:
    """Have the store lose all its bytes."""
    for sha256 in list(keeper.blobs.digests()):
        keeper.blobs.delete(sha256)


def reclaim(keeper: Keeper, *numbers: int) -> None:
    """Let go of the files of versions, as gc does a month after they were retired."""
    for number in numbers:
        keeper.do(models.retire_version, "churn", number)
    keeper.days_pass(31)
    keeper.gc(trash_days=0)


def refusal(act: Callable[[], Any]) -> str:
    """The words of a refusal."""
    with pytest.raises(DomainError) as refused:
        act()
    return refused.value.message


def test_a_new_version_is_judged_once(keeper: Keeper) -> None:
    """Registering queues an inspection with it; the same files again queue none once they are judged."""
    keeper.model()
    first = keeper.version(EVIL)
    assert found(keeper, first) == Inspection(is_pending=True)
    assert work(keeper) == 1
    known = found(keeper, first)
    assert (known.is_pending, known.verdict, known.rule_set) == (False, Verdict.UNSAFE, RULE_SET)
    assert [finding.rule for finding in known.findings] == ["pickle.import"]
    assert known.contents is not None
    assert [(file.path, file.size) for file in known.contents.files] == [("weights", len(EVIL))]
    second = keeper.version(EVIL)
    assert work(keeper) == 0
    assert found(keeper, second) == known
    assert kinds(keeper.events).count("inspection.done") == 1


def test_a_version_whose_files_are_elsewhere_is_not_queued(keeper: Keeper) -> None:
    """There is nothing to look at."""
    keeper.model()
    keeper.do(models.create_version, models.NewVersion("churn", "s3://x/y"))
    assert work(keeper) == 0


def test_asking_again_judges_again_and_keeps_the_verdict_until_then(keeper: Keeper) -> None:
    """The state is pending, the earlier verdict stands, and the new one replaces it."""
    keeper.model()
    number = keeper.version(EVIL)
    work(keeper)
    keeper.do(inspection.ask_again, keeper.show(number).digest)
    between = found(keeper, number)
    assert (between.is_pending, between.verdict) == (True, Verdict.UNSAFE)
    assert work(keeper) == 1
    assert not found(keeper, number).is_pending
    assert "inspection.asked" in kinds(keeper.events)


def test_files_judged_by_older_rules_are_queued_by_the_chore(keeper: Keeper) -> None:
    """What today's rules have not judged is, once, and the older verdict is told until then."""
    keeper.model()
    number = keeper.version("plain text")
    work(keeper)
    keeper.do(lambda tx: tx.run(update(inspections).values(rule_set=RULE_SET - 1)))
    assert found(keeper, number).is_pending
    assert found(keeper, number).verdict is Verdict.SAFE
    for _ in range(2):
        inspection.queue_unjudged(Parts(keeper.database, keeper.blobs))
    assert work(keeper) == 1
    assert found(keeper, number).rule_set == RULE_SET
    inspection.queue_unjudged(Parts(keeper.database, keeper.blobs))
    assert work(keeper) == 0


def test_missing_bytes_are_an_error_and_no_verdict_of_safe(keeper: Keeper) -> None:
    """Where the store has lost a file, the inspection says so."""
    keeper.model()
    number = keeper.version("plain text")
    lose(keeper)
    assert work(keeper) == 4
    known = found(keeper, number)
    assert (known.verdict, known.is_pending) == (Verdict.ERROR, False)
    assert [finding.rule for finding in known.findings] == ["inspection.failed"]
    inspection.queue_unjudged(Parts(keeper.database, keeper.blobs))
    assert work(keeper) == 0


def test_a_failure_is_no_verdict(keeper: Keeper) -> None:
    """Files that could not be read when they were judged are judged when they are registered again."""
    keeper.model()
    first = keeper.version(EVIL)
    lose(keeper)
    work(keeper)
    assert found(keeper, first).verdict is Verdict.ERROR
    second = keeper.version(EVIL)
    assert found(keeper, second).is_pending
    work(keeper)
    assert found(keeper, first).verdict is Verdict.UNSAFE


def test_a_failure_passes_where_its_cause_does(keeper: Keeper) -> None:
    """The inspection is tried again by itself, and its verdict takes the place of the failure."""
    keeper.model()
    number = keeper.version(EVIL)
    lose(keeper)
    job = waiting(keeper)
    with pytest.raises(Unavailable):
        inspection.inspect_files(Parts(keeper.database, keeper.blobs), keeper.caller, job)
    assert found(keeper, number).is_pending
    keeper.do(postpone, job, 0, "failed")
    keeper.upload(f"{keeper.folder(keeper.run())}/again", EVIL)
    work(keeper)
    assert found(keeper, number).verdict is Verdict.UNSAFE


@pytest.mark.parametrize("rules", [RULE_SET, RULE_SET - 1], ids=["same-rules", "older-rules"])
def test_a_failure_does_not_take_the_place_of_a_verdict(keeper: Keeper, rules: int) -> None:
    """What was judged unsafe stays so, and is refused, though a later inspection failed."""
    keeper.model()
    number = keeper.version(EVIL)
    work(keeper)
    keeper.do(lambda tx: tx.run(update(inspections).values(rule_set=rules)))
    keeper.do(inspection.set_download_policy, "default", DownloadPolicy(refuse_unsafe=True))
    lose(keeper)
    keeper.do(inspection.ask_again, keeper.show(number).digest)
    assert work(keeper) == 4
    assert (found(keeper, number).verdict, found(keeper, number).is_pending) == (Verdict.UNSAFE, False)
    assert "judged unsafe" in refusal(lambda: keeper.see(inspection.find_file, path_of(keeper, number)))


def test_a_reclaimed_version_keeps_its_verdict(keeper: Keeper) -> None:
    """Nobody can ask for it to be judged again, newer rules do not queue it, and a job that waits does nothing."""
    keeper.model()
    judged, waits = keeper.version(EVIL), keeper.version("plain text")
    digests = [keeper.show(number).digest for number in (judged, waits)]
    work_one(keeper, digests[0])
    reclaim(keeper, judged, waits)
    for digest in digests:
        with pytest.raises(Conflict):
            keeper.do(inspection.ask_again, digest)
    assert work(keeper) == 1
    assert kinds(keeper.events).count("inspection.done") == 1
    keeper.do(lambda tx: tx.run(update(inspections).values(rule_set=RULE_SET - 1)))
    inspection.queue_unjudged(Parts(keeper.database, keeper.blobs))
    assert work(keeper) == 0
    assert keeper.see(inspection.get_inspection, digests[0]).verdict is Verdict.UNSAFE
    assert keeper.see(inspection.get_inspection, digests[1]).verdict is None


def test_a_store_that_does_not_answer_is_asked_again_later(keeper: Keeper) -> None:
    """No verdict is written down, and the job fails so that it is done again."""

    class Away:
        def open(self, sha256: str) -> Any:
            raise Unavailable("away")

    keeper.model()
    number = keeper.version("plain text")
    job = waiting(keeper)
    with pytest.raises(Unavailable):
        inspection.inspect_files(Parts(keeper.database, Away()), keeper.caller, job)  # type: ignore[arg-type]
    assert found(keeper, number).verdict is None


def test_a_workspace_can_refuse_what_is_unsafe(keeper: Keeper) -> None:
    """Then files of such versions are not given out; those of others, and those of runs, are."""
    keeper.model()
    bad, good = keeper.version(EVIL, keep_run=True), keeper.version("plain text")
    work(keeper)
    source = tuple(keeper.show(bad).source.removeprefix("mlflow-artifacts:/").split("/"))
    assert keeper.see(inspection.find_file, path_of(keeper, bad)).size == len(EVIL)
    keeper.do(inspection.set_download_policy, "default", DownloadPolicy(refuse_unsafe=True))
    assert keeper.see(inspection.get_download_policy, "default") == DownloadPolicy(refuse_unsafe=True)
    assert "judged unsafe" in refusal(lambda: keeper.see(inspection.find_file, path_of(keeper, bad)))
    with pytest.raises(Forbidden):
        keeper.see(inspection.check_download, keeper.show(bad).digest)
    keeper.see(inspection.find_file, path_of(keeper, good))
    keeper.see(inspection.find_file, (*source, "weights"))
    keeper.do(inspection.set_download_policy, "default", DownloadPolicy())
    keeper.see(inspection.find_file, path_of(keeper, bad))
    assert kinds(keeper.events).count("download_policy.set") == 2


def test_a_policy_is_of_one_workspace_and_setting_it_again_is_nothing_new(keeper: Keeper) -> None:
    """Another workspace with the same files is not touched, and an absent workspace is not found."""
    other = keeper.within("blue")
    for one in (keeper, other):
        one.model()
        one.version(EVIL)
    work(keeper)
    for _ in range(2):
        keeper.do(inspection.set_download_policy, "default", DownloadPolicy(refuse_unsafe=True))
    assert kinds(keeper.events).count("download_policy.set") == 1
    other.see(inspection.find_file, path_of(other, 1))
    with pytest.raises(NotFound):
        keeper.do(inspection.set_download_policy, "absent", DownloadPolicy(refuse_unsafe=True))


def test_what_has_no_verdict_can_be_refused(keeper: Keeper) -> None:
    """Files that wait or failed are then not given out, with the reason; what is safe, unverified or unsafe is."""
    keeper.model()
    keeper.do(inspection.set_download_policy, "default", DownloadPolicy(refuse_unjudged=True))
    lost = keeper.version("gone")
    assert "no verdict yet" in refusal(lambda: keeper.see(inspection.find_file, path_of(keeper, lost)))
    lose(keeper)
    work(keeper)
    assert found(keeper, lost).verdict is Verdict.ERROR
    assert "no verdict yet" in refusal(lambda: keeper.see(inspection.find_file, path_of(keeper, lost)))
    judged = [keeper.version(content) for content in ("plain text", NOISE, EVIL)]
    work(keeper)
    assert [found(keeper, number).verdict for number in judged] == [Verdict.SAFE, Verdict.UNVERIFIED, Verdict.UNSAFE]
    for number in judged:
        keeper.see(inspection.find_file, path_of(keeper, number))


@pytest.mark.parametrize("has_chunks", [True, False], ids=["chunks", "no-chunks"])
def test_a_damaged_file_is_never_judged_safe(keeper: Keeper, tmp_path: Any, has_chunks: bool) -> None:
    """Bytes that are not what was stored are not judged as if they were, with digests of their chunks or without."""
    keeper.model()
    number = keeper.version("plain text " * 200_000)
    if not has_chunks:
        keeper.do(lambda tx: tx.run(delete(blob_chunks)))
    (blob,) = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file() and len(path.name) == 64]
    content = bytearray(blob.read_bytes())
    content[1_500_000] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(content)
    work(keeper)
    assert found(keeper, number).verdict is Verdict.ERROR


def test_a_large_file_without_digests_of_its_chunks_gets_them(keeper: Keeper) -> None:
    """It is hashed whole before it is judged, and has them from then on."""
    keeper.model()
    number = keeper.version("plain text " * 200_000)
    before = keeper.see(lambda tx: tx.rows(select(blob_chunks)))
    keeper.do(lambda tx: tx.run(delete(blob_chunks)))
    work(keeper)
    assert found(keeper, number).verdict is Verdict.SAFE
    assert keeper.see(lambda tx: tx.rows(select(blob_chunks))) == before
