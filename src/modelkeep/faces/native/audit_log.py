"""The audit log on the native API: checkpoints, tiles as tlog-tiles lays them out, and proofs."""

import base64
import re
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from modelkeep import audit
from modelkeep.access import Permission
from modelkeep.core.errors import NotFound
from modelkeep.db import Tx
from modelkeep.faces.native.messages import PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Exchange, Mode, NoInput, Operation, Reply

_TILE = re.compile(
    r"(?P<level>entries|[0-9]|[1-5][0-9]|6[0-3])/(?P<number>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)
_FULL = 256
# More segments name more entries than there are places for.
_LONGEST = 7 * 4
_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]
_BYTES = [(b"content-type", b"application/octet-stream")]

Place = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class AuditTile(Request):
    """A tile by its path: `0/x001/234`, `entries/x001/234`, or with `.p/17` behind it the first 17 of one not full."""

    path: str


class AuditEntry(Request):
    """An entry by its place, counted from 0."""

    seq: Place


class AuditGrowth(Request):
    """Two sizes of the log; without the new one, that of the newest checkpoint."""

    old: Place
    new: Place | None = None


class AuditPage(Request):
    """A page of checkpoints: those of more than `after` entries."""

    after: Place = 0
    limit: PageSize = 1000


class AuditState(Answer):
    """How many entries the log has, how many of the journal's rows have a place or wait for one, what is signed."""

    origin: str
    size: int
    placed: int
    end: int
    waiting: int
    signed: int
    waiting_since: int | None = None
    signed_at: int | None = None


class SignedCheckpoint(Answer):
    """A checkpoint and when it was signed."""

    size: int
    at: int
    note: str


class CheckpointPage(Answer):
    """Checkpoints, the smallest first; `more` if others follow."""

    items: list[SignedCheckpoint]
    more: bool = False


class ProvenEntry(Answer):
    """An entry's text, its hash as a leaf, and what proves it to be in the log of the checkpoint. Hashes in base64."""

    seq: int
    entry: str
    leaf: str
    proof: list[str]
    size: int
    checkpoint: str


class GrowthProof(Answer):
    """What proves that the log of `new` entries begins with its `old` first. Hashes in base64."""

    old: int
    new: int
    proof: list[str]


class AuditKeys(Answer):
    """The log's name and the public keys that sign it, the one in use first."""

    origin: str
    keys: list[str]


async def show_state(exchange: Exchange) -> AuditState:
    """How far the log has come."""
    state = await exchange.app.read(exchange.caller, audit.log_state)
    return AuditState(origin=exchange.app.sequencer.keys.origin, **state._asdict())


async def show_keys(exchange: Exchange) -> AuditKeys:
    """The public keys."""
    keys = exchange.app.sequencer.keys
    return AuditKeys(origin=keys.origin, keys=[verifier.text for verifier in keys.verifiers])


async def show_checkpoint(exchange: Exchange) -> Reply:
    """The newest signed checkpoint."""
    kept = await exchange.app.read(exchange.caller, audit.newest_checkpoint)
    return Reply(200, list(_TEXT), kept.note.encode())


async def send_tile(exchange: Exchange) -> Reply:
    """Hashes, or entries."""
    path: str = exchange.request.path
    found = _TILE.fullmatch(path) if len(path) <= _LONGEST + len("entries/.p/255") else None
    if found is None:
        raise NotFound("There is no such tile: its path is LEVEL/NUMBER or entries/NUMBER, as in 0/x001/234.p/17.")
    number = int(found["number"].replace("x", "").replace("/", ""))
    if (number >= 1000) != ("x" in found["number"]) or found["number"].startswith("x000"):
        raise NotFound("There is no such tile: its number is not in its one form.")
    width = int(found["width"] or _FULL)
    return Reply(200, list(_BYTES), await exchange.app.read(exchange.caller, _reading(found["level"], number, width)))


def _reading(level: str, number: int, width: int) -> Callable[[Tx], bytes]:
    if level == "entries":
        return lambda tx: audit.entry_bundle(tx, number, width)
    return lambda tx: audit.tile_hashes(tx, int(level), number, width)


def list_checkpoints(tx: Tx, request: AuditPage) -> CheckpointPage:
    """Signed checkpoints, the smallest first."""
    found = audit.signed_checkpoints(tx, request.after, request.limit + 1)
    page = [SignedCheckpoint(size=one.size, at=one.at, note=one.note) for one in found[: request.limit]]
    return CheckpointPage(items=page, more=len(found) > request.limit)


def show_entry(tx: Tx, request: AuditEntry) -> ProvenEntry:
    """An entry and its proof."""
    found = audit.proven_entry(tx, request.seq)
    return ProvenEntry(
        seq=request.seq,
        entry=found.entry.decode(),
        leaf=_base64(found.leaf),
        proof=[_base64(one) for one in found.proof],
        size=found.size,
        checkpoint=found.checkpoint,
    )


def show_growth(tx: Tx, request: AuditGrowth) -> GrowthProof:
    """The proof that the log only grew."""
    new, proof = audit.consistency(tx, request.old, request.new)
    return GrowthProof(old=request.old, new=new, proof=[_base64(one) for one in proof])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_READ = Permission.JOURNAL_READ

OPERATIONS: list[Operation] = [
    Operation(
        "audit.show",
        NATIVE,
        routes("GET", "audit"),
        NoInput,
        show_state,
        Mode.STEPS,
        _READ,
        "How many entries the audit log has, and how many of them are signed",
        AuditState,
    ),
    Operation(
        "audit.keys",
        NATIVE,
        routes("GET", "audit/keys"),
        NoInput,
        show_keys,
        Mode.STEPS,
        _READ,
        "The public keys that sign the audit log",
        AuditKeys,
    ),
    Operation(
        "audit.checkpoint",
        NATIVE,
        routes("GET", "audit/checkpoint"),
        NoInput,
        show_checkpoint,
        Mode.STREAM,
        _READ,
        "The newest signed checkpoint of the audit log",
        str,
    ),
    Operation(
        "audit.checkpoints",
        NATIVE,
        routes("GET", "audit/checkpoints"),
        AuditPage,
        list_checkpoints,
        Mode.READ,
        _READ,
        "All signed checkpoints of the audit log, the oldest first",
        CheckpointPage,
    ),
    Operation(
        "audit.tile",
        NATIVE,
        routes("GET", "audit/tile/{path:path}"),
        AuditTile,
        send_tile,
        Mode.STREAM,
        _READ,
        "Hashes of the audit log's tree, or entries, as tlog-tiles lays them out",
        bytes,
    ),
    Operation(
        "audit.entry",
        NATIVE,
        routes("GET", "audit/entries/{seq}"),
        AuditEntry,
        show_entry,
        Mode.READ,
        _READ,
        "An entry of the audit log, and the proof that it is in it",
        ProvenEntry,
    ),
    Operation(
        "audit.consistency",
        NATIVE,
        routes("GET", "audit/consistency"),
        AuditGrowth,
        show_growth,
        Mode.READ,
        _READ,
        "The proof that the audit log only grew between two sizes",
        GrowthProof,
    ),
]
