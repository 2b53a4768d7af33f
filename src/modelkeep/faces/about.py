"""What each operation is about: the one table from a parsed request to the things that the decision is made on.

An operation that is not in here is not offered. Those of a whole workspace or of the server need their permission on
that; `LISTED` ones answer with what the caller may know of, and need their permission on anything in the workspace.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modelkeep.access import SERVER, Asked, Verb, workspace_target
from modelkeep.artifacts import parse_path
from modelkeep.catalog import targets
from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx
from modelkeep.faces import about_access, about_mlflow_access
from modelkeep.runs import get_logged_model, get_run

Find = Callable[[Tx, Any], Iterable[Asked]]

# The fields that hold a path in the artifact namespace, or a URI.
_PLACES = ("artifact_path", "path", "source", "uri")


def listed(_tx: Tx, _request: Any) -> list[Asked]:
    """Whatever the caller may know of."""
    return []


def server(_tx: Tx, _request: Any) -> list[Asked]:
    """The server."""
    return [Asked(SERVER)]


def here(tx: Tx, _request: Any) -> list[Asked]:
    """The workspace that the caller works in."""
    return [Asked(workspace_target(tx.workspace))]


def workspace(_tx: Tx, request: Any) -> list[Asked]:
    """The workspace that is named."""
    return [Asked(workspace_target(request.name))]


def model(field: str = "name") -> Find:
    """The model that a field names."""
    return lambda tx, request: targets.model(tx, getattr(request, field) or "")


def model_or_store(tx: Tx, request: Any) -> list[Asked]:
    """The model that is named, or, where none is, the bytes of all workspaces."""
    return targets.model(tx, request.model) if request.model is not None else [Asked(SERVER, Verb.MANAGE)]


def alias(tx: Tx, request: Any) -> list[Asked]:
    """The model named, and the alias that moves."""
    return targets.model(tx, request.name or "", alias=request.alias or "")


def new_model(tx: Tx, request: Any) -> list[Asked]:
    """The model to be made."""
    return targets.new_model(tx, request.name or "")


def renamed_model(tx: Tx, request: Any) -> Iterable[Asked]:
    """The model, and the name that it is to have."""
    found = targets.model(tx, request.name or "")
    return targets.with_others(found, lambda: targets.new_model(tx, request.new_name or ""))


def retired_model(tx: Tx, request: Any) -> Iterable[Asked]:
    """The retired model, and the name that it is to have."""
    found = targets.retired_model(tx, request.name)
    return targets.with_others(found, lambda: targets.new_model(tx, request.new_name)) if request.new_name else found


def retired_model_of(tx: Tx, request: Any) -> list[Asked]:
    """The retired model with this id."""
    return targets.retired_model(tx, request.model_id)


def mlflow_version(tx: Tx, request: Any) -> Iterable[Asked]:
    """The model that gets a version, and what the version's files and run come from."""
    return targets.with_others(targets.model(tx, request.name or ""), lambda: _origins(tx, request))


def _origins(tx: Tx, request: Any) -> list[Asked]:
    asked = targets.source(tx, request.source or "")
    if request.model_id:
        asked += _of_logged_model(tx, request.model_id, Verb.READ)
    return asked + _of_run(tx, request.run_id) if request.run_id else asked


def native_version(tx: Tx, request: Any) -> Iterable[Asked]:
    """The model that gets a version, made if need be, and what the version's files come from."""
    look = targets.model_or_new if request.create_model else targets.model
    return targets.with_others(look(tx, request.name), lambda: targets.source(tx, request.source))


def experiment(field: str = "experiment_id") -> Find:
    """The experiment that a field names, the default one where it names none."""
    return lambda tx, request: targets.experiment(tx, getattr(request, field))


def experiment_named(tx: Tx, request: Any) -> list[Asked]:
    """The experiment with this name."""
    return targets.experiment_named(tx, request.experiment_name or "")


def new_experiment(tx: Tx, request: Any) -> list[Asked]:
    """The experiment to be made."""
    return targets.new_experiment(tx, request.name or "")


def renamed_experiment(tx: Tx, request: Any) -> Iterable[Asked]:
    """The experiment, and the name that it is to have."""
    found = targets.experiment(tx, request.experiment_id)
    return targets.with_others(found, lambda: targets.new_experiment(tx, request.new_name or ""))


def run(tx: Tx, request: Any) -> list[Asked]:
    """The experiment of the run."""
    return targets.run(tx, request.run_id or getattr(request, "run_uuid", None) or "")


def run_by_older_name(tx: Tx, request: Any) -> list[Asked]:
    """The experiment of the run."""
    return targets.run(tx, request.run_uuid or "")


def runs(field: str) -> Find:
    """The experiments of several runs."""
    return lambda tx, request: [
        asked for one in _listed(getattr(request, field)) for asked in targets.with_others(targets.run(tx, one), list)
    ]


def run_and_models(tx: Tx, request: Any) -> Iterable[Asked]:
    """The run that is logged to, and the logged models that the metrics, inputs or outputs name."""
    named = [request] if hasattr(request, "model_id") else _listed(getattr(request, "metrics", None))
    named += _listed(getattr(request, "models", None))
    ids = dict.fromkeys(one.model_id for one in named if getattr(one, "model_id", None))
    return targets.with_others(
        run(tx, request), lambda: [asked for one in ids for asked in _of_logged_model(tx, one, Verb.EDIT)]
    )


def logged_model(tx: Tx, request: Any) -> list[Asked]:
    """The experiment of the logged model."""
    return targets.logged_model(tx, request.model_id or "")


def new_logged_model(tx: Tx, request: Any) -> Iterable[Asked]:
    """The experiment that gets a logged model, and the run that it comes from."""
    found = targets.experiment(tx, request.experiment_id)
    return targets.with_others(found, lambda: _of_run(tx, request.source_run_id)) if request.source_run_id else found


def path(field: str = "artifact_path") -> Find:
    """What a path in the artifact namespace belongs to."""

    def about(tx: Tx, request: Any) -> list[Asked]:
        try:
            return targets.path(tx, parse_path(getattr(request, field) or ""))
        except InvalidInput:
            return []  # no file has such a path; the use case says what is wrong with it

    return about


def upload(tx: Tx, request: Any) -> list[Asked]:
    """What the file of an upload goes to."""
    return targets.upload(tx, request.id)


def push(tx: Tx, request: Any) -> list[Asked]:
    """A push of the caller's."""
    return targets.push(tx, request.id)


def may_name_push(request: Any) -> bool:
    """Whether one of the places in a request may be in a push, which is its maker's alone whatever others may do."""
    for field in _PLACES:
        text = getattr(request, field, None)
        if isinstance(text, str) and ("push" in text or "%" in text):
            return True
    return False


def uri(tx: Tx, request: Any) -> list[Asked]:
    """What the files behind a URI belong to."""
    return targets.files_of(tx, request.uri)


def _of_logged_model(tx: Tx, model_id: str, verb: Verb) -> list[Asked]:
    found = targets.logged_model(tx, model_id, verb=verb)
    return targets.referred(tx, found, lambda: get_logged_model(tx, model_id))


def _of_run(tx: Tx, run_id: str) -> list[Asked]:
    found = targets.run(tx, run_id, verb=Verb.READ)
    return targets.referred(tx, found, lambda: get_run(tx, run_id))


def _listed(value: Any) -> list[Any]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


# What may lie beyond the workspace at hand, or asks for more than the operation's own verb: rights on all of that
# workspace do not answer for it.
BEYOND: frozenset[Find] = frozenset(
    {server, workspace, model_or_store, push, upload, *about_access.ABOUT.values(), *about_mlflow_access.ABOUT.values()}
)

ABOUT: Mapping[str, Find] = {
    **about_access.ABOUT,
    **about_mlflow_access.ABOUT,
    "server.own_version": server,
    "server.metrics": server,
    "server.openapi": listed,
    "audit.show": server,
    "audit.keys": server,
    "audit.checkpoint": server,
    "audit.checkpoints": server,
    "audit.tile": server,
    "audit.stretch": server,
    "audit.entry": server,
    "audit.consistency": server,
    "me.show": listed,
    "users.list": server,
    "users.create": server,
    "users.show": server,
    "users.change": server,
    "users.rename": server,
    "users.delete": server,
    "users.set_password": server,
    "services.list": server,
    "services.create": server,
    "services.show": server,
    "services.change": server,
    "services.rename": server,
    "services.delete": server,
    "groups.list": server,
    "groups.create": server,
    "groups.show": server,
    "groups.describe": server,
    "groups.rename": server,
    "groups.delete": server,
    "groups.members": server,
    "groups.add_member": server,
    "groups.remove_member": server,
    "tokens.list": server,
    "tokens.create": server,
    "tokens.revoke": server,
    "tokens.revoke_since": server,
    "me.tokens": listed,
    "mlflow.experiments.create": new_experiment,
    "mlflow.experiments.get": experiment(),
    "mlflow.experiments.get-by-name": experiment_named,
    "mlflow.experiments.delete": experiment(),
    "mlflow.experiments.restore": experiment(),
    "mlflow.experiments.update": renamed_experiment,
    "mlflow.experiments.set-tag": experiment(),
    "mlflow.experiments.delete-tag": experiment(),
    "mlflow.experiments.search": listed,
    "mlflow.runs.create": experiment(),
    "mlflow.runs.get": run,
    "mlflow.runs.update": run,
    "mlflow.runs.delete": run,
    "mlflow.runs.restore": run,
    "mlflow.runs.log-metric": run_and_models,
    "mlflow.runs.log-parameter": run,
    "mlflow.runs.log-batch": run_and_models,
    "mlflow.runs.set-tag": run,
    "mlflow.runs.delete-tag": run,
    "mlflow.runs.log-inputs": run_and_models,
    "mlflow.runs.outputs": run_and_models,
    "mlflow.runs.log-model": run,
    "mlflow.runs.search": listed,
    "runs.preview": run,
    "mlflow.metrics.get-history": run,
    "mlflow.metrics.get-history-bulk": runs("run_id"),
    "mlflow.metrics.get-history-bulk-interval": runs("run_ids"),
    "logged_models.create": new_logged_model,
    "logged_models.get": logged_model,
    "logged_models.finalize": logged_model,
    "logged_models.delete": logged_model,
    "logged_models.set_tags": logged_model,
    "logged_models.delete_tag": logged_model,
    "logged_models.log_params": logged_model,
    "mlflow.logged-models.search": listed,
    "artifacts.list": path("path"),
    "artifacts.download": path(),
    "artifacts.upload": path(),
    "artifacts.delete": path(),
    "artifacts.list_of_run": run,
    "artifacts.list_of_logged_model": logged_model,
    "artifacts.download_of_run": run,
    "artifacts.download_of_version": model(),
    "artifacts.download_of_logged_model": logged_model,
    "artifacts.upload_to_run": run_by_older_name,
    "artifacts.create_parts": path(),
    "artifacts.complete_parts": path(),
    "artifacts.abort_parts": path(),
    "artifacts.download_link": path(),
    "artifacts.download_signed": listed,
    "artifacts.list_damage": here,
    "artifacts.verify": model_or_store,
    "uploads.begin": path("path"),
    "uploads.show": upload,
    "uploads.put_part": upload,
    "uploads.complete": upload,
    "uploads.abort": upload,
    "uploads.put_signed_part": upload,
    "pushes.open": listed,
    "pushes.show": push,
    "pushes.files": push,
    "files.resolve": uri,
    "registered_models.create": new_model,
    "registered_models.get": model(),
    "registered_models.rename": renamed_model,
    "registered_models.update": model(),
    "registered_models.delete": model(),
    "registered_models.set_tag": model(),
    "registered_models.delete_tag": model(),
    "registered_models.get_latest_versions": model(),
    "registered_models.set_alias": alias,
    "registered_models.delete_alias": alias,
    "registered_models.get_by_alias": model(),
    "model_versions.create": mlflow_version,
    "model_versions.get": model(),
    "model_versions.get_download_uri": model(),
    "model_versions.update": model(),
    "model_versions.delete": model(),
    "model_versions.set_tag": model(),
    "model_versions.delete_tag": model(),
    "model_versions.transition_stage": model(),
    "mlflow.registered-models.search": listed,
    "mlflow.model-versions.search": listed,
    "mlflow_workspaces.list": listed,
    "mlflow_workspaces.create": server,
    "mlflow_workspaces.get": listed,
    "mlflow_users.create": server,
    "mlflow_users.list": server,
    "mlflow_users.current": listed,
    "mlflow_users.update_admin": server,
    "mlflow_users.delete": server,
    "mlflow_permissions.list_own": listed,
    "models.list": listed,
    "models.create": new_model,
    "models.show": model(),
    "models.retire": model(),
    "models.restore": retired_model,
    "models.list_retired": listed,
    "aliases.show": model(),
    "aliases.set": alias,
    "aliases.delete": alias,
    "versions.list": model(),
    "versions.list_retired": retired_model_of,
    "versions.show": model(),
    "versions.manifest": model(),
    "versions.move": model(),
    "versions.retire": model(),
    "versions.restore": model(),
    "versions.inspection": model(),
    "versions.inspect": model(),
    "versions.archive": model(),
    "versions.preview": model(),
    "versions.register": native_version,
    "workspaces.list": listed,
    "workspaces.create": server,
    "workspaces.download_policy": workspace,
    "workspaces.set_download_policy": workspace,
    "retention.show_of_workspace": workspace,
    "retention.set_of_workspace": workspace,
    "retention.delete_of_workspace": workspace,
    "retention.show_of_model": model(),
    "retention.set_of_model": model(),
    "retention.delete_of_model": model(),
    "holds.show": model(),
    "holds.set": model(),
    "holds.lift": model(),
    "usage.show": here,
    "quotas.show": workspace,
    "quotas.set": server,
    "quotas.lift": server,
    "storage.collect": server,
    "storage.check_up": server,
    "workspaces.show_audit": workspace,
    "workspaces.set_audit": workspace,
    "sessions.show": listed,
    "sessions.list": listed,
    "issuers.trust": server,
    "issuers.list": server,
    "issuers.show": server,
    "issuers.drop": server,
    "logins.link": server,
    "roles.list": listed,
}
