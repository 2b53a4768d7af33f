"""Which versions' files may be reclaimed, and why: pure decisions."""

from dataclasses import dataclass

from modelkeep.core.errors import InvalidInput
from modelkeep.core.names import check_length

DAY_MS = 24 * 3600 * 1000
# How long what was deleted or retired can be restored, and so keeps its files.
RESTORE_DAYS = 30
# How long bytes that nothing names lie in the trash before they are deleted.
TRASH_DAYS = 7
MAX_DAYS = 36_500
MAX_KEPT = 1_000_000
MAX_REASON = 5_000


@dataclass(frozen=True, slots=True)
class Rule:
    """What is kept of a model's versions in use: the last so many, and those younger than so many days.

    Without either, all of them. `automatic` rules are applied by the server, others when somebody asks for it.
    """

    keep_last: int | None = None
    keep_days: int | None = None
    automatic: bool = False


KEEP_ALL = Rule()


@dataclass(frozen=True, slots=True)
class Standing:
    """What the decision about a version looks at. `rank` counts its model's versions in use: the newest has 1."""

    rank: int
    created_at: int
    retired_at: int | None = None
    placed: bool = False
    held: bool = False


def check_rule(rule: Rule) -> None:
    """Refuse a rule that says nothing or nothing sensible. Raises InvalidInput."""
    if rule.keep_last is None and rule.keep_days is None:
        raise InvalidInput(
            "Say how many versions are kept (keep_last), for how long (keep_days), or both.", "keep_last"
        )
    _check_range("keep_last", rule.keep_last, 1, MAX_KEPT)
    _check_range("keep_days", rule.keep_days, 1, MAX_DAYS)


def check_days(field: str, days: int) -> None:
    """Refuse what is no number of days to wait. Raises InvalidInput."""
    _check_range(field, days, 0, MAX_DAYS)


def check_reason(reason: str) -> None:
    """Refuse a hold that does not say why. Raises InvalidInput."""
    if not reason.strip():
        raise InvalidInput("Say why the version is held (reason).", "reason")
    check_length("reason", reason, MAX_REASON)


def why_reclaimable(rule: Rule, standing: Standing, now: int, restore_days: int | None = RESTORE_DAYS) -> str | None:
    """Why a version's files may go, in words for people; None if they are kept.

    What is held, or placed (in Staging or Production, or behind an alias), is always kept; what is retired, as long as
    it could be restored (always where `restore_days` is None); what is in use, unless a rule is set and neither number
    nor age keeps it.
    """
    if standing.held or standing.placed:
        return None
    if standing.retired_at is not None:
        return _retired_long_ago(standing.retired_at, now, restore_days)
    if _is_kept(rule, standing, now):
        return None
    return f"outside the retention rule: {_in_words(rule)}"


def _retired_long_ago(retired_at: int, now: int, restore_days: int | None) -> str | None:
    if restore_days is None or now - retired_at < restore_days * DAY_MS:
        return None
    return f"retired more than {restore_days} days ago"


def _is_kept(rule: Rule, standing: Standing, now: int) -> bool:
    if rule.keep_last is None and rule.keep_days is None:
        return True
    if rule.keep_last is not None and standing.rank <= rule.keep_last:
        return True
    return rule.keep_days is not None and now - standing.created_at < rule.keep_days * DAY_MS


def _in_words(rule: Rule) -> str:
    last = f"the last {rule.keep_last}" if rule.keep_last is not None else ""
    young = f"those of the last {rule.keep_days} days" if rule.keep_days is not None else ""
    return " and ".join(text for text in (last, young) if text) + " are kept"


def _check_range(field: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise InvalidInput(f"{field} is a number from {least} to {most}, not {value}.", field)
