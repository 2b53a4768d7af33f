"""Stored bytes on the native API: what was found to be damaged, and what in the caller's workspace it belongs to."""

from collections.abc import Iterable

from modelkeep.access import Permission
from modelkeep.artifacts import DamagedBlob, Holder, damaged_blobs
from modelkeep.db import Tx
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation
from modelkeep.models import model_names


class ListDamage(Request):
    """A page of the damaged blobs."""

    limit: PageSize = 100
    cursor: Cursor = ""


class DamageHolder(Answer):
    """A file whose bytes are damaged: its path in a model version, a run, a logged model or a push that is open.

    `workspace` is there where those of all workspaces are listed.
    """

    path: str
    workspace: str | None = None
    model: str | None = None
    version: int | None = None
    run_id: str | None = None
    logged_model_id: str | None = None
    push_id: str | None = None


class DamageEntry(Answer):
    """A damaged blob, since when that is known (in ms), and the files that are it (at most 100).

    It is not served. Uploading the same bytes again, to any path, heals it everywhere.
    """

    sha256: str
    size: int
    since: int
    holders: list[DamageHolder]


class DamagePage(Answer):
    """A page of damaged blobs, by digest."""

    items: list[DamageEntry]
    next_cursor: str | None = None


def list_damage(tx: Tx, request: ListDamage) -> DamagePage:
    """The damaged blobs that something in the workspace holds."""
    after = read_cursor(request.cursor, str)[0] if request.cursor else ""
    found = damaged_blobs(tx, after, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].sha256) if len(found) > len(page) else None
    names = names_of_holders(tx, [holder for blob in page for holder in blob.holders])
    return DamagePage(items=[_entry(blob, names) for blob in page], next_cursor=more)


def _entry(blob: DamagedBlob, names: dict[str, str]) -> DamageEntry:
    holders = [holder_answer(holder, names) for holder in blob.holders]
    return DamageEntry(sha256=blob.sha256, size=blob.size, since=blob.since, holders=holders)


def names_of_holders(tx: Tx, holders: Iterable[Holder]) -> dict[str, str]:
    """The names of the models whose versions are among what holds something, by their ids."""
    return model_names(tx, sorted({holder.owner.split("/")[1] for holder in holders if _is_version(holder)}))


def _is_version(holder: Holder) -> bool:
    return holder.owner.startswith("version/")


def holder_answer(holder: Holder, names: dict[str, str], *, everywhere: bool = False) -> DamageHolder:
    """A file that holds a blob, with its workspace if it may be in any (`everywhere`)."""
    kind, key, *rest = holder.owner.split("/")
    answer = DamageHolder(path=holder.path, workspace=holder.workspace if everywhere else None)
    if kind == "version":
        answer.model, answer.version = names.get(key, key), int(rest[0])
    elif kind == "run":
        answer.run_id = key
    elif kind == "push":
        answer.push_id = key
    else:
        answer.logged_model_id = key
    return answer


OPERATIONS: list[Operation] = [
    Operation(
        "artifacts.list_damage",
        NATIVE,
        routes("GET", "artifacts/damage"),
        ListDamage,
        list_damage,
        Mode.READ,
        Permission.STORAGE_MANAGE,
        "Files whose stored bytes were found to be damaged",
        DamagePage,
    ),
]
