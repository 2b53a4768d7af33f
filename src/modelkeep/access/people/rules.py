"""What the names of people, services and groups may be: pure checks."""

import re

from modelkeep.core.errors import InvalidInput
from modelkeep.core.names import check_length

PERSON, SERVICE = "person", "service"
FIRST_ADMINISTRATOR = "admin"
# Who does what nobody asked for, and who calls through the open door: in the journal no one else has these names.
_OURS = frozenset({"modelkeep", "local"})
# ASCII only and lower case, so that no two names can be taken for one another; an email address is one.
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)
_LONGEST_TEXT = 500


def is_name(text: str) -> bool:
    """Whether anybody could have this name."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str, field: str = "name") -> None:
    """Refuse what cannot be the name of a person, a service or a group. Raises InvalidInput."""
    if not is_name(name):
        raise InvalidInput(
            f"Invalid name {name[:80]!r}: 1 to 64 of a-z 0-9 . _ @ - in lower case, beginning with a letter or digit.",
            field,
        )
    if name in _OURS:
        raise InvalidInput(f"The name '{name}' is the server's own; choose another.", field)


def check_text(field: str, text: str | None) -> None:
    """Refuse a description that is too long or holds a NUL. Raises InvalidInput."""
    check_length(field, text or "", _LONGEST_TEXT)
