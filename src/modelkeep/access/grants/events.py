"""What happens to roles and to who holds them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from modelkeep.access.rules import ANY
from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class _OfRole(Event):
    """A fact about a role; its workspace is empty where it is known everywhere."""

    role_id: int
    name: str
    workspace: str

    @property
    def resource(self) -> str:
        """The role by the id that it keeps."""
        return f"role/{self.role_id}"

    @property
    def place(self) -> str:
        """The workspace that has the role."""
        return self.workspace


@dataclass(frozen=True, slots=True)
class RoleMade(_OfRole):
    """A role can be given from now on."""

    kind: ClassVar[str] = "role.made"

    description: str | None


@dataclass(frozen=True, slots=True)
class RoleChanged(_OfRole):
    """A role has another name or description."""

    kind: ClassVar[str] = "role.changed"

    changed: dict[str, Any]
    before: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RoleDeleted(_OfRole):
    """A role is gone, and with it what it allowed to those who held it."""

    kind: ClassVar[str] = "role.deleted"

    permissions: list[dict[str, Any]]
    holders: list[str]


@dataclass(frozen=True, slots=True)
class RolePermissionAdded(_OfRole):
    """A role allows or denies more."""

    kind: ClassVar[str] = "role.permission_added"

    permission: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RolePermissionChanged(_OfRole):
    """A permission of a role is another."""

    kind: ClassVar[str] = "role.permission_changed"

    permission: dict[str, Any]
    before: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RolePermissionRemoved(_OfRole):
    """A role no longer allows or denies something."""

    kind: ClassVar[str] = "role.permission_removed"

    permission: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _OfAssignment(Event):
    """A fact about who holds a role, where and on what."""

    assignment_id: int
    principal: str
    principal_name: str
    role: str
    effect: str
    workspace: str
    of_kind: str
    pattern: str
    expires_at: int | None
    role_id: int

    @property
    def resource(self) -> str:
        """Whom it is about."""
        return self.principal

    @property
    def place(self) -> str:
        """The workspace that it is held in."""
        return "" if self.workspace == ANY else self.workspace


@dataclass(frozen=True, slots=True)
class RoleAssigned(_OfAssignment):
    """Somebody holds a role from now on."""

    kind: ClassVar[str] = "role.assigned"


@dataclass(frozen=True, slots=True)
class RoleUnassigned(_OfAssignment):
    """Somebody holds a role no more."""

    kind: ClassVar[str] = "role.unassigned"
