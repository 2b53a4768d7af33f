"""Pushes on the native API: a place for the files of a folder, and the version that they become."""

from msgspec import field

from modelkeep import artifacts, catalog, models
from modelkeep.access import Permission
from modelkeep.core.errors import Conflict, NotFound
from modelkeep.db import Tx
from modelkeep.faces.native.messages import FileAnswer, VersionAnswer, file_answers, version_answer
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Mode, Operation


class OnePush(Request):
    """A call about a push."""

    id: str


class NewPush(Request):
    """A push to be opened."""


class PushAnswer(Answer):
    """A push: its files are PUT to `/api/2.0/mlflow-artifacts/artifacts/<path>/...`; `source` registers them."""

    id: str
    path: str
    source: str


class PushFiles(Answer):
    """What has arrived of a push, by path."""

    items: list[FileAnswer]


class RegisterVersion(Request):
    """A version to be made of what `source` names: a push, a run's or logged model's files, another version, or a place
    elsewhere that is only recorded.

    With `create_model` the model is made if it is not there. With `digest` nothing is registered unless the files have
    exactly that digest.
    """

    name: str
    source: str
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    create_model: bool = False
    digest: str | None = None


def open_push(tx: Tx, _request: NewPush) -> PushAnswer:
    """Make a place for files that are of no run."""
    return _answer(artifacts.open_push(tx))


def show_push(tx: Tx, request: OnePush) -> PushAnswer:
    """An open push."""
    return _answer(artifacts.get_push(tx, request.id))


def list_push(tx: Tx, request: OnePush) -> PushFiles:
    """The files that have arrived whole."""
    return PushFiles(items=file_answers(artifacts.push_files(tx, request.id)))


def register(tx: Tx, request: RegisterVersion) -> VersionAnswer:
    """Make a version; a push that is registered as a whole ends."""
    if request.create_model:
        _make_model(tx, request.name)
    new = models.NewVersion(request.name, request.source, description=request.description, tags=request.tags.items())
    view = catalog.get_version(tx, request.name, models.create_version(tx, new))
    _check_files(view, request)
    return version_answer(view)


def _make_model(tx: Tx, name: str) -> None:
    try:
        models.get_model(tx, name)
    except NotFound:
        models.create_model(tx, name, ())


def _check_files(view: catalog.VersionView, request: RegisterVersion) -> None:
    """What is refused here was not registered: the transaction is undone."""
    if view.digest is None and isinstance(artifacts.parse_source(request.source), artifacts.Stored):
        raise NotFound(f"No files are stored at '{artifacts.shown(request.source)}'.", "source")
    if request.digest is not None and request.digest != view.digest:
        held = view.digest or "no digest, as the registry does not hold its files"
        raise Conflict(f"The source has {held}, not {request.digest}; nothing was registered.", "digest")


def _answer(push: artifacts.Push) -> PushAnswer:
    return PushAnswer(id=push.id, path=push.path, source=push.source)


OPERATIONS: list[Operation] = [
    Operation(
        "pushes.open",
        NATIVE,
        routes("POST", "pushes"),
        NewPush,
        open_push,
        Mode.WRITE,
        Permission.ARTIFACT_WRITE,
        "Open a place for the files of a folder; it is kept for 7 days after the last file came",
        PushAnswer,
        status=201,
    ),
    Operation(
        "pushes.show",
        NATIVE,
        routes("GET", "pushes/{id}"),
        OnePush,
        show_push,
        Mode.QUICK,
        Permission.ARTIFACT_READ,
        "A push that was opened and not yet registered",
        PushAnswer,
    ),
    Operation(
        "pushes.files",
        NATIVE,
        routes("GET", "pushes/{id}/files"),
        OnePush,
        list_push,
        Mode.READ,
        Permission.ARTIFACT_READ,
        "The files of a push that have arrived, with their hashes",
        PushFiles,
    ),
    Operation(
        "versions.register",
        NATIVE,
        routes("POST", "models/{name}/versions"),
        RegisterVersion,
        register,
        Mode.WRITE,
        Permission.VERSION_REGISTER,
        "Register files as a new version",
        VersionAnswer,
        status=201,
    ),
]
