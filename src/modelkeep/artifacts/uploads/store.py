"""SQL of uploads in parts."""

import json
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from modelkeep.artifacts.blobs import Part
from modelkeep.artifacts.tables import upload_parts, uploads
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import one_of_texts, upsert

OPEN, COMPLETING, DONE = "open", "completing", "done"

_ID = uploads.c.id == bindparam("id")
_OURS = select(uploads).where(_ID, uploads.c.workspace == bindparam("workspace"))
_MY_TURN = (uploads.c.state == COMPLETING) & (uploads.c.attempt == bindparam("turn"))

_INSERT = Prepared(insert(uploads))
_UPLOAD = Prepared(_OURS)
_UPLOAD_TO_CHANGE = Prepared(_OURS.with_for_update())
_TOUCH = Prepared(update(uploads).where(_ID).values(updated_at=bindparam("now")))
_CLAIM = Prepared(
    update(uploads).where(_ID).values(state=COMPLETING, attempt=bindparam("turn"), updated_at=bindparam("now"))
)
_BEAT = Prepared(update(uploads).where(_ID, _MY_TURN).values(updated_at=bindparam("now")))
_RELEASE = Prepared(update(uploads).where(_ID, _MY_TURN).values(state=OPEN, updated_at=bindparam("now")))
_FINISH = Prepared(
    update(uploads)
    .where(_ID, _MY_TURN)
    .values(state=DONE, sha256=bindparam("sha256"), size=bindparam("size"), updated_at=bindparam("now"))
)
_DELETE = Prepared(delete(uploads).where(_ID))
_GIVE_UP = Prepared(delete(uploads).where(_ID, _MY_TURN))
_STALE = Prepared(
    select(uploads).where(uploads.c.updated_at <= bindparam("before")).order_by(uploads.c.updated_at).limit(1000)
)
_KEPT = select(uploads.c.id).where(one_of_texts(uploads.c.id, "ids"))
_KEPT_IN_ANY_STATE = Prepared(_KEPT)
_UNFINISHED = Prepared(_KEPT.where(uploads.c.state != DONE))

_OF_UPLOAD = upload_parts.c.upload_id == bindparam("id")
_PARTS = Prepared(
    select(upload_parts.c.number, upload_parts.c.size, upload_parts.c.etag)
    .where(_OF_UPLOAD)
    .order_by(upload_parts.c.number)
)
_PUT_PART = Prepared(upsert(upload_parts, ["upload_id", "number"], ["size", "etag"]))
_DELETE_PARTS = Prepared(delete(upload_parts).where(_OF_UPLOAD))


def insert_upload(tx: Tx, values: dict[str, Any]) -> None:
    """Write a new upload down."""
    tx.run(_INSERT, **values)


def upload(tx: Tx, upload_id: str) -> Any | None:
    """An upload of this workspace."""
    return tx.row(_UPLOAD, id=upload_id, workspace=tx.workspace)


def upload_to_change(tx: Tx, upload_id: str) -> Any | None:
    """An upload of this workspace, held against other writers until the end of the transaction."""
    return tx.row(_UPLOAD_TO_CHANGE, id=upload_id, workspace=tx.workspace)


def put_part(tx: Tx, upload_id: str, part: Part) -> None:
    """Write down that a part is there, which is progress."""
    tx.run(_PUT_PART, upload_id=upload_id, number=part.number, size=part.size, etag=part.etag)
    tx.run(_TOUCH, id=upload_id, now=tx.now)


def parts_of(tx: Tx, upload_id: str) -> list[Part]:
    """The parts that are there, in order."""
    return [Part(row.number, row.size, row.etag) for row in tx.rows(_PARTS, id=upload_id)]


def claim(tx: Tx, upload_id: str, turn: int) -> None:
    """Begin to put an upload together; its row is held."""
    tx.run(_CLAIM, id=upload_id, turn=turn, now=tx.now)


def beat(tx: Tx, upload_id: str, turn: int) -> bool:
    """Say that it is still being put together; False if that is no longer this turn's."""
    return tx.run(_BEAT, id=upload_id, turn=turn, now=tx.now) == 1


def release(tx: Tx, upload_id: str, turn: int) -> None:
    """Give up putting it together, so that it can be tried again; nothing if that is no longer this turn's."""
    tx.run(_RELEASE, id=upload_id, turn=turn, now=tx.now)


def finish(tx: Tx, upload_id: str, turn: int, sha256: str, size: int) -> bool:
    """The file is there; False if putting it together is no longer this turn's."""
    return tx.run(_FINISH, id=upload_id, turn=turn, sha256=sha256, size=size, now=tx.now) == 1


def delete_upload(tx: Tx, upload_id: str) -> None:
    """Forget an upload and its parts."""
    tx.run(_DELETE_PARTS, id=upload_id)
    tx.run(_DELETE, id=upload_id)


def give_up(tx: Tx, upload_id: str, turn: int) -> bool:
    """Forget an upload and its parts; False if putting it together is no longer this turn's."""
    given_up = tx.run(_GIVE_UP, id=upload_id, turn=turn) == 1
    if given_up:
        tx.run(_DELETE_PARTS, id=upload_id)
    return given_up


def stale(tx: Tx, before: int) -> list[Any]:
    """Uploads of all workspaces that nothing happened to since a time, at most 1,000."""
    return tx.rows(_STALE, before=before)


def kept(tx: Tx, ids: list[str]) -> set[str]:
    """Those of these uploads, of any workspace and in any state, that are written down."""
    return {row.id for row in tx.rows(_KEPT_IN_ANY_STATE, ids=json.dumps(ids))}


def unfinished(tx: Tx, ids: list[str]) -> set[str]:
    """Those of these uploads, of any workspace, whose parts are still needed."""
    return {row.id for row in tx.rows(_UNFINISHED, ids=json.dumps(ids))}
