"""What happens to people, services and groups."""

from typing import Any, ClassVar

from modelkeep.core.events import Event


class _OfUser(Event, frozen=True):
    """A fact about a person or a service."""

    user_id: str
    name: str

    @property
    def resource(self) -> str:
        """The person or service by the id that it keeps."""
        return f"user/{self.user_id}"


class UserMade(_OfUser, frozen=True):
    """A person or service is known from now on."""

    kind: ClassVar[str] = "user.made"

    user_kind: str
    owner: str | None
    display_name: str | None


class UserChanged(_OfUser, frozen=True):
    """Something about a person or service was changed: the new values, and those before."""

    kind: ClassVar[str] = "user.changed"

    changed: dict[str, Any]
    before: dict[str, Any]


class UserRenamed(_OfUser, frozen=True):
    """A person or service has another name; the id, and all that hangs on it, stays."""

    kind: ClassVar[str] = "user.renamed"

    old_name: str


class UserDisabled(_OfUser, frozen=True):
    """A person or service can no longer sign in."""

    kind: ClassVar[str] = "user.disabled"


class UserEnabled(_OfUser, frozen=True):
    """A person or service can sign in again."""

    kind: ClassVar[str] = "user.enabled"


class UserDeleted(_OfUser, frozen=True):
    """A person or service is gone; the id is never given again."""

    kind: ClassVar[str] = "user.deleted"


class PasswordChanged(_OfUser, frozen=True):
    """A person has another password; nothing of either is in the fact."""

    kind: ClassVar[str] = "user.password_changed"


class GroupsOfUserReplaced(_OfUser, frozen=True):
    """An issuer said anew which groups a person belongs to."""

    kind: ClassVar[str] = "user.groups_replaced"

    source: str
    groups: list[str]
    before: list[str]


class _OfGroup(Event, frozen=True):
    """A fact about a group."""

    group_id: str
    name: str

    @property
    def resource(self) -> str:
        """The group by the id that it keeps."""
        return f"group/{self.group_id}"


class GroupMade(_OfGroup, frozen=True):
    """A group was made."""

    kind: ClassVar[str] = "group.made"

    description: str | None


class GroupRenamed(_OfGroup, frozen=True):
    """A group has another name; the id, and all that hangs on it, stays."""

    kind: ClassVar[str] = "group.renamed"

    old_name: str


class GroupDescribed(_OfGroup, frozen=True):
    """A group's description was changed."""

    kind: ClassVar[str] = "group.described"

    description: str | None
    before: str | None


class GroupDeleted(_OfGroup, frozen=True):
    """A group is gone, and nobody is in it any more; the id is never given again."""

    kind: ClassVar[str] = "group.deleted"


class MemberAdded(_OfGroup, frozen=True):
    """Somebody belongs to a group from now on."""

    kind: ClassVar[str] = "group.member_added"

    user_id: str
    user: str


class MemberRemoved(_OfGroup, frozen=True):
    """Somebody no longer belongs to a group."""

    kind: ClassVar[str] = "group.member_removed"

    user_id: str
    user: str
