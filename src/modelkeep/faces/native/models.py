"""Registered models on the native API: listed, made, retired and restored, with their aliases."""

from msgspec import field

from modelkeep import catalog, models, promotion
from modelkeep.access import Permission
from modelkeep.db import Tx
from modelkeep.faces.native.messages import (
    AliasAnswer,
    Cursor,
    ModelAnswer,
    ModelPage,
    PageSize,
    RetiredModelPage,
    VersionNumber,
    model_answer,
    retired_answer,
)
from modelkeep.faces.native.wire import NATIVE, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation


class ListModels(Request):
    """A page of models in use."""

    limit: PageSize = 100
    cursor: Cursor = ""


class ListRetiredModels(Request):
    """A page of retired models."""

    limit: PageSize = 100
    cursor: Cursor = ""


class NewModel(Request):
    """A model to be made."""

    name: str
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


class OneModel(Request):
    """A call about the model of that name."""

    name: str


class RestoreModel(Request):
    """A retired model, by its id or name, to be restored under its own name or a new one."""

    name: str
    new_name: str | None = None


class OneAlias(Request):
    """A call about an alias."""

    name: str
    alias: str


class PutAlias(Request):
    """An alias and the version that it shall point at."""

    name: str
    alias: str
    version: VersionNumber


def list_models(tx: Tx, request: ListModels) -> ModelPage:
    """Models in use by name."""
    after = read_cursor(request.cursor, str)[0] if request.cursor else ""
    found = catalog.list_models(tx, after, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].name) if len(found) > len(page) else None
    return ModelPage(items=[model_answer(view) for view in page], next_cursor=more)


def list_retired_models(tx: Tx, request: ListRetiredModels) -> RetiredModelPage:
    """Retired models, the last retired first."""
    after = tuple(read_cursor(request.cursor, int, str)) if request.cursor else None
    found = catalog.list_retired_models(tx, after, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].retired_at or 0, page[-1].id) if len(found) > len(page) else None
    return RetiredModelPage(items=[retired_answer(view) for view in page], next_cursor=more)


def make_model(tx: Tx, request: NewModel) -> ModelAnswer:
    """Make a model."""
    models.create_model(tx, request.name, request.tags.items(), request.description)
    return model_answer(catalog.get_model(tx, request.name))


def show_model(tx: Tx, request: OneModel) -> ModelAnswer:
    """A model in use."""
    return model_answer(catalog.get_model(tx, request.name))


def retire_model(tx: Tx, request: OneModel) -> None:
    """Take a model out of use."""
    models.retire_model(tx, request.name)


def restore_model(tx: Tx, request: RestoreModel) -> ModelAnswer:
    """Bring a retired model back."""
    name = models.restore_model(tx, request.name, request.new_name)
    return model_answer(catalog.get_model(tx, name))


def show_alias(tx: Tx, request: OneAlias) -> AliasAnswer:
    """What an alias points at."""
    return AliasAnswer(alias=request.alias, version=catalog.alias_target(tx, request.name, request.alias))


def put_alias(tx: Tx, request: PutAlias) -> AliasAnswer:
    """Point an alias at a version."""
    promotion.set_alias(tx, request.name, request.alias, request.version)
    return AliasAnswer(alias=request.alias, version=request.version)


def delete_alias(tx: Tx, request: OneAlias) -> None:
    """Delete an alias; an absent one is fine."""
    promotion.delete_alias(tx, request.name, request.alias)


OPERATIONS: list[Operation] = [
    Operation(
        "models.list",
        NATIVE,
        routes("GET", "models"),
        ListModels,
        list_models,
        Mode.READ,
        Permission.MODEL_READ,
        "Models by name",
        ModelPage,
    ),
    Operation(
        "models.create",
        NATIVE,
        routes("POST", "models"),
        NewModel,
        make_model,
        Mode.WRITE,
        Permission.MODEL_CREATE,
        "Make a model",
        ModelAnswer,
        status=201,
    ),
    Operation(
        "models.show",
        NATIVE,
        routes("GET", "models/{name}"),
        OneModel,
        show_model,
        Mode.QUICK,
        Permission.MODEL_READ,
        "A model",
        ModelAnswer,
    ),
    Operation(
        "models.retire",
        NATIVE,
        routes("DELETE", "models/{name}"),
        OneModel,
        retire_model,
        Mode.WRITE,
        Permission.MODEL_RETIRE,
        "Take a model out of use; it can be restored for 30 days",
        status=204,
    ),
    Operation(
        "models.restore",
        NATIVE,
        routes("POST", "models/{name}/restore"),
        RestoreModel,
        restore_model,
        Mode.WRITE,
        Permission.MODEL_RETIRE,
        "Bring a retired model back, by name or id",
        ModelAnswer,
    ),
    Operation(
        "models.list_retired",
        NATIVE,
        routes("GET", "retired-models"),
        ListRetiredModels,
        list_retired_models,
        Mode.READ,
        Permission.MODEL_READ,
        "Retired models, the last retired first",
        RetiredModelPage,
    ),
    Operation(
        "aliases.show",
        NATIVE,
        routes("GET", "models/{name}/aliases/{alias}"),
        OneAlias,
        show_alias,
        Mode.QUICK,
        Permission.MODEL_READ,
        "The version that an alias points at",
        AliasAnswer,
    ),
    Operation(
        "aliases.set",
        NATIVE,
        routes("PUT", "models/{name}/aliases/{alias}"),
        PutAlias,
        put_alias,
        Mode.WRITE,
        Permission.ALIAS_MOVE,
        "Point an alias at a version",
        AliasAnswer,
    ),
    Operation(
        "aliases.delete",
        NATIVE,
        routes("DELETE", "models/{name}/aliases/{alias}"),
        OneAlias,
        delete_alias,
        Mode.WRITE,
        Permission.ALIAS_MOVE,
        "Delete an alias",
        status=204,
    ),
]
