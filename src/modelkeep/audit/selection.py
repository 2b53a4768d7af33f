"""Which entries of the journal are meant: filters as callers name them, and what the journal calls what they name."""

from dataclasses import dataclass

from modelkeep import access, models, runs
from modelkeep.core.errors import DomainError, InvalidInput
from modelkeep.db import Tx

_OUTCOMES = ("", "done", "refused")
# What the journal calls by one word; everything else is KIND/NAME.
_ONE_OF_ITS_KIND = frozenset({"server", "tokens", "artifact-store"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Entries that fit all of these; what is empty or None does not matter.

    `resources` are exact, or end in a slash and stand for all that begins so. Times are in ms: from `since` to before
    `until`. `everywhere` is not only the workspace at hand.
    """

    actor: str = ""
    actor_id: str = ""
    resources: tuple[str, ...] | None = None
    kind: str = ""
    outcome: str = ""
    since: int | None = None
    until: int | None = None
    token_id: str = ""
    request_id: str = ""
    everywhere: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises InvalidInput."""
        if self.outcome not in _OUTCOMES:
            raise InvalidInput("'outcome' is done or refused.", "outcome")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise InvalidInput("'since' is before 'until'.", "since")
        for name in ("actor", "actor_id", "kind", "token_id", "request_id"):
            check_text(getattr(self, name), name)


def check_text(text: str, field: str) -> None:
    """Refuse a text that no row can have. Raises InvalidInput."""
    if "\x00" in text:
        raise InvalidInput(f"'{field}' has a NUL character.", field)


def resources_of(tx: Tx, text: str) -> tuple[str, ...] | None:
    """What the journal calls a thing; None for an empty text.

    `model/NAME` is every model that has or had the name, with its versions; `model/NAME/version/N`, `experiment/NAME`,
    `user/NAME` and `group/NAME` are those; anything else is taken as the journal's own name, such as `run/ID`.
    Raises InvalidInput for a name without its kind, which would fit nothing.
    """
    if not text:
        return None
    check_text(text, "resource")
    kind, slash, name = text.partition("/")
    if not slash and text not in _ONE_OF_ITS_KIND:
        raise InvalidInput(
            f"'{text[:80]}' lacks its kind: write model/NAME, model/NAME/version/N, experiment/NAME, user/NAME, "
            "group/NAME, workspace/NAME, run/ID, or server.",
            "resource",
        )
    if kind == "model":
        return _of_model(tx, name)
    try:
        return (_own_name(tx, kind, name) or text,)
    except DomainError:
        return (text,)


def _of_model(tx: Tx, name: str) -> tuple[str, ...]:
    found = [*models.ids_named(tx, name)]
    if found:
        return tuple(one for key in found for one in (f"registered-model/{key}", f"model-version/{key}/"))
    name, _, number = name.rpartition("/version/")
    return tuple(f"model-version/{key}/{number}" for key in models.ids_named(tx, name)) if name else ()


def _own_name(tx: Tx, kind: str, name: str) -> str | None:
    if kind == "experiment" and not name.isdigit():
        return f"experiment/{runs.get_experiment_by_name(tx, name).id}"
    if kind == "user" and (user := access.people.find_user(tx, name)) is not None:
        return f"user/{user.id}"
    if kind == "group":
        return f"group/{access.people.get_group(tx, name).id}"
    return None
