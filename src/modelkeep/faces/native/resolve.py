"""From a URI to files, on the native API: what it stands for now, and where each file can be fetched."""

from modelkeep import catalog
from modelkeep.access import Permission
from modelkeep.db import Tx
from modelkeep.faces.native.messages import FileAnswer, file_answers
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Mode, Operation


class ResolveUri(Request):
    """`models:/NAME/VERSION`, `models:/NAME@ALIAS`, `/STAGE`, `/latest`, `models:/m-ID`, or `runs:/ID/PATH`."""

    uri: str


class ResolvedAnswer(Answer):
    """What a URI stands for: `kind` is `version`, `logged_model` or `run`, `digest` that of all its files.

    A file is fetched at `/api/2.0/mlflow-artifacts/artifacts/<root>/<path>`.
    """

    uri: str
    kind: str
    name: str
    digest: str
    root: str
    files: list[FileAnswer]
    version: int | None = None


def resolve(tx: Tx, request: ResolveUri) -> ResolvedAnswer:
    """The files that a URI stands for."""
    found = catalog.resolve_files(tx, request.uri)
    return ResolvedAnswer(
        uri=request.uri,
        kind=found.kind,
        name=found.name,
        version=found.version,
        digest=found.digest,
        root=found.root,
        files=file_answers(found.files),
    )


OPERATIONS: list[Operation] = [
    Operation(
        "files.resolve",
        NATIVE,
        routes("GET", "resolve"),
        ResolveUri,
        resolve,
        Mode.READ,
        Permission.ARTIFACT_READ,
        "The files that a URI stands for, with their hashes",
        ResolvedAnswer,
    )
]
