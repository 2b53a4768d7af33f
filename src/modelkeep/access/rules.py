"""What can be allowed, and who is allowed it: pure decisions."""

from enum import StrEnum

from modelkeep.core.types import Actor


class Permission(StrEnum):
    """`noun:verb`; every operation names exactly one, or is on the short list of public ones."""

    EXPERIMENT_READ = "experiment:read"
    EXPERIMENT_WRITE = "experiment:write"
    RUN_READ = "run:read"
    RUN_WRITE = "run:write"
    LOGGED_MODEL_READ = "logged_model:read"
    LOGGED_MODEL_WRITE = "logged_model:write"
    ARTIFACT_READ = "artifact:read"
    ARTIFACT_WRITE = "artifact:write"
    MODEL_READ = "model:read"
    MODEL_WRITE = "model:write"
    MODEL_RETIRE = "model:retire"
    VERSION_REGISTER = "version:register"
    VERSION_WRITE = "version:write"
    VERSION_MOVE = "version:move"
    VERSION_INSPECT = "version:inspect"
    WORKSPACE_READ = "workspace:read"
    WORKSPACE_MANAGE = "workspace:manage"
    STORAGE_MANAGE = "storage:manage"
    JOURNAL_READ = "journal:read"
    SERVER_READ = "server:read"


_EVERYTHING = frozenset(Permission)

# By how the caller proved who they are. A token is an administrator's until tokens carry scopes; `none` is the open
# door of `--auth none`, which the server offers on loopback only.
_BY_METHOD: dict[str, frozenset[Permission]] = {"token": _EVERYTHING, "none": _EVERYTHING, "system": _EVERYTHING}


def permissions_of(actor: Actor) -> frozenset[Permission]:
    """All that this actor may do; nothing for an unknown way of signing in."""
    return _BY_METHOD.get(actor.method, frozenset())
