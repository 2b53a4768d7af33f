"""What each search looks through: its table, where every key stands, and which indexes find or order rows."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from sqlalchemy import Table, bindparam, cast, exists, select, true
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import FromClause

from modelkeep.db.dialect import one_of_integers, text
from modelkeep.models.tables import model_tags, models, version_tags, versions
from modelkeep.promotion.tables import aliases, stages
from modelkeep.runs.tables import (
    dataset_inputs,
    datasets,
    experiment_tags,
    experiments,
    latest_metrics,
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
    params,
    runs,
    tags,
)


class Side(Struct, frozen=True, eq=False):
    """Rows beside the searched one: tags, metrics, aliases... `link` pairs their columns with the searched row's.

    `scope` says by which of the search's bounds its index of values begins, none where there is no such index; `newest`
    are the columns by which one of several points of a metric is the latest (greatest first, `-` for the least).
    `scattered`: the ids in the first link were drawn at random, so that a stretch of them is a fair sample of all.
    """

    rows: FromClause
    link: tuple[tuple[str, str], ...]
    value: str = "value"
    key: str = "key"
    scope: tuple[str, ...] = ()
    numbers: bool = False
    newest: tuple[str, ...] = ()
    scattered: bool = False


class Target(Struct, frozen=True, eq=False):
    """One search. `leads` are keys with an index in their order; `found_by` attributes with an index of their values.

    `alive` are conditions on every row; `bounds` conditions by the name of what they are bound to. `ids_repeat`:
    another workspace has things of the same ids.
    """

    rows: Table
    id: tuple[str, ...]
    attributes: Mapping[str, ColumnElement[Any]]
    sides: Mapping[str, Side]
    scope: tuple[str, ...]
    leads: frozenset[str]
    found_by: frozenset[str]
    alive: tuple[ColumnElement[bool], ...] = ()
    bounds: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)
    ids_repeat: bool = False

    @property
    def ids(self) -> tuple[ColumnElement[Any], ...]:
        """The columns of the id."""
        return tuple(self.rows.c[name] for name in self.id)


def scope_of(rows: FromClause, scope: tuple[str, ...]) -> list[ColumnElement[bool]]:
    """The conditions that keep rows inside the search's workspace and experiments."""
    return [_bound_to(rows, name) for name in scope]


def _bound_to(rows: FromClause, name: str) -> ColumnElement[bool]:
    if name == "workspace":
        return rows.c.workspace == bindparam("workspace")
    if name == "experiment":
        return rows.c.experiment_id == bindparam("experiment")
    return one_of_integers(rows.c.experiment_id, "experiments")


_uses = (
    select(
        dataset_inputs.c.run_id,
        dataset_inputs.c.context,
        datasets.c.name,
        datasets.c.digest,
        datasets.c.workspace,
        datasets.c.experiment_id,
    )
    .join_from(dataset_inputs, datasets, datasets.c.id == dataset_inputs.c.dataset_id)
    .subquery("dataset_uses")
)
_run = (("run_id", "id"),)
_model = (("model_id", "id"),)
_logged_model = (("logged_model_id", "id"),)
_version = (("model_id", "model_id"), ("version", "version"))
_in_experiment = ("workspace", "experiment")
_live_model = (models.c.id == versions.c.model_id) & models.c.retired_at.is_(None)

RUNS = Target(
    rows=runs,
    id=("id",),
    attributes={
        "run_id": runs.c.id,
        "run_name": runs.c.name,
        "status": runs.c.status,
        "artifact_uri": runs.c.artifact_uri,
        "user_id": runs.c.user_id,
        "start_time": runs.c.start_time,
        "end_time": runs.c.end_time,
    },
    sides={
        "tag": Side(tags, _run, scope=_in_experiment, scattered=True),
        "param": Side(params, _run, scope=_in_experiment, scattered=True),
        "metric": Side(latest_metrics, _run, scope=_in_experiment, numbers=True),
        "dataset.name": Side(_uses, _run, "name", "", _in_experiment),
        "dataset.digest": Side(_uses, _run, "digest", ""),
        "dataset.context": Side(_uses, _run, "context", ""),
    },
    scope=_in_experiment,
    leads=frozenset({"start_time", "metric", "param", "tag"}),
    found_by=frozenset({"run_id", "run_name"}),
    bounds={"lifecycle": runs.c.lifecycle == bindparam("lifecycle")},
)

EXPERIMENTS = Target(
    rows=experiments,
    id=("id",),
    attributes={
        "experiment_id": experiments.c.id,
        "name": experiments.c.name,
        "creation_time": experiments.c.created_at,
        "last_update_time": experiments.c.updated_at,
    },
    sides={"tag": Side(experiment_tags, (("workspace", "workspace"), ("experiment_id", "id")))},
    scope=("workspace",),
    leads=frozenset({"creation_time", "name"}),
    found_by=frozenset({"name"}),
    bounds={"lifecycle": experiments.c.lifecycle == bindparam("lifecycle")},
    ids_repeat=True,
)

_as_text: ColumnElement[str] = cast(experiments.c.id, text())

# Attributes that filters compare in another form than the one they are ordered in.
COMPARED_AS: Mapping[ColumnElement[Any], ColumnElement[Any]] = {experiments.c.id: _as_text}

LOGGED_MODELS = Target(
    rows=logged_models,
    id=("id",),
    attributes={
        "model_id": logged_models.c.id,
        "model_type": logged_models.c.model_type,
        "name": logged_models.c.name,
        "source_run_id": logged_models.c.source_run_id,
        "status": logged_models.c.status,
        "creation_timestamp": logged_models.c.created_at,
        "last_updated_timestamp": logged_models.c.updated_at,
    },
    sides={
        "tag": Side(logged_model_tags, _logged_model),
        "param": Side(logged_model_params, _logged_model),
        "metric": Side(
            logged_model_metrics,
            _logged_model,
            numbers=True,
            newest=("timestamp", "step", "-run_id", "-dataset_name", "-dataset_digest"),
        ),
    },
    scope=_in_experiment,
    leads=frozenset({"creation_timestamp"}),
    found_by=frozenset({"model_id", "source_run_id"}),
    alive=(logged_models.c.deleted_at.is_(None),),
)

MODELS = Target(
    rows=models,
    id=("id",),
    attributes={
        "name": models.c.name,
        "description": models.c.description,
        "creation_timestamp": models.c.created_at,
        "last_updated_timestamp": models.c.updated_at,
    },
    sides={
        "tag": Side(model_tags, _model, scope=("workspace",)),
        "aliases": Side(aliases, _model, "alias", "", ("workspace",)),
    },
    scope=("workspace",),
    leads=frozenset({"name", "last_updated_timestamp"}),
    found_by=frozenset({"name"}),
    alive=(models.c.retired_at.is_(None),),
    bounds={"kind": models.c.kind == bindparam("kind"), "any_kind": true()},
)

VERSIONS = Target(
    rows=versions,
    id=("model_id", "version"),
    attributes={
        "name": versions.c.name,
        "version_number": versions.c.version,
        "run_id": versions.c.run_id,
        "model_id": versions.c.logged_model_id,
        "source_path": versions.c.source,
        "description": versions.c.description,
        "digest": versions.c.digest,
        "status": versions.c.status,
        "user_id": versions.c.created_by,
        "creation_timestamp": versions.c.created_at,
        "last_updated_timestamp": versions.c.updated_at,
    },
    sides={
        "tag": Side(version_tags, _version, scope=("workspace",)),
        "aliases": Side(aliases, _version, "alias", "", ("workspace",)),
        "current_stage": Side(stages, _version, "stage", "", ("workspace",)),
    },
    scope=("workspace",),
    leads=frozenset({"last_updated_timestamp", "name"}),
    found_by=frozenset({"name", "run_id", "digest"}),
    alive=(versions.c.retired_at.is_(None),),
    bounds={
        "kind": exists().where(_live_model, models.c.kind == bindparam("kind")),
        "any_kind": exists().where(_live_model),
    },
)

TARGETS: Mapping[str, Target] = {
    "runs": RUNS,
    "experiments": EXPERIMENTS,
    "logged_models": LOGGED_MODELS,
    "models": MODELS,
    "versions": VERSIONS,
}
