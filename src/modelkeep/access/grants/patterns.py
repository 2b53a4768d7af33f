"""What can be said of which things a permission is for: kinds and patterns from outside, checked."""

from modelkeep.access.rules import ANY, Kind, id_in
from modelkeep.core.errors import InvalidInput

_KINDS = frozenset({ANY, *Kind}) - {Kind.SERVER}
_LONGEST = 300


def check_kind(kind: str) -> None:
    """Refuse what is no kind of thing. Raises InvalidInput."""
    if kind not in _KINDS:
        raise InvalidInput("'kind' is *, model, experiment or workspace.", "kind")


def check_pattern(pattern: str) -> None:
    """Refuse what is no pattern: `*`, `prefix*`, or `id:` and an id. Raises InvalidInput."""
    if not _is_text(pattern) or not (_is_beginning(pattern) or id_in(pattern)):
        raise InvalidInput("'pattern' is *, the beginning of names and *, or id: and a lasting id.", "pattern")


def check_aliases(pattern: str) -> None:
    """Refuse what is no pattern of aliases: `*`, `prefix*`, or one alias. Raises InvalidInput."""
    if not pattern or not _is_text(pattern) or not (_is_beginning(pattern) or ANY not in pattern):
        raise InvalidInput("'aliases' is *, the beginning of aliases and *, or one alias.", "aliases")


def _is_text(pattern: str) -> bool:
    return len(pattern) <= _LONGEST and "\x00" not in pattern


def _is_beginning(pattern: str) -> bool:
    return pattern.endswith(ANY) and ANY not in pattern[:-1]
