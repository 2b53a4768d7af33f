"""Requests and answers about artifacts on MLflow's wire."""

from modelkeep.artifacts import parse_path, shown
from modelkeep.core.errors import InvalidInput
from modelkeep.faces.mlflow.wire import Message


class ArtifactPath(Message):
    """A file or folder by its full path."""

    required = ("artifact_path",)
    artifact_path: str | None = None


def full_path(text: str | None) -> tuple[str, ...]:
    """The segments of a path that stood in the address. Raises InvalidInput."""
    path = text or ""
    # Routing made one slash of many, so these come from encoded ones: what they begin is an absolute path.
    if "//" in path or path.endswith("/"):
        raise InvalidInput(f"Invalid path: '{shown(path)}' (a name may not hold '/', percent-encoded or not)", "path")
    return parse_path(path)


class ListArtifacts(Message):
    """A folder by its full path; absent is the root."""

    path: str | None = None


class ListRunArtifacts(Message):
    """A folder of a run, by its path there."""

    run_id: str | None = None
    run_uuid: str | None = None
    path: str | None = None
    page_token: str | None = None


class ListLoggedModelArtifacts(Message):
    """A folder of a logged model, by its path there."""

    model_id: str | None = None
    artifact_directory_path: str | None = None
    page_token: str | None = None


class RunFile(Message):
    """A file of a run."""

    run_id: str | None = None
    run_uuid: str | None = None
    path: str | None = None


class VersionFile(Message):
    """A file of a registered version."""

    required = ("name", "version", "path")
    name: str | None = None
    version: str | None = None
    path: str | None = None


class LoggedModelFile(Message):
    """A file of a logged model."""

    required = ("artifact_file_path",)
    model_id: str | None = None
    artifact_file_path: str | None = None


class UploadRunFile(Message):
    """A file to be of a run; its bytes are the body."""

    run_uuid: str | None = None
    path: str | None = None


class FileInfo(Message):
    """A line of a listing."""

    path: str | None = None
    is_dir: bool | None = None
    file_size: int | None = None


class ListArtifactsAnswer(Message):
    """A listing by last path parts."""

    files: list[FileInfo] | None = None


class ListOwnedArtifactsAnswer(Message):
    """A listing by paths from a root, and where that root is."""

    root_uri: str | None = None
    files: list[FileInfo] | None = None
