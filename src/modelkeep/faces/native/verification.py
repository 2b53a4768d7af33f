"""Stored bytes rehashed on the native API, for whoever asks again and again until all were."""

from modelkeep import artifacts
from modelkeep.access import Permission
from modelkeep.artifacts import Damaged, Place, Scope, Verified, WrongBlob
from modelkeep.core.errors import Conflict, InvalidInput, NotFound
from modelkeep.db import Tx
from modelkeep.faces.native.artifacts import DamageHolder, holder_answer, names_of_holders
from modelkeep.faces.native.messages import Cursor, VersionNumber
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Exchange, Mode, Operation
from modelkeep.models import find_any_version, get_model

_DIGEST_CHARS = 65


class VerifyBlobs(Request):
    """What to rehash: the whole store, the versions of a model, or one of them. Without a cursor from the start.

    `deep` hashes everything whole, also where digests of chunks are kept, which are ten times as fast.
    """

    model: str | None = None
    version: VersionNumber | None = None
    deep: bool = False
    cursor: Cursor = ""


class WrongBlobAnswer(Answer):
    """A blob that is not what was stored: `missing`, `truncated`, `longer`, `flipped`, `swapped` or `unreadable`.

    `found` is the other blob whose bytes a swapped one has. Uploading the right bytes again, to any path, heals it.
    It is not served, unless `certain` is false: then the store only failed to read it, which may pass.
    """

    sha256: str
    size: int
    problem: str
    detail: str
    holders: list[DamageHolder]
    certain: bool
    found: str | None = None


class VerifyTotal(Answer):
    """How much there is to verify."""

    blobs: int
    bytes: int


class VerifyAnswer(Answer):
    """What the call came to; where there is a `next_cursor`, ask again with it. The `total` is in the first answer."""

    checked: int
    bytes: int
    wrong: list[WrongBlobAnswer]
    next_cursor: str | None = None
    total: VerifyTotal | None = None


async def verify(exchange: Exchange) -> VerifyAnswer:
    """Rehash the next blobs."""
    app, caller, request = exchange.app, exchange.caller, exchange.request
    place = _place(request.cursor)
    scope = await app.read(caller, lambda tx: _scope(tx, request))
    total = None if request.cursor else await app.read(caller, lambda tx: _total(tx, scope))
    found = await app.at_length(
        lambda: artifacts.verify_blobs(app.database, caller, app.blobs, scope, place, deep=request.deep)
    )
    for blob in found.wrong:
        if blob.is_certain:
            why = f"The stored blob {blob.sha256} is wrong: {blob.detail}"
            await app.tell_damage(caller, Damaged(why, blob.sha256))
    return await app.read(caller, lambda tx: _answer(tx, found, total, everywhere=request.model is None))


def _place(cursor: str) -> Place:
    if not cursor:
        return Place()
    sha256, offset, hashed = read_cursor(cursor, str, int, int)
    if len(sha256) > _DIGEST_CHARS or offset < 0 or hashed < 0:
        raise InvalidInput("This is no cursor of a verification; take `next_cursor` from an answer.", "cursor")
    return Place(sha256, offset, hashed)


def _scope(tx: Tx, request: VerifyBlobs) -> Scope:
    if request.model is None:
        if request.version is not None:
            raise InvalidInput("A version is one of a model: give `model` too.", "model")
        return Scope()
    model = get_model(tx, request.model)
    if request.version is not None:
        _check_has_bytes(find_any_version(tx, model.id, request.version), request)
    return Scope(model.id, request.version)


def _check_has_bytes(version: object | None, request: VerifyBlobs) -> None:
    named = f"Version {request.version} of '{request.model}'"
    if version is None:
        raise NotFound(f"{named} not found", "version")
    if version.digest is None:  # type: ignore[attr-defined]
        raise Conflict(f"{named} is external: the registry does not hold its files.", "version")
    if version.reclaimed_at is not None:  # type: ignore[attr-defined]
        raise Conflict(f"{named} was reclaimed: its files are not kept any more.", "version")


def _total(tx: Tx, scope: Scope) -> VerifyTotal:
    amount = artifacts.amount_to_verify(tx, scope)
    return VerifyTotal(blobs=amount.count, bytes=amount.size)


def _answer(tx: Tx, found: Verified, total: VerifyTotal | None, *, everywhere: bool) -> VerifyAnswer:
    names = names_of_holders(tx, [holder for blob in found.wrong for holder in blob.holders])
    wrong = [_wrong(blob, names, everywhere) for blob in found.wrong]
    more = write_cursor(*found.following) if found.following else None
    return VerifyAnswer(checked=found.checked, bytes=found.size, wrong=wrong, next_cursor=more, total=total)


def _wrong(blob: WrongBlob, names: dict[str, str], everywhere: bool) -> WrongBlobAnswer:
    return WrongBlobAnswer(
        sha256=blob.sha256,
        size=blob.size,
        problem=blob.problem.value,
        detail=blob.detail,
        holders=[holder_answer(holder, names, everywhere=everywhere) for holder in blob.holders],
        certain=blob.is_certain,
        found=blob.found,
    )


OPERATIONS: list[Operation] = [
    Operation(
        "artifacts.verify",
        NATIVE,
        routes("POST", "artifacts/verify"),
        VerifyBlobs,
        verify,
        Mode.STEPS,
        Permission.MODEL_READ,
        "Rehash the next stored blobs, of the whole store (which asks for storage:manage) or of a model",
        VerifyAnswer,
    ),
]
