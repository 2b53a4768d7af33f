"""Registered models on MLflow's wire, with their tags and aliases."""

from modelkeep import catalog, models, promotion
from modelkeep.access import Permission
from modelkeep.db import Tx
from modelkeep.faces.mlflow.render_models import (
    ModelVersionMessage,
    RegisteredModelMessage,
    RegistryTag,
    model_message,
    tag_pairs,
    version_message,
)
from modelkeep.faces.mlflow.versions import version_number
from modelkeep.faces.mlflow.wire import MLFLOW, Empty, Message, routes
from modelkeep.faces.operations import Mode, Operation


class CreateRegisteredModel(Message):
    """Make a registered model, or a prompt by its tags."""

    required = ("name",)
    name: str | None = None
    tags: list[RegistryTag] | None = None
    description: str | None = None


class NamedRegisteredModel(Message):
    """A call about the model of that name."""

    required = ("name",)
    name: str | None = None


class RenameRegisteredModel(Message):
    """Give a model another name."""

    required = ("name", "new_name")
    name: str | None = None
    new_name: str | None = None


class UpdateRegisteredModel(Message):
    """Replace a model's description; leaving it out clears it."""

    required = ("name",)
    name: str | None = None
    description: str | None = None


class SetRegisteredModelTag(Message):
    """Set a tag of a model."""

    required = ("name", "key")
    name: str | None = None
    key: str | None = None
    value: str | None = None


class DeleteRegisteredModelTag(Message):
    """Delete a tag of a model."""

    required = ("name", "key")
    name: str | None = None
    key: str | None = None


class GetLatestVersions(Message):
    """The newest version of each of these stages."""

    required = ("name",)
    name: str | None = None
    stages: list[str] | None = None


class SetRegisteredModelAlias(Message):
    """Point an alias at a version."""

    required = ("name", "alias", "version")
    name: str | None = None
    alias: str | None = None
    version: str | None = None


class NamedRegisteredModelAlias(Message):
    """A call about an alias."""

    required = ("name", "alias")
    name: str | None = None
    alias: str | None = None


class RegisteredModelAnswer(Message):
    """One registered model."""

    registered_model: RegisteredModelMessage | None = None


class LatestVersionsAnswer(Message):
    """Versions, one of each stage that has any."""

    model_versions: list[ModelVersionMessage] | None = None


class AliasedVersionAnswer(Message):
    """The version that an alias points at."""

    model_version: ModelVersionMessage | None = None


def _answer(tx: Tx, name: str) -> RegisteredModelAnswer:
    return RegisteredModelAnswer(registered_model=model_message(catalog.get_model(tx, name)))


def create_registered_model(tx: Tx, request: CreateRegisteredModel) -> RegisteredModelAnswer:
    """registered-models/create."""
    name = request.name or ""
    models.create_model(tx, name, tag_pairs(request.tags), request.description)
    return _answer(tx, name)


def get_registered_model(tx: Tx, request: NamedRegisteredModel) -> RegisteredModelAnswer:
    """registered-models/get."""
    return _answer(tx, request.name or "")


def rename_registered_model(tx: Tx, request: RenameRegisteredModel) -> RegisteredModelAnswer:
    """registered-models/rename."""
    new_name = request.new_name or ""
    models.rename_model(tx, request.name or "", new_name)
    return _answer(tx, new_name)


def update_registered_model(tx: Tx, request: UpdateRegisteredModel) -> RegisteredModelAnswer:
    """registered-models/update."""
    name = request.name or ""
    models.describe_model(tx, name, request.description or "")
    return _answer(tx, name)


def delete_registered_model(tx: Tx, request: NamedRegisteredModel) -> None:
    """registered-models/delete: the model is retired, and can be restored for 30 days."""
    models.retire_model(tx, request.name or "")


def set_registered_model_tag(tx: Tx, request: SetRegisteredModelTag) -> None:
    """registered-models/set-tag."""
    models.set_model_tag(tx, request.name or "", request.key or "", request.value or "")


def delete_registered_model_tag(tx: Tx, request: DeleteRegisteredModelTag) -> None:
    """registered-models/delete-tag."""
    models.delete_model_tag(tx, request.name or "", request.key or "")


def get_latest_versions(tx: Tx, request: GetLatestVersions) -> LatestVersionsAnswer:
    """registered-models/get-latest-versions."""
    found = catalog.latest_versions(tx, request.name or "", request.stages or ())
    return LatestVersionsAnswer(model_versions=[version_message(view) for view in found] or None)


def set_registered_model_alias(tx: Tx, request: SetRegisteredModelAlias) -> None:
    """registered-models/alias, POST."""
    promotion.set_alias(tx, request.name or "", request.alias or "", version_number(request.version))


def delete_registered_model_alias(tx: Tx, request: NamedRegisteredModelAlias) -> None:
    """registered-models/alias, DELETE."""
    promotion.delete_alias(tx, request.name or "", request.alias or "")


def get_version_by_alias(tx: Tx, request: NamedRegisteredModelAlias) -> AliasedVersionAnswer:
    """registered-models/alias, GET."""
    view = catalog.get_version_by_alias(tx, request.name or "", request.alias or "")
    return AliasedVersionAnswer(model_version=version_message(view))


_PATH = "2.0/mlflow/registered-models"

OPERATIONS: list[Operation] = [
    Operation(
        "registered_models.create",
        MLFLOW,
        routes("POST", f"{_PATH}/create"),
        CreateRegisteredModel,
        create_registered_model,
        Mode.WRITE,
        Permission.MODEL_CREATE,
        "Make a registered model",
        RegisteredModelAnswer,
    ),
    Operation(
        "registered_models.get",
        MLFLOW,
        routes("GET", f"{_PATH}/get"),
        NamedRegisteredModel,
        get_registered_model,
        Mode.QUICK,
        Permission.MODEL_READ,
        "A registered model with its latest versions, tags and aliases",
        RegisteredModelAnswer,
    ),
    Operation(
        "registered_models.rename",
        MLFLOW,
        routes("POST", f"{_PATH}/rename"),
        RenameRegisteredModel,
        rename_registered_model,
        Mode.WRITE,
        Permission.MODEL_WRITE,
        "Rename a registered model",
        RegisteredModelAnswer,
    ),
    Operation(
        "registered_models.update",
        MLFLOW,
        routes("PATCH", f"{_PATH}/update"),
        UpdateRegisteredModel,
        update_registered_model,
        Mode.WRITE,
        Permission.MODEL_WRITE,
        "Replace a registered model's description",
        RegisteredModelAnswer,
    ),
    Operation(
        "registered_models.delete",
        MLFLOW,
        routes("DELETE", f"{_PATH}/delete"),
        NamedRegisteredModel,
        delete_registered_model,
        Mode.WRITE,
        Permission.MODEL_RETIRE,
        "Retire a registered model",
        Empty,
    ),
    Operation(
        "registered_models.set_tag",
        MLFLOW,
        routes("POST", f"{_PATH}/set-tag"),
        SetRegisteredModelTag,
        set_registered_model_tag,
        Mode.WRITE,
        Permission.MODEL_WRITE,
        "Set a tag of a registered model",
        Empty,
    ),
    Operation(
        "registered_models.delete_tag",
        MLFLOW,
        routes("DELETE", f"{_PATH}/delete-tag"),
        DeleteRegisteredModelTag,
        delete_registered_model_tag,
        Mode.WRITE,
        Permission.MODEL_WRITE,
        "Delete a tag of a registered model",
        Empty,
    ),
    Operation(
        "registered_models.get_latest_versions",
        MLFLOW,
        routes("POST", f"{_PATH}/get-latest-versions", "GET"),
        GetLatestVersions,
        get_latest_versions,
        Mode.QUICK,
        Permission.MODEL_READ,
        "The newest version of each stage",
        LatestVersionsAnswer,
    ),
    Operation(
        "registered_models.set_alias",
        MLFLOW,
        routes("POST", f"{_PATH}/alias"),
        SetRegisteredModelAlias,
        set_registered_model_alias,
        Mode.WRITE,
        Permission.ALIAS_MOVE,
        "Point an alias at a version",
        Empty,
    ),
    Operation(
        "registered_models.delete_alias",
        MLFLOW,
        routes("DELETE", f"{_PATH}/alias"),
        NamedRegisteredModelAlias,
        delete_registered_model_alias,
        Mode.WRITE,
        Permission.ALIAS_MOVE,
        "Delete an alias",
        Empty,
    ),
    Operation(
        "registered_models.get_by_alias",
        MLFLOW,
        routes("GET", f"{_PATH}/alias"),
        NamedRegisteredModelAlias,
        get_version_by_alias,
        Mode.QUICK,
        Permission.MODEL_READ,
        "The version that an alias points at",
        AliasedVersionAnswer,
    ),
]
