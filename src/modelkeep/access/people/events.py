"""What happens to people, services and groups."""

from dataclasses import dataclass
from typing import Any, ClassVar

from modelkeep.core.events import Event


@dataclass(frozen=True, slots=True)
class _OfUser(Event):
    """A fact about a person or a service."""

    user_id: str
    name: str

    @property
    def resource(self) -> str:
        """The person or service by the id that it keeps."""
        return f"user/{self.user_id}"


@dataclass(frozen=True, slots=True)
class UserMade(_OfUser):
    """A person or service is known from now on."""

    kind: ClassVar[str] = "user.made"

    user_kind: str
    owner: str | None
    display_name: str | None


@dataclass(frozen=True, slots=True)
class UserChanged(_OfUser):
    """Something about a person or service was changed: the new values, and those before."""

    kind: ClassVar[str] = "user.changed"

    changed: dict[str, Any]
    before: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UserRenamed(_OfUser):
    """A person or service has another name; the id, and all that hangs on it, stays."""

    kind: ClassVar[str] = "user.renamed"

    old_name: str


@dataclass(frozen=True, slots=True)
class UserDisabled(_OfUser):
    """A person or service can no longer sign in."""

    kind: ClassVar[str] = "user.disabled"


@dataclass(frozen=True, slots=True)
class UserEnabled(_OfUser):
    """A person or service can sign in again."""

    kind: ClassVar[str] = "user.enabled"


@dataclass(frozen=True, slots=True)
class UserDeleted(_OfUser):
    """A person or service is gone; the id is never given again."""

    kind: ClassVar[str] = "user.deleted"


@dataclass(frozen=True, slots=True)
class PasswordChanged(_OfUser):
    """A person has another password; nothing of either is in the fact."""

    kind: ClassVar[str] = "user.password_changed"


@dataclass(frozen=True, slots=True)
class GroupsOfUserReplaced(_OfUser):
    """An issuer said anew which groups a person belongs to."""

    kind: ClassVar[str] = "user.groups_replaced"

    source: str
    groups: list[str]
    before: list[str]


@dataclass(frozen=True, slots=True)
class GroupsOfUserKept(_OfUser):
    """An issuer's word on the groups of the last administrator was not followed where it would have left nobody who
    administers the registry: `groups` it does not name and they are in still, `refused` it names and they are not in.
    """

    kind: ClassVar[str] = "user.groups_kept"

    source: str
    groups: list[str]
    refused: list[str]


@dataclass(frozen=True, slots=True)
class _OfGroup(Event):
    """A fact about a group."""

    group_id: str
    name: str

    @property
    def resource(self) -> str:
        """The group by the id that it keeps."""
        return f"group/{self.group_id}"


@dataclass(frozen=True, slots=True)
class GroupMade(_OfGroup):
    """A group was made."""

    kind: ClassVar[str] = "group.made"

    description: str | None


@dataclass(frozen=True, slots=True)
class GroupRenamed(_OfGroup):
    """A group has another name; the id, and all that hangs on it, stays."""

    kind: ClassVar[str] = "group.renamed"

    old_name: str


@dataclass(frozen=True, slots=True)
class GroupDescribed(_OfGroup):
    """A group's description was changed."""

    kind: ClassVar[str] = "group.described"

    description: str | None
    before: str | None


@dataclass(frozen=True, slots=True)
class GroupDeleted(_OfGroup):
    """A group is gone, and nobody is in it any more; the id is never given again."""

    kind: ClassVar[str] = "group.deleted"


@dataclass(frozen=True, slots=True)
class MemberAdded(_OfGroup):
    """Somebody belongs to a group from now on."""

    kind: ClassVar[str] = "group.member_added"

    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class MemberRemoved(_OfGroup):
    """Somebody no longer belongs to a group."""

    kind: ClassVar[str] = "group.member_removed"

    user_id: str
    user: str
