"""What operations ask for: `noun:verb`, and the verb of a role that stands behind each."""

from collections.abc import Mapping
from enum import StrEnum

from modelkeep.access.rules import Verb


class Permission(StrEnum):
    """`noun:verb`; every operation names exactly one, or is on the short list of public ones."""

    EXPERIMENT_READ = "experiment:read"
    EXPERIMENT_CREATE = "experiment:create"
    EXPERIMENT_WRITE = "experiment:write"
    EXPERIMENT_DELETE = "experiment:delete"
    RUN_READ = "run:read"
    RUN_WRITE = "run:write"
    RUN_DELETE = "run:delete"
    LOGGED_MODEL_READ = "logged_model:read"
    LOGGED_MODEL_WRITE = "logged_model:write"
    LOGGED_MODEL_DELETE = "logged_model:delete"
    ARTIFACT_READ = "artifact:read"
    ARTIFACT_LIST = "artifact:list"
    ARTIFACT_WRITE = "artifact:write"
    ARTIFACT_DELETE = "artifact:delete"
    MODEL_READ = "model:read"
    MODEL_CREATE = "model:create"
    MODEL_WRITE = "model:write"
    MODEL_RETIRE = "model:retire"
    VERSION_REGISTER = "version:register"
    VERSION_WRITE = "version:write"
    VERSION_MOVE = "version:move"
    VERSION_INSPECT = "version:inspect"
    ALIAS_MOVE = "alias:move"
    WORKSPACE_READ = "workspace:read"
    WORKSPACE_CREATE = "workspace:create"
    WORKSPACE_MANAGE = "workspace:manage"
    STORAGE_MANAGE = "storage:manage"
    JOURNAL_READ = "journal:read"
    SERVER_READ = "server:read"
    SERVER_MANAGE = "server:manage"
    USER_READ = "user:read"
    USER_MANAGE = "user:manage"
    GROUP_MANAGE = "group:manage"
    TOKEN_MANAGE = "token:manage"  # noqa: S105 - not a password
    ROLE_READ = "role:read"
    ROLE_MANAGE = "role:manage"
    SELF = "self:use"

    @property
    def verb(self) -> Verb | None:
        """The verb that it asks for; None for what everybody may do who signed in."""
        return _VERBS[self]


_VERBS: Mapping[Permission, Verb | None] = {
    Permission.EXPERIMENT_READ: Verb.READ,
    Permission.EXPERIMENT_CREATE: Verb.REGISTER,
    Permission.EXPERIMENT_WRITE: Verb.EDIT,
    Permission.EXPERIMENT_DELETE: Verb.DELETE,
    Permission.RUN_READ: Verb.READ,
    Permission.RUN_WRITE: Verb.EDIT,
    Permission.RUN_DELETE: Verb.DELETE,
    Permission.LOGGED_MODEL_READ: Verb.READ,
    Permission.LOGGED_MODEL_WRITE: Verb.EDIT,
    Permission.LOGGED_MODEL_DELETE: Verb.DELETE,
    Permission.ARTIFACT_READ: Verb.DOWNLOAD,
    Permission.ARTIFACT_LIST: Verb.READ,
    Permission.ARTIFACT_WRITE: Verb.EDIT,
    Permission.ARTIFACT_DELETE: Verb.DELETE,
    Permission.MODEL_READ: Verb.READ,
    Permission.MODEL_CREATE: Verb.REGISTER,
    Permission.MODEL_WRITE: Verb.EDIT,
    Permission.MODEL_RETIRE: Verb.DELETE,
    Permission.VERSION_REGISTER: Verb.REGISTER,
    Permission.VERSION_WRITE: Verb.EDIT,
    Permission.VERSION_MOVE: Verb.REQUEST,
    Permission.VERSION_INSPECT: Verb.EDIT,
    Permission.ALIAS_MOVE: Verb.ALIAS,
    Permission.WORKSPACE_READ: Verb.READ,
    Permission.WORKSPACE_CREATE: Verb.MANAGE,
    Permission.WORKSPACE_MANAGE: Verb.MANAGE,
    Permission.STORAGE_MANAGE: Verb.MANAGE,
    Permission.JOURNAL_READ: Verb.AUDIT,
    Permission.SERVER_READ: Verb.AUDIT,
    Permission.SERVER_MANAGE: Verb.MANAGE,
    Permission.USER_READ: Verb.AUDIT,
    Permission.USER_MANAGE: Verb.MANAGE,
    Permission.GROUP_MANAGE: Verb.MANAGE,
    Permission.TOKEN_MANAGE: Verb.MANAGE,
    Permission.ROLE_READ: Verb.READ,
    Permission.ROLE_MANAGE: Verb.MANAGE,
    Permission.SELF: None,
}
