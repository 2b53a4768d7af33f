"""SQL of the catalog: a model or version with everything that belongs to it, in one statement each."""

from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, func, literal, or_, select

from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import integer, json_rows, key_rows, one_of_texts, text, unindexed
from modelkeep.models.tables import model_tags, models, version_tags, versions
from modelkeep.promotion.tables import aliases, stages

_UNUSED = ("workspace", "status_message")


def _version_columns() -> list[Any]:
    """A version's own columns, then its stage, tags and aliases (as JSON)."""
    mine = (versions.c.model_id, versions.c.version)
    stage = select(stages.c.stage).where(stages.c.model_id == mine[0], stages.c.version == mine[1]).correlate(versions)
    tags = select(json_rows(version_tags.c.key, version_tags.c.value)).where(
        version_tags.c.model_id == mine[0], version_tags.c.version == mine[1]
    )
    pointing = aliases.alias("pointing")
    named = select(json_rows(pointing.c.alias)).where(pointing.c.model_id == mine[0], pointing.c.version == mine[1])
    own = [column for column in versions.c if column.name not in _UNUSED]
    return [
        *own,
        stage.scalar_subquery().label("stage"),
        tags.correlate(versions).scalar_subquery().label("tags"),
        named.correlate(versions).scalar_subquery().label("aliases"),
    ]


def _model_columns() -> list[Any]:
    """A model's own columns, then its tags and aliases (as JSON)."""
    tags = select(json_rows(model_tags.c.key, model_tags.c.value)).where(model_tags.c.model_id == models.c.id)
    named = select(json_rows(aliases.c.alias, aliases.c.version)).where(aliases.c.model_id == models.c.id)
    own = [column for column in models.c if column.name != "workspace"]
    return [*own, tags.scalar_subquery().label("tags"), named.scalar_subquery().label("aliases")]


_VERSION = select(*_version_columns())
_MODEL = select(*_model_columns())
_MODEL_LIVE = and_(models.c.workspace == bindparam("workspace"), models.c.retired_at.is_(None))
_MODEL_NAMED = and_(_MODEL_LIVE, models.c.name == bindparam("name"))
_VERSION_NAMED = and_(
    versions.c.workspace == bindparam("workspace"),
    versions.c.name == bindparam("name"),
    versions.c.version == bindparam("number"),
    versions.c.retired_at.is_(None),
)

_RETIRED_MODEL = Prepared(
    select(models.c.id).where(
        models.c.workspace == bindparam("workspace"),
        models.c.id == bindparam("model_id"),
        models.c.retired_at.is_not(None),
    )
)
_GET_VERSION = Prepared(_VERSION.where(_VERSION_NAMED))
_DOWNLOAD_URI = Prepared(select(versions.c.download_uri).where(_VERSION_NAMED))
_BY_ALIAS = Prepared(
    _VERSION.select_from(models)
    .join(aliases, aliases.c.model_id == models.c.id)
    .join(versions, and_(versions.c.model_id == aliases.c.model_id, versions.c.version == aliases.c.version))
    .where(_MODEL_NAMED, aliases.c.alias == bindparam("alias"))
)
_GET_MODEL = Prepared(_MODEL.where(_MODEL_NAMED))
_ALIAS = Prepared(
    select(aliases.c.version)
    .select_from(models)
    .join(aliases, aliases.c.model_id == models.c.id)
    .where(_MODEL_NAMED, aliases.c.alias == bindparam("alias"))
)


def _newest_in(stage: str) -> Any:
    """The newest version of a model in one stage: one seek to the end of an index, however many versions there are."""
    return (
        select(func.max(stages.c.version))
        .where(stages.c.model_id == models.c.id, stages.c.stage == bindparam(stage, type_=text()))
        .correlate(models)
        .scalar_subquery()
    )


_STAGE_BINDS = ("stage_1", "stage_2", "stage_3", "stage_4")
_LATEST = _VERSION.select_from(models).join(
    versions,
    and_(versions.c.model_id == models.c.id, versions.c.version.in_([_newest_in(name) for name in _STAGE_BINDS])),
)
_LATEST_OF_NAME = Prepared(_LATEST.where(_MODEL_NAMED))
_AMONG = and_(
    unindexed(models.c.workspace) == bindparam("workspace"),
    models.c.retired_at.is_(None),
    one_of_texts(models.c.id, "ids"),
)
_LATEST_OF_IDS = Prepared(_LATEST.where(_AMONG))
_MODELS_BY_IDS = Prepared(_MODEL.where(_AMONG))

_keys = key_rows(bindparam("keys", type_=text())).table_valued("position", "text", "number")
_BY_KEYS = Prepared(
    _VERSION.select_from(_keys)
    .join(versions, and_(versions.c.model_id == _keys.c.text, versions.c.version == _keys.c.number))
    .where(versions.c.workspace == bindparam("workspace"), versions.c.retired_at.is_(None))
    .order_by(_keys.c.position)
)

_LIST_MODELS = Prepared(
    _MODEL.where(_MODEL_LIVE, models.c.name > bindparam("after")).order_by(models.c.name).limit(bindparam("most"))
)
_LIST_RETIRED = Prepared(
    _MODEL.where(
        models.c.workspace == bindparam("workspace"),
        models.c.retired_at.is_not(None),
        or_(
            models.c.retired_at < bindparam("before", type_=integer()),
            and_(models.c.retired_at == bindparam("before", type_=integer()), models.c.id > bindparam("after")),
        ),
    )
    .order_by(models.c.retired_at.desc(), models.c.id)
    .limit(bindparam("most"))
)
_LIST_VERSIONS = Prepared(
    _VERSION.where(
        versions.c.model_id == bindparam("model_id"),
        versions.c.version < bindparam("before"),
        or_(versions.c.retired_at.is_(None), literal(1) == bindparam("with_retired", type_=integer())),
    )
    .order_by(versions.c.version.desc())
    .limit(bindparam("most"))
)
_ANY_VERSION = Prepared(
    _VERSION.where(versions.c.model_id == bindparam("model_id"), versions.c.version == bindparam("number"))
)


def version(tx: Tx, name: str, number: int) -> Any | None:
    """A version in use."""
    return tx.row(_GET_VERSION, workspace=tx.workspace, name=name, number=number)


def download_uri(tx: Tx, name: str, number: int) -> str | None:
    """Where the files of a version in use are."""
    found = tx.row(_DOWNLOAD_URI, workspace=tx.workspace, name=name, number=number)
    return str(found.download_uri) if found else None


def version_by_alias(tx: Tx, name: str, alias: str) -> Any | None:
    """The version that an alias points at."""
    return tx.row(_BY_ALIAS, workspace=tx.workspace, name=name, alias=alias)


def alias_target(tx: Tx, name: str, alias: str) -> int | None:
    """The number of the version that an alias points at."""
    found = tx.row(_ALIAS, workspace=tx.workspace, name=name, alias=alias)
    return int(found.version) if found else None


def any_version(tx: Tx, model_id: str, number: int) -> Any | None:
    """A version of a model, retired ones too."""
    return tx.row(_ANY_VERSION, model_id=model_id, number=number)


def model(tx: Tx, name: str) -> Any | None:
    """A model in use, without its latest versions."""
    return tx.row(_GET_MODEL, workspace=tx.workspace, name=name)


def latest_of_name(tx: Tx, name: str, wanted: tuple[str, ...]) -> list[Any]:
    """The newest version of each of these stages (at most four)."""
    return tx.rows(_LATEST_OF_NAME, workspace=tx.workspace, name=name, **_stage_values(wanted))


def latest_of_ids(tx: Tx, ids: list[str], wanted: tuple[str, ...]) -> list[Any]:
    """The same for several models."""
    return tx.rows(_LATEST_OF_IDS, workspace=tx.workspace, ids=_json(ids), **_stage_values(wanted))


def models_by_ids(tx: Tx, ids: list[str]) -> list[Any]:
    """Models in use, in no particular order."""
    return tx.rows(_MODELS_BY_IDS, workspace=tx.workspace, ids=_json(ids))


def versions_by_keys(tx: Tx, keys: list[tuple[str, int]]) -> list[Any]:
    """Versions in use, in the order of their (model id, number)."""
    return tx.rows(_BY_KEYS, workspace=tx.workspace, keys=_json(keys))


def list_models(tx: Tx, after: str, most: int) -> list[Any]:
    """Models in use by name, those after a name."""
    return tx.rows(_LIST_MODELS, workspace=tx.workspace, after=after, most=most)


def list_retired(tx: Tx, before: int, after: str, most: int) -> list[Any]:
    """Retired models, the last retired first, those after a (time, id)."""
    return tx.rows(_LIST_RETIRED, workspace=tx.workspace, before=before, after=after, most=most)


def retired_model(tx: Tx, model_id: str) -> Any | None:
    """The id of a retired model of this workspace."""
    return tx.row(_RETIRED_MODEL, workspace=tx.workspace, model_id=model_id)


def list_versions(tx: Tx, model_id: str, before: int, most: int, *, with_retired: bool) -> list[Any]:
    """A model's versions, the newest first, those below a number."""
    return tx.rows(_LIST_VERSIONS, model_id=model_id, before=before, most=most, with_retired=int(with_retired))


def _stage_values(wanted: tuple[str, ...]) -> dict[str, str]:
    return {bind: wanted[at] if at < len(wanted) else "" for at, bind in enumerate(_STAGE_BINDS)}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
