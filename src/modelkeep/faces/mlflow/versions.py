"""Model versions on MLflow's wire, with their tags and stages."""

import re

from modelkeep import catalog, models, promotion
from modelkeep.access import Permission
from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx
from modelkeep.faces.mlflow.render_models import ModelVersionMessage, RegistryTag, tag_pairs, version_message
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Mode, Operation

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,100}\s*", re.ASCII)


class CreateModelVersion(Message):
    """Register a version of a model from a source."""

    required = ("name", "source")
    name: str | None = None
    source: str | None = None
    run_id: str | None = None
    tags: list[RegistryTag] | None = None
    run_link: str | None = None
    description: str | None = None
    model_id: str | None = None


class NamedModelVersion(Message):
    """A call about a version."""

    required = ("name", "version")
    name: str | None = None
    version: str | None = None


class UpdateModelVersion(Message):
    """Replace a version's description; leaving it out removes it."""

    required = ("name", "version")
    name: str | None = None
    version: str | None = None
    description: str | None = None


class SetModelVersionTag(Message):
    """Set a tag of a version."""

    required = ("name", "version", "key")
    name: str | None = None
    version: str | None = None
    key: str | None = None
    value: str | None = None


class DeleteModelVersionTag(Message):
    """Delete a tag of a version."""

    required = ("name", "version", "key")
    name: str | None = None
    version: str | None = None
    key: str | None = None


class TransitionModelVersionStage(Message):
    """Bring a version to a stage."""

    required = ("name", "version", "stage")
    name: str | None = None
    version: str | None = None
    stage: str | None = None
    archive_existing_versions: bool | None = None


class ModelVersionAnswer(Message):
    """One version."""

    model_version: ModelVersionMessage | None = None


class DownloadUriAnswer(Message):
    """Where a version's files are."""

    artifact_uri: str | None = None


def version_number(text: str | None) -> int:
    """The number of a version, which is text on this wire."""
    if text is None or not _INTEGER.fullmatch(text):
        raise InvalidInput(f"Parameter 'version' must be an integer, got '{text}'.", "version")
    return int(text)


def _answer(tx: Tx, name: str, number: int) -> ModelVersionAnswer:
    return ModelVersionAnswer(model_version=version_message(catalog.get_version(tx, name, number)))


def create_model_version(tx: Tx, request: CreateModelVersion) -> ModelVersionAnswer:
    """model-versions/create."""
    new = models.NewVersion(
        name=request.name or "",
        source=request.source or "",
        run_id=request.run_id or None,
        logged_model_id=request.model_id or None,
        run_link=request.run_link,
        description=request.description,
        tags=tag_pairs(request.tags),
    )
    return _answer(tx, new.name, models.create_version(tx, new))


def get_model_version(tx: Tx, request: NamedModelVersion) -> ModelVersionAnswer:
    """model-versions/get."""
    return _answer(tx, request.name or "", version_number(request.version))


def get_download_uri(tx: Tx, request: NamedModelVersion) -> DownloadUriAnswer:
    """model-versions/get-download-uri."""
    return DownloadUriAnswer(artifact_uri=catalog.download_uri(tx, request.name or "", version_number(request.version)))


def update_model_version(tx: Tx, request: UpdateModelVersion) -> ModelVersionAnswer:
    """model-versions/update."""
    name, number = request.name or "", version_number(request.version)
    models.describe_version(tx, name, number, request.description)
    return _answer(tx, name, number)


def delete_model_version(tx: Tx, request: NamedModelVersion) -> None:
    """model-versions/delete: the version is retired."""
    models.retire_version(tx, request.name or "", version_number(request.version))


def set_model_version_tag(tx: Tx, request: SetModelVersionTag) -> None:
    """model-versions/set-tag."""
    number = version_number(request.version)
    models.set_version_tag(tx, request.name or "", number, request.key or "", request.value or "")


def delete_model_version_tag(tx: Tx, request: DeleteModelVersionTag) -> None:
    """model-versions/delete-tag."""
    models.delete_version_tag(tx, request.name or "", version_number(request.version), request.key or "")


def transition_stage(tx: Tx, request: TransitionModelVersionStage) -> ModelVersionAnswer:
    """model-versions/transition-stage."""
    name, number = request.name or "", version_number(request.version)
    archive = bool(request.archive_existing_versions)
    promotion.move(tx, name, number, request.stage or "", archive_existing=archive)
    return _answer(tx, name, number)


_PATH = "2.0/mlflow/model-versions"

OPERATIONS: list[Operation] = [
    Operation(
        "model_versions.create",
        MLFLOW,
        routes("POST", f"{_PATH}/create"),
        CreateModelVersion,
        create_model_version,
        Mode.WRITE,
        Permission.VERSION_REGISTER,
        "Register a version of a model",
        ModelVersionAnswer,
    ),
    Operation(
        "model_versions.get",
        MLFLOW,
        routes("GET", f"{_PATH}/get"),
        NamedModelVersion,
        get_model_version,
        Mode.QUICK,
        Permission.MODEL_READ,
        "A model version",
        ModelVersionAnswer,
    ),
    Operation(
        "model_versions.get_download_uri",
        MLFLOW,
        routes("GET", f"{_PATH}/get-download-uri"),
        NamedModelVersion,
        get_download_uri,
        Mode.QUICK,
        Permission.MODEL_READ,
        "Where a version's files are",
        DownloadUriAnswer,
    ),
    Operation(
        "model_versions.update",
        MLFLOW,
        routes("PATCH", f"{_PATH}/update"),
        UpdateModelVersion,
        update_model_version,
        Mode.WRITE,
        Permission.VERSION_WRITE,
        "Replace a version's description",
        ModelVersionAnswer,
    ),
    Operation(
        "model_versions.delete",
        MLFLOW,
        routes("DELETE", f"{_PATH}/delete"),
        NamedModelVersion,
        delete_model_version,
        Mode.WRITE,
        Permission.MODEL_RETIRE,
        "Retire a version",
        Empty,
    ),
    Operation(
        "model_versions.set_tag",
        MLFLOW,
        routes("POST", f"{_PATH}/set-tag"),
        SetModelVersionTag,
        set_model_version_tag,
        Mode.WRITE,
        Permission.VERSION_WRITE,
        "Set a tag of a version",
        Empty,
    ),
    Operation(
        "model_versions.delete_tag",
        MLFLOW,
        routes("DELETE", f"{_PATH}/delete-tag"),
        DeleteModelVersionTag,
        delete_model_version_tag,
        Mode.WRITE,
        Permission.VERSION_WRITE,
        "Delete a tag of a version",
        Empty,
    ),
    Operation(
        "model_versions.transition_stage",
        MLFLOW,
        routes("POST", f"{_PATH}/transition-stage"),
        TransitionModelVersionStage,
        transition_stage,
        Mode.WRITE,
        Permission.VERSION_MOVE,
        "Bring a version to a stage",
        ModelVersionAnswer,
    ),
]
