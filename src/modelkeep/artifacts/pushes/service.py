"""Pushes: places that take the files of a folder, one after the other, until they are registered as a version."""

import re
import secrets
from collections.abc import Callable, Mapping
from typing import NamedTuple

from modelkeep.artifacts.deletion.service import clear_tree, hold_tree
from modelkeep.artifacts.events import PushClosed, PushOpened
from modelkeep.artifacts.pushes import store
from modelkeep.artifacts.rules import Stored, parse_source
from modelkeep.artifacts.service import ManifestFile, artifact_uri, files_at, open_tree, stored_segments
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.core.types import SYSTEM, Caller
from modelkeep.db import Database, Tx

ABANDONED_AFTER_MS = 7 * 24 * 3600 * 1000
_BATCH = 100
_FOLDER = "pushes"
_ID = re.compile(r"[0-9a-f]{32}")
# Most sources of versions are elsewhere: they need not be taken apart to know that they are no pushes.
_OF_A_STORE = re.compile("mlflow-artifacts:", re.IGNORECASE)


class Push(NamedTuple):
    """A push: its id, the path in the artifact namespace that its files go below, and that place as a source."""

    id: str
    path: str
    source: str


def open_push(tx: Tx) -> Push:
    """Make a place for a folder's files."""
    push = _push(tx, secrets.token_hex(16))
    open_tree(tx, push.source, store.owner_of(push.id))
    store.insert_push(tx, push.id)
    tx.emit(PushOpened(push.id))
    return push


def get_push(tx: Tx, push_id: str) -> Push:
    """An open push. Raises NotFound."""
    if not _ID.fullmatch(push_id) or store.push(tx, push_id) is None:
        raise no_push(push_id)
    return _push(tx, push_id)


def no_push(push_id: str) -> NotFound:
    """The refusal of a push that is not there."""
    return NotFound(f"No push has the id '{push_id}': it was registered, or given up 7 days ago.", "id")


def push_maker(tx: Tx, push_id: str) -> str | None:
    """The lasting id of who opened a push, empty where nobody signed in; None if there is none."""
    row = store.push(tx, push_id) if _ID.fullmatch(push_id) else None
    return None if row is None else str(row.created_by_id)


def adopt_pushes(tx: Tx, makers: Mapping[str, str]) -> None:
    """Give the pushes that were opened by a name, before people had lasting ids, to whom has its id (name to id)."""
    for name, user_id in makers.items():
        store.adopt(tx, name, user_id)


def push_files(tx: Tx, push_id: str) -> list[ManifestFile]:
    """What has arrived, by path. Raises NotFound."""
    return files_at(tx, stored_segments(get_push(tx, push_id).source)).files


def hold_push(tx: Tx, source: str) -> str | None:
    """The id of the push that a source is the whole of, if it is one: nothing comes to it until `close_push`."""
    push_id = _named_by(tx, source) if tx.caller.finds_source else None
    if push_id is None or not hold_tree(tx, store.owner_of(push_id)) or store.push(tx, push_id) is None:
        return None
    return push_id


def close_push(tx: Tx, push_id: str) -> None:
    """Remove a push with its tree. What was registered from it stays."""
    files = clear_tree(tx, store.owner_of(push_id)).count
    if store.delete_push(tx, push_id):
        tx.emit(PushClosed(push_id, files))


def drop_abandoned_pushes(
    database: Database, older_than_ms: int = ABANDONED_AFTER_MS, going: Callable[[], bool] = lambda: True
) -> int:
    """Close the pushes that nothing has come to for so long; how many they were."""
    dropped = 0
    while True:
        found = database.read_now(SYSTEM, lambda tx: store.some_abandoned(tx, tx.now - older_than_ms, _BATCH))
        for row in found:
            caller = Caller(SYSTEM.actor, row.workspace)
            dropped += database.write_now(caller, lambda tx, row=row: _drop(tx, row.id, tx.now - older_than_ms))  # type: ignore[misc]
        if len(found) < _BATCH or not going():
            return dropped


def _drop(tx: Tx, push_id: str, before: int) -> bool:
    hold_tree(tx, store.owner_of(push_id))
    # Looked at again, now that nothing can come to it.
    if not store.is_abandoned(tx, push_id, before):
        return False
    close_push(tx, push_id)
    return True


def _push(tx: Tx, push_id: str) -> Push:
    source = artifact_uri(tx, _FOLDER, push_id, "artifacts")
    return Push(push_id, "/".join(stored_segments(source)), source)


def _named_by(tx: Tx, source: str) -> str | None:
    if not _OF_A_STORE.match(source):
        return None
    try:
        parsed = parse_source(source)
    except InvalidInput:
        return None
    if not isinstance(parsed, Stored) or parsed.host or len(parsed.segments) < 3:
        return None
    push_id = parsed.segments[-2]
    return push_id if _ID.fullmatch(push_id) and stored_segments(_push(tx, push_id).source) == parsed.segments else None
