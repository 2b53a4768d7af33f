"""A good request for each operation: what it takes to do it, and nothing that somebody who may would be refused for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from security.furniture import FILE, FILE_DIGEST, ISSUER, KEYS, LATER, UPLOADERS
from security.governed import PASSWORD, Governed, slug
from security.table import Route


@dataclass(frozen=True)
class Sample:
    """The fields of a good request, and its body where that is bytes."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


def sample(registry: Governed, route: Route, who: str) -> Sample:
    """A good request of this route for this caller."""
    name, made = route.operation.name, registry.made
    special = SPECIAL.get(name)
    given = special(registry, who) if special else Sample()
    needed = {*route.in_path, *getattr(route.operation.request, "required", ()), *_needed(route)} & {*route.fields}
    usual = {field: usual_value(made, name, field) for field in needed if field not in given.fields}
    return Sample({**usual, **given.fields}, given.body, given.headers)


def _needed(route: Route) -> set[str]:
    return {one.encode_name for one in msgspec.structs.fields(route.operation.request) if one.required} | {"version"}


def usual_value(made: Mapping[str, Any], operation: str, field: str) -> Any:
    """What a field of this name holds, where an operation has nothing of its own for it."""
    if field == "name":
        return NAMES.get(operation.partition(".")[0], made["name"])
    return USUAL[field] if field in USUAL else made.get(field, "x")


NAMES = {
    "users": "somebody",
    "logins": "somebody",
    "services": "robot",
    "groups": "staff",
    "issuers": "ci",
    "workspaces": "default",
    "quotas": "default",
}
USUAL: Mapping[str, Any] = {
    "version": "1",
    "alias": "champion",
    "key": "k",
    "tag_key": "k",
    "value": "1",
    "timestamp": 1,
    "metric_key": "m",
    "stage": "Staging",
    "new_name": "renamed",
    "source": "s3://bucket/model",
    "artifact_file_path": "a.txt",
    "workspace_name": "default",
    "member": "somebody",
    "number": 1,
    "username": "somebody",
    "permission": "READ",
    "password": "battery staple correct horse",
    "resource_type": "registered_model",
    "resource_id": "clf",
    "resource_pattern": "*",
    "is_admin": False,
    "verbs": ["read"],
}
SampleOf = Callable[[Governed, str], Sample]


def _with(**fields: Any) -> SampleOf:
    return lambda registry, _who: Sample({k: v(registry) if callable(v) else v for k, v in fields.items()})


def _of(name: str) -> Callable[[Governed], Any]:
    return lambda registry: registry.made[name]


def _in_root(name: str) -> Callable[[Governed], str]:
    return lambda registry: f"{registry.made['root']}/{name}"


_LEVELLED = _with(username="levelled")
SPECIAL: Mapping[str, SampleOf] = {
    "mlflow_users.create": _with(username="new"),
    "mlflow_permissions.get_on_experiment": _LEVELLED,
    "mlflow_permissions.update_on_experiment": _LEVELLED,
    "mlflow_permissions.delete_on_experiment": _LEVELLED,
    "mlflow_permissions.get_on_model": _LEVELLED,
    "mlflow_permissions.update_on_model": _LEVELLED,
    "mlflow_permissions.delete_on_model": _LEVELLED,
    "mlflow_permissions.revoke": _LEVELLED,
    "mlflow_workspace_permissions.delete": _LEVELLED,
    "mlflow_roles.create": _with(name="new", workspace="default"),
    "mlflow_roles.list": _with(workspace="default"),
    "mlflow_roles.update": _with(description="other"),
    "mlflow_roles.update_permission": _with(role_permission_id=_of("permission_id")),
    "mlflow_roles.remove_permission": _with(role_permission_id=_of("permission_id")),
    "mlflow_roles.unassign": _LEVELLED,
    "mlflow_workspaces.delete": _with(workspace_name="blank"),
    "mlflow_workspaces.update": _with(description="other"),
    "mlflow.experiments.create": _with(name="new"),
    "mlflow.experiments.update": _with(new_name="other"),
    "mlflow.runs.create": _with(experiment_id=_of("experiment_id")),
    "mlflow.runs.update": _with(run_name="other"),
    "mlflow.runs.log-batch": _with(params=[{"key": "p", "value": "1"}]),
    "mlflow.runs.log-inputs": _with(models=lambda registry: [{"model_id": registry.made["model_id"]}]),
    "mlflow.runs.outputs": _with(models=lambda registry: [{"model_id": registry.made["model_id"], "step": 0}]),
    "mlflow.runs.log-model": _with(
        model_json=lambda registry: json.dumps(
            {"run_id": registry.made["run_id"], "artifact_path": "model", "utc_time_created": "1", "flavors": {}}
        ),
        run_id=_of("run_id"),
    ),
    "mlflow.runs.search": _with(experiment_ids=lambda registry: [registry.made["experiment_id"]]),
    "mlflow.experiments.search": _with(max_results=10),
    "mlflow.experiments.restore": _with(experiment_id=_of("old_id")),
    "mlflow.logged-models.search": _with(experiment_ids=lambda registry: [registry.made["experiment_id"]]),
    "mlflow.metrics.get-history-bulk": _with(run_id=_of("run_id")),
    "mlflow.metrics.get-history-bulk-interval": _with(run_ids=_of("run_id")),
    "logged_models.create": _with(experiment_id=_of("experiment_id"), name="another"),
    "logged_models.finalize": _with(status="LOGGED_MODEL_READY"),
    "logged_models.set_tags": _with(tags=[{"key": "k", "value": "w"}]),
    "logged_models.log_params": _with(params=[{"key": "p", "value": "1"}]),
    "artifacts.list": _with(path=_of("root")),
    "artifacts.download": _with(artifact_path=_in_root("a.txt")),
    "artifacts.upload": lambda registry, _who: Sample({"artifact_path": _in_root("new.txt")(registry)}, FILE),
    "artifacts.delete": _with(artifact_path=_in_root("a.txt")),
    "artifacts.list_of_run": _with(run_id=_of("run_id")),
    "artifacts.download_of_run": _with(run_id=_of("run_id"), path="a.txt"),
    "artifacts.download_of_version": _with(path="a.txt"),
    "artifacts.upload_to_run": lambda registry, _who: Sample(
        {"path": "new.txt", "run_uuid": registry.made["run_id"]}, FILE
    ),
    "artifacts.create_parts": _with(artifact_path=_of("root"), path="parts.bin", num_parts=1),
    "artifacts.complete_parts": lambda registry, who: _parts(registry, who, "artifacts.complete_parts"),
    "artifacts.abort_parts": lambda registry, who: _parts(registry, who, "artifacts.abort_parts"),
    "artifacts.download_link": _with(artifact_path=_in_root("a.txt")),
    "artifacts.download_signed": lambda registry, who: _signed_download(registry, who),
    "artifacts.verify": _with(model=_of("name"), version=1),
    "uploads.begin": _with(path=_in_root("new.bin"), size=len(FILE)),
    "uploads.show": lambda registry, who: _upload(registry, who, "uploads.show"),
    "uploads.put_part": lambda registry, who: _upload(registry, who, "uploads.put_part", FILE),
    "uploads.complete": lambda registry, who: _upload(registry, who, "uploads.complete"),
    "uploads.abort": lambda registry, who: _upload(registry, who, "uploads.abort"),
    "uploads.put_signed_part": lambda registry, who: _signed_part(registry, who),
    "pushes.show": _with(id=_of("push")),
    "pushes.files": _with(id=_of("push")),
    "files.resolve": _with(uri="models:/clf/1"),
    "registered_models.create": _with(name="new"),
    "models.create": _with(name="new"),
    "models.restore": _with(name=_of("gone_id")),
    "versions.list_retired": _with(model_id=_of("gone_id")),
    "versions.restore": _with(version="2"),
    "versions.preview": _with(path="a.txt"),
    "runs.preview": _with(path="a.txt"),
    "aliases.set": _with(alias="other", version=1),
    "registered_models.set_alias": _with(alias="other"),
    "mlflow_workspaces.create": _with(name="green"),
    "workspaces.create": _with(name="green"),
    "workspaces.set_download_policy": _with(refuse_unsafe=False),
    "retention.show_of_workspace": _with(name="default"),
    "retention.set_of_workspace": _with(name="default", keep_last=3),
    "retention.delete_of_workspace": _with(name="default"),
    "retention.set_of_model": _with(keep_last=3),
    "holds.show": _with(version="3"),
    "holds.set": _with(reason="a case"),
    "quotas.set": _with(bytes=1_000_000),
    "audit.tile": _with(path="0/000.p/1"),
    "audit.stretch": _with(start=0, end=1),
    "audit.entry": _with(seq=0),
    "audit.consistency": _with(old=1),
    "journal.as_of": _with(resource="model/clf", at=str(LATER)),
    "workspaces.set_audit": _with(downloads=True),
    "me.set_password": _with(present=PASSWORD, new="battery staple correct horse"),
    "users.create": _with(name="new"),
    "users.set_password": _with(password="battery staple correct horse"),
    "services.create": _with(name="new"),
    "groups.create": _with(name="new"),
    "groups.describe": _with(description="other"),
    "tokens.create": _with(owner="somebody", name="new"),
    "tokens.revoke": _with(id=_of("token_id")),
    "tokens.revoke_since": _with(since=LATER),
    "me.create_token": _with(name="new"),
    "me.revoke_token": lambda registry, who: Sample({"id": registry.spare_tokens[who]}),
    "roles.create": _with(name="new"),
    "roles.change": _with(description="other"),
    "roles.change_permission": _with(verbs=["read"]),
    "assignments.create": _with(principal="user/somebody", role="reviewer"),
    "assignments.show": _with(id=_of("assignment")),
    "assignments.delete": _with(id=_of("assignment")),
    "shares.create": _with(workspace="red", expires_at=LATER),
    "shares.delete": _with(id=_of("share")),
    "access.explain": _with(verb="read", resource="model/clf", user="somebody"),
    "access.effective": _with(user="somebody"),
    "access.review": _with(resource="model/clf"),
    "sign_in.exchange": _with(name="somebody", password=PASSWORD),
    "sign_in.oidc": _with(step="start"),
    "issuers.trust": _with(**{**ISSUER, "name": "other", "keys": KEYS}),
    "logins.link": _with(issuer="https://login.example", subject="0"),
}


def _uploader(who: str) -> str:
    return who if who in UPLOADERS else UPLOADERS[0]


def _upload(registry: Governed, who: str, of: str, body: bytes = b"") -> Sample:
    return Sample({"id": registry.made[of, _uploader(who)]}, body)


def _parts(registry: Governed, who: str, of: str) -> Sample:
    folder, name = f"{registry.made['root']}/{of}", f"{slug(_uploader(who))}.bin"
    fields = {"artifact_path": folder, "path": name, "upload_id": registry.made[of, _uploader(who)]}
    if of == "artifacts.complete_parts":
        fields["parts"] = [{"part_number": 1, "etag": registry.made["etag"], "url": ""}]
    return Sample(fields)


def _signed_part(registry: Governed, who: str) -> Sample:
    upload = registry.made["uploads.put_signed_part", _uploader(who)]
    link = registry.link(who, "PUT", f"/api/v1/signed/uploads/{upload}/parts/1")
    return Sample({"id": upload, "link": link}, FILE)


def _signed_download(registry: Governed, who: str) -> Sample:
    path = f"/api/v1/signed/blobs/{FILE_DIGEST}/{len(FILE)}/a.txt"
    fields = {"sha256": FILE_DIGEST, "size": len(FILE), "name": "a.txt"}
    return Sample(fields | {"link": registry.link(who, "GET", path)})
