"""The journal of what was done: every event, with who, when and in which request, in the event's own transaction."""

from typing import Any

import msgspec

from modelkeep.audit import store
from modelkeep.core.events import Event
from modelkeep.db import Tx

_encode = msgspec.json.Encoder().encode


def record(tx: Tx, event: Event) -> None:
    """Write an event down. If that fails, so does the change."""
    caller = tx.caller
    store.append(
        tx,
        tx.now,
        event.place or caller.workspace,
        caller.actor.name,
        caller.actor.method,
        caller.actor.token_id,
        caller.request_id,
        event.kind,
        event.resource,
        _encode(event.data()).decode(),
        caller.actor.id,
        caller.address,
        event.outcome,
        caller.reason,
    )


def entries(tx: Tx, before: int, limit: int) -> list[Any]:
    """What was done in the workspace before the entry numbered `before`, newest first."""
    return store.page(tx, before, limit)
