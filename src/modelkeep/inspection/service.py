"""Use cases of inspection: when files are judged, what was found, and what a workspace refuses because of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol

import msgspec

from modelkeep import artifacts
from modelkeep.access import get_workspace, lock_workspace
from modelkeep.artifacts import StoredFile
from modelkeep.core.errors import Conflict, Forbidden
from modelkeep.core.types import SYSTEM, Caller
from modelkeep.db import Database, Tx
from modelkeep.db.jobs import queue
from modelkeep.inspection import store
from modelkeep.inspection.events import DownloadPolicySet, FilesInspected, InspectionAsked
from modelkeep.models import VersionRegistered
from modelkeep.scanner import RULE_SET, Contents, Finding, Report, Verdict, verdict_of

JOB = "inspect"
AGAIN = "again"
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a manifest's files. `is_pending`: they wait to be judged, maybe again."""

    is_pending: bool
    verdict: Verdict | None = None
    rule_set: int | None = None
    inspected_at: int | None = None
    milliseconds: int | None = None
    findings: Sequence[Finding] = ()
    contents: Contents | None = None


@dataclass(frozen=True, slots=True)
class DownloadPolicy:
    """What a workspace does not give out: versions judged unsafe, and those without a verdict (pending, or failed)."""

    refuse_unsafe: bool = False
    refuse_unjudged: bool = False


class HasDatabase(Protocol):
    """The part of the app that chores need."""

    database: Database


def queue_new_version(tx: Tx, event: VersionRegistered) -> None:
    """Listener: the files of a new version are judged, unless these rules judged the same files before."""
    if event.digest is not None and not store.is_judged(tx, event.digest, RULE_SET):
        queue(tx, JOB, event.digest)


def queue_unjudged(app: HasDatabase) -> None:
    """Chore: files of versions that today's rules never looked at are judged; those that they failed on are left."""
    for row in app.database.read_now(SYSTEM, lambda tx: store.unjudged(tx, JOB, RULE_SET, _AT_ONCE)):
        caller = Caller(SYSTEM.actor, row.workspace, "unjudged")
        app.database.write_now(caller, partial(_queue_unless_waiting, digest=row.digest))


def _queue_unless_waiting(tx: Tx, digest: str) -> None:
    if store.waiting(tx, JOB, digest) is None:
        queue(tx, JOB, digest)


def ask_again(tx: Tx, digest: str) -> None:
    """Have files judged again; what was found before stands until then. Raises Conflict where they are gone."""
    if not store.is_held(tx, digest):
        raise Conflict("These files were reclaimed: they are not kept any more and cannot be judged.")
    queue(tx, JOB, digest, AGAIN)
    tx.emit(InspectionAsked(digest))


def get_inspection(tx: Tx, digest: str) -> Inspection:
    """What is known of files; take the digest from a version that the caller may see."""
    row = store.newest(tx, digest)
    is_waiting = store.waiting(tx, JOB, digest) is not None
    if row is None:
        return Inspection(is_pending=True)
    return Inspection(
        is_pending=is_waiting or row.last_tried < RULE_SET,
        verdict=Verdict(row.verdict),
        rule_set=row.rule_set,
        inspected_at=row.inspected_at,
        milliseconds=row.milliseconds,
        findings=msgspec.json.decode(row.findings, type=list[Finding]),
        contents=msgspec.json.decode(row.contents, type=Contents),
    )


def is_due(tx: Tx, digest: str, payload: str) -> bool:
    """Whether a job still has to be done, and can be."""
    return store.is_held(tx, digest) and (payload == AGAIN or not store.is_judged(tx, digest, RULE_SET))


def record(tx: Tx, digest: str, report: Report, milliseconds: int) -> None:
    """Write down what was found. A failure takes the place of no verdict, and is none on files that went meanwhile."""
    verdict = verdict_of(report.findings)
    if verdict is Verdict.ERROR and (store.is_judged(tx, digest, RULE_SET) or not store.is_held(tx, digest)):
        return
    row = {"digest": digest, "rule_set": RULE_SET, "verdict": verdict.value, "inspected_at": tx.now}
    row |= {"milliseconds": milliseconds, "findings": msgspec.json.encode(report.findings).decode()}
    store.keep(tx, row | {"contents": msgspec.json.encode(report.contents).decode()})
    tx.emit(FilesInspected(digest, RULE_SET, verdict.value, len(report.findings)))


def find_file(tx: Tx, segments: Sequence[str]) -> StoredFile:
    """The file at a path, for somebody who will load it.

    Raises what `artifacts.find_file` raises, and Forbidden for files of a version that the workspace does not give out.
    """
    found = artifacts.find_file(tx, segments)
    if found.manifest is not None:
        check_download(tx, found.manifest)
    return found


def check_download(tx: Tx, digest: str) -> None:
    """Refuse a version's files that the workspace's policy does not give out. Raises Forbidden."""
    row = store.policy_and_verdict(tx, digest)
    if row is None:
        return
    if row.refuse_unsafe and row.verdict == Verdict.UNSAFE:
        raise Forbidden(f"These files were judged unsafe to load, {_refused_by(tx)}")
    if row.refuse_unjudged and row.verdict is None:
        raise Forbidden(
            "These files have no verdict yet, as their inspection waits or has failed "
            f"(`modelkeep models inspect NAME VERSION --again` has it done again), {_refused_by(tx)}"
        )


def _refused_by(tx: Tx) -> str:
    return (
        f"and workspace '{tx.workspace}' does not give such out. `modelkeep models inspect NAME VERSION` says why; "
        "an administrator can change the workspace's download policy."
    )


def get_download_policy(tx: Tx, workspace: str) -> DownloadPolicy:
    """What a workspace does not give out. Raises NotFound."""
    get_workspace(tx, workspace)
    row = store.policy(tx, workspace)
    return DownloadPolicy(row.refuse_unsafe == 1, row.refuse_unjudged == 1) if row else DownloadPolicy()


def set_download_policy(tx: Tx, workspace: str, policy: DownloadPolicy) -> None:
    """Say what a workspace does not give out. Raises NotFound."""
    lock_workspace(tx, workspace)
    before = get_download_policy(tx, workspace)
    if before != policy:
        store.set_policy(tx, workspace, policy.refuse_unsafe, policy.refuse_unjudged)
        tx.emit(DownloadPolicySet(workspace, policy.refuse_unsafe, policy.refuse_unjudged, asdict(before)))
