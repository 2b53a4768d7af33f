"""Work to be done later, queued in the transaction that calls for it, and done at least once by some worker."""

from typing import Any

from sqlalchemy import BindParameter, Index, Table, bindparam, case, delete, func, select, update

from modelkeep.db.dialect import one_of_texts, upsert
from modelkeep.db.schema import int_column, metadata, text_column
from modelkeep.db.statements import Prepared
from modelkeep.db.tx import Tx

# (kind, key) names a job: queueing it again while it waits only replaces what it says and when it is due. While a
# worker has it, `claimed_until` is when others may take it over as that worker must have died.
jobs = Table(
    "jobs",
    metadata,
    text_column("kind", primary_key=True),
    text_column("key", primary_key=True),
    text_column("payload"),
    text_column("workspace"),
    int_column("due_at"),
    int_column("attempts"),
    int_column("claimed_until"),
    text_column("last_error", nullable=True),
    Index("jobs_due", "due_at"),
    sqlite_with_rowid=False,
)

_KEY = (jobs.c.kind == bindparam("kind")) & (jobs.c.key == bindparam("key"))
# Claimed for later than any worker would by now: before the clock was put back, by one that may be dead.
_IS_FREE = (jobs.c.claimed_until <= bindparam("now")) | (jobs.c.claimed_until > bindparam("latest"))
_FREE = (jobs.c.due_at <= bindparam("now")) & _IS_FREE
_OF_KINDS = one_of_texts(jobs.c.kind, "kinds")

_QUEUE = Prepared(upsert(jobs, ["kind", "key"], ["payload", "due_at", "attempts", "claimed_until"]))
_NEXT = Prepared(select(jobs).where(_FREE, _OF_KINDS).order_by(jobs.c.due_at).limit(1))
_NEXT_TO_CLAIM = Prepared(
    select(jobs).where(_FREE, _OF_KINDS).order_by(jobs.c.due_at).limit(1).with_for_update(skip_locked=True)
)
_CLAIM = Prepared(update(jobs).where(_KEY).values(claimed_until=bindparam("until"), attempts=jobs.c.attempts + 1))
_FINISH = Prepared(delete(jobs).where(_KEY, jobs.c.claimed_until == bindparam("until")))
_POSTPONE = Prepared(
    update(jobs)
    .where(_KEY, jobs.c.claimed_until == bindparam("until"))
    .values(claimed_until=0, due_at=bindparam("due_at"), last_error=bindparam("error"))
)
_NOW: BindParameter[int] = bindparam("now")
_STANDING = Prepared(
    select(
        func.count(case((jobs.c.claimed_until > _NOW, 1))).label("claimed"),
        func.count(case(((jobs.c.claimed_until <= _NOW) & (jobs.c.due_at < bindparam("before")), 1))).label("late"),
        func.count(jobs.c.last_error).label("failing"),
        func.max(jobs.c.last_error).label("error"),
    )
)
_WAITS = Prepared(select(jobs.c.due_at).where(_KEY))


def queue(tx: Tx, kind: str, key: str, payload: str = "", delay_ms: int = 0) -> None:
    """Have a job done after a delay; one of this kind and key that waits already is replaced.

    A worker that has the old one finishes it, and the new one is done as well.
    """
    tx.run(
        _QUEUE,
        kind=kind,
        key=key,
        payload=payload,
        workspace=tx.workspace,
        due_at=tx.now + delay_ms,
        attempts=0,
        claimed_until=0,
        last_error=None,
    )


def is_due(tx: Tx, kinds: str, lease_ms: int) -> bool:
    """Whether a job of these kinds (a JSON list) waits to be claimed; a read, so that idle workers write nothing."""
    return tx.row(_NEXT, now=tx.now, latest=_latest(tx, lease_ms), kinds=kinds) is not None


def claim(tx: Tx, kinds: str, lease_ms: int) -> Any | None:
    """Take the job of these kinds (a JSON list) that has been due longest, for so long.

    Its row with `claimed_until` as it is now, which `finish` and `postpone` ask for; None where none is due.
    """
    job = tx.row(_NEXT_TO_CLAIM, now=tx.now, latest=_latest(tx, lease_ms), kinds=kinds)
    if job is None:
        return None
    until = tx.now + lease_ms
    tx.run(_CLAIM, kind=job.kind, key=job.key, until=until)
    return job._replace(claimed_until=until, attempts=job.attempts + 1)


def _latest(tx: Tx, lease_ms: int) -> int:
    """Until when a worker may have claimed a job whose clock is ahead of this one, by a lease at most."""
    return tx.now + 2 * lease_ms


def finish(tx: Tx, job: Any) -> None:
    """The job is done. Nothing happens if it was queued anew or taken over meanwhile."""
    tx.run(_FINISH, kind=job.kind, key=job.key, until=job.claimed_until)


def postpone(tx: Tx, job: Any, delay_ms: int, error: str) -> None:
    """The job failed and is to be tried again later."""
    tx.run(_POSTPONE, kind=job.kind, key=job.key, until=job.claimed_until, due_at=tx.now + delay_ms, error=error[:1000])


def standing(tx: Tx, late_ms: int) -> Any:
    """How many jobs are `claimed`, `late` by so much and nobody's, or `failing`, and the `error` of one of these."""
    return tx.row(_STANDING, now=tx.now, before=tx.now - late_ms)


def waits(tx: Tx, kind: str, key: str) -> bool:
    """Whether this job is still to be done."""
    return tx.row(_WAITS, kind=kind, key=key) is not None
