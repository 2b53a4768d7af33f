"""One of everything on a governed registry, and the callers that the access matrix asks for."""

import asyncio
import hashlib

from modelkeep.access import passwords
from security.governed import CALLERS, LIMITS, PASSWORD, Governed, slug

LATER = 4_000_000_000_000
FILE = b"weights"
FILE_DIGEST = hashlib.sha256(FILE).hexdigest()
# Whether the part of an upload has arrived before the call.
UPLOADS = {
    "uploads.show": True,
    "uploads.put_part": False,
    "uploads.put_signed_part": False,
    "uploads.complete": True,
    "uploads.abort": True,
    "artifacts.complete_parts": True,
    "artifacts.abort_parts": True,
}
UPLOADERS = ("contributor", "manager here", "administrator here", "administrator")
LEVEL = {"username": "levelled", "permission": "READ"}
KEYS = '{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
ISSUER = {"issuer": "https://ci.example", "audience": "modelkeep", "service": "robot", "claims": {"sub": "repo"}}


def furnish(registry: Governed) -> None:
    """One of everything, in the default workspace; another workspace; and everybody of CALLERS."""
    registry.native("POST", "workspaces", name="red")
    registry.native("POST", "workspaces", name="blank")
    _experiment(registry)
    _uploads(registry)
    _model(registry)
    _people(registry)
    _grants(registry)
    registry.app.sequencer.run(registry.app.database, at_once=True)


def _experiment(registry: Governed) -> None:
    made = registry.made
    made["experiment_name"] = "exp"
    made["experiment_id"] = registry.post("experiments/create", name="exp")["experiment_id"]
    run = registry.post("runs/create", experiment_id=made["experiment_id"], start_time=1)["run"]["info"]
    made["run_id"] = made["run_uuid"] = run["run_id"]
    made["root"] = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    registry.put(f"{made['root']}/a.txt", FILE)
    registry.post("runs/set-tag", run_id=made["run_id"], key="k", value="v")
    registry.post("runs/log-metric", run_id=made["run_id"], key="m", value=1, timestamp=1)
    registry.post("experiments/set-experiment-tag", experiment_id=made["experiment_id"], key="k", value="v")
    logged = registry.post("logged-models", experiment_id=made["experiment_id"], name="logged")["model"]["info"]
    made["model_id"] = logged["model_id"]
    registry.put(logged["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/a.txt", FILE)
    tag = {"tags": [{"key": "k", "value": "v"}]}
    assert registry.send("PATCH", f"/api/2.0/mlflow/logged-models/{made['model_id']}/tags", tag).status == 200
    old = registry.post("experiments/create", name="old")["experiment_id"]
    registry.post("experiments/delete", experiment_id=old)
    made["old_id"] = old


def _uploads(registry: Governed) -> None:
    """An upload in parts for each call that changes one, and for each caller whom that is done for: parts that are gone
    from the store do not come back.
    """
    for of, sent in UPLOADS.items():
        for who in UPLOADERS:
            path = f"{registry.made['root']}/{of}/{slug(who)}.bin"
            begun = registry.native("POST", "uploads", path=path, size=len(FILE))
            registry.made[of, who] = begun["id"]
            if sent:
                part = registry.send("PUT", f"/api/v1/uploads/{begun['id']}/parts/1", FILE)
                registry.made["etag"] = part.headers["etag"]


def _model(registry: Governed) -> None:
    made = registry.made
    made["name"] = "clf"
    made["clf_id"] = registry.native("POST", "models", name="clf")["id"]
    source = f"mlflow-artifacts:/{made['root']}"
    for _ in range(3):
        registry.post("model-versions/create", name="clf", source=source)
    registry.post("registered-models/alias", name="clf", alias="champion", version="1")
    registry.post("registered-models/set-tag", name="clf", key="k", value="v")
    registry.post("model-versions/set-tag", name="clf", version="1", key="k", value="v")
    made["gone_id"] = registry.native("POST", "models", name="gone")["id"]
    registry.native("DELETE", "models/gone")
    registry.native("DELETE", "models/clf/versions/2")
    registry.native("PUT", "models/clf/versions/3/hold", reason="a case")
    registry.native("PUT", "models/clf/retention", keep_last=3)
    registry.native("PUT", "workspaces/default/retention", keep_last=3)
    made["push"] = registry.native("POST", "pushes")["id"]


def _people(registry: Governed) -> None:
    hashed = asyncio.run(passwords.hash_of(PASSWORD))
    for who, given in CALLERS.items():
        limits = LIMITS.get(who, {})
        registry.callers[who] = registry.user(slug(who), given=given, password_hash=hashed, **limits)
        registry.spare_tokens[who] = registry.token_of(slug(who))
    registry.callers["anonymous"] = None
    registry.user("somebody", password_hash=hashed)
    registry.user("levelled")
    registry.native("PATCH", "users/disabled", disabled=True)
    registry.native("DELETE", f"tokens/{(registry.callers['revoked token'] or '')[3:19]}")
    registry.native("POST", "services", name="robot")
    registry.native("POST", "groups", name="staff")
    registry.native("PUT", "groups/staff/members/somebody")
    registry.made["token_id"] = registry.token_of("somebody")


def _grants(registry: Governed) -> None:
    made = registry.made
    made["role_id"] = registry.native("POST", "roles", name="tester")["id"]
    permission = registry.native("POST", f"roles/{made['role_id']}/permissions", verbs=["read"])
    made["permission_id"] = permission["id"]
    made["assignment"] = registry.native("POST", "assignments", principal="user/somebody", role="viewer")["id"]
    made["share"] = registry.native("POST", "models/clf/shares", workspace="red", expires_at=LATER)["id"]
    registry.native("POST", "issuers", name="ci", keys=KEYS, **ISSUER)
    registry.post("experiments/permissions/create", **LEVEL, experiment_id=made["experiment_id"])
    registry.post("registered-models/permissions/create", **LEVEL, name="clf")
    whole = "/api/3.0/mlflow/workspaces/default/permissions"
    assert registry.send("POST", whole, LEVEL).status == 200
    assign = {"username": "levelled", "role_id": made["role_id"]}
    assert registry.send("POST", "/api/3.0/mlflow/roles/assign", assign).status == 200
