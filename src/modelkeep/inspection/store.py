"""SQL of inspection."""

from typing import Any

from sqlalchemy import bindparam, case, func, select

from modelkeep.artifacts.tables import trees
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import upsert
from modelkeep.db.jobs import jobs
from modelkeep.inspection.tables import download_policies, inspections
from modelkeep.models.tables import versions
from modelkeep.scanner import Verdict

FAILED = Verdict.ERROR.value

_OF_DIGEST = inspections.c.digest == bindparam("digest")
_IS_VERDICT = inspections.c.verdict != FAILED
# A verdict by older rules says more than a failure of newer ones.
_BEST_FIRST = (case((_IS_VERDICT, 0), else_=1), inspections.c.rule_set.desc())
_LAST_TRIED = select(func.max(inspections.c.rule_set)).where(_OF_DIGEST).scalar_subquery().label("last_tried")
_NEWEST = Prepared(select(inspections, _LAST_TRIED).where(_OF_DIGEST).order_by(*_BEST_FIRST).limit(1))
_JUDGED = Prepared(
    select(inspections.c.digest).where(_OF_DIGEST, inspections.c.rule_set == bindparam("rule_set"), _IS_VERDICT)
)
_HELD = Prepared(
    select(trees.c.id).where(trees.c.digest == bindparam("digest"), trees.c.released_at.is_(None)).limit(1)
)
_KEEP = Prepared(
    upsert(
        inspections,
        ["digest", "rule_set"],
        ["verdict", "inspected_at", "milliseconds", "findings", "contents"],
    )
)
_WAITING = Prepared(
    select(jobs.c.attempts, jobs.c.last_error).where(jobs.c.kind == bindparam("kind"), jobs.c.key == bindparam("key"))
)
_OF_WORKSPACE = download_policies.c.workspace == bindparam("workspace")
_VERDICT = select(inspections.c.verdict).where(_OF_DIGEST, _IS_VERDICT).order_by(inspections.c.rule_set.desc()).limit(1)
_POLICY = Prepared(select(download_policies.c.refuse_unsafe, download_policies.c.refuse_unjudged).where(_OF_WORKSPACE))
_POLICY_AND_VERDICT = Prepared(
    select(
        download_policies.c.refuse_unsafe,
        download_policies.c.refuse_unjudged,
        _VERDICT.scalar_subquery().label("verdict"),
    ).where(_OF_WORKSPACE)
)
_SET_POLICY = Prepared(upsert(download_policies, ["workspace"], ["refuse_unsafe", "refuse_unjudged"]))
_UNJUDGED = Prepared(
    select(versions.c.digest, func.min(versions.c.workspace).label("workspace"))
    .select_from(
        versions.outerjoin(
            inspections,
            (inspections.c.digest == versions.c.digest) & (inspections.c.rule_set == bindparam("rule_set")),
        ).outerjoin(jobs, (jobs.c.kind == bindparam("kind")) & (jobs.c.key == versions.c.digest))
    )
    .where(
        versions.c.digest.is_not(None),
        versions.c.reclaimed_at.is_(None),
        inspections.c.digest.is_(None),
        jobs.c.key.is_(None),
    )
    .group_by(versions.c.digest)
    .order_by(versions.c.digest)
    .limit(bindparam("most"))
)


def newest(tx: Tx, digest: str) -> Any | None:
    """The verdict on a manifest by the newest rules that judged it, or else their failure; and the `last_tried`."""
    return tx.row(_NEWEST, digest=digest)


def is_judged(tx: Tx, digest: str, rule_set: int) -> bool:
    """Whether these rules judged a manifest; an inspection that failed is no judgement."""
    return tx.row(_JUDGED, digest=digest, rule_set=rule_set) is not None


def is_held(tx: Tx, digest: str) -> bool:
    """Whether the files of a manifest are kept for some version."""
    return tx.row(_HELD, digest=digest) is not None


def keep(tx: Tx, row: dict[str, Any]) -> None:
    """Write a verdict down; an earlier one by the same rules is replaced."""
    tx.run(_KEEP, **row)


def waiting(tx: Tx, kind: str, digest: str) -> Any | None:
    """The job that will judge a manifest."""
    return tx.row(_WAITING, kind=kind, key=digest)


def policy(tx: Tx, workspace: str) -> Any | None:
    """What a workspace refuses to give out; None where it set no policy."""
    return tx.row(_POLICY, workspace=workspace)


def policy_and_verdict(tx: Tx, digest: str) -> Any | None:
    """The caller's workspace's policy, where it set one, and the newest verdict on a manifest."""
    return tx.row(_POLICY_AND_VERDICT, digest=digest, workspace=tx.workspace)


def set_policy(tx: Tx, workspace: str, refuse_unsafe: bool, refuse_unjudged: bool) -> None:
    """Say what a workspace refuses to give out."""
    tx.run(
        _SET_POLICY,
        workspace=workspace,
        refuse_unsafe=int(refuse_unsafe),
        refuse_unjudged=int(refuse_unjudged),
    )


def unjudged(tx: Tx, kind: str, rule_set: int, most: int) -> list[Any]:
    """Manifests, of versions that have their files, which these rules never looked at and no job waits for.

    Each with a workspace.
    """
    return tx.rows(_UNJUDGED, kind=kind, rule_set=rule_set, most=most)
