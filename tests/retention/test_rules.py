"""Which versions' files may go: decisions without a database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.core.errors import InvalidInput
from modelkeep.retention.rules import (
    DAY_MS,
    KEEP_ALL,
    Rule,
    Standing,
    check_days,
    check_reason,
    check_rule,
    why_reclaimable,
)

NOW = 1_700_000_000_000
LAST_3 = Rule(keep_last=3)
DAYS_90 = Rule(keep_days=90)
BOTH = Rule(keep_last=3, keep_days=90)


def standing(rank: int = 10, age_days: float = 100, retired_days: float | None = None, **flags: bool) -> Standing:
    """A version of that rank and age."""
    retired_at = None if retired_days is None else NOW - int(retired_days * DAY_MS)
    return Standing(rank, NOW - int(age_days * DAY_MS), retired_at, **flags)


@pytest.mark.parametrize(
    ("rule", "found", "goes"),
    [
        (KEEP_ALL, standing(1_000, 10_000), False),
        (LAST_3, standing(3), False),
        (LAST_3, standing(4), True),
        (LAST_3, standing(4, age_days=0), True),
        (DAYS_90, standing(1, age_days=89.9), False),
        (DAYS_90, standing(1, age_days=90), True),
        (BOTH, standing(3, age_days=1_000), False),
        (BOTH, standing(1_000, age_days=1), False),
        (BOTH, standing(4, age_days=91), True),
        (KEEP_ALL, standing(retired_days=29.9), False),
        (KEEP_ALL, standing(retired_days=30), True),
        (BOTH, standing(1, age_days=40, retired_days=31), True),
        (LAST_3, standing(100, retired_days=1), False),
    ],
)
def test_what_goes(rule: Rule, found: Standing, goes: bool) -> None:
    """Number or age keeps a version in use, its restore window one that is retired; without a rule all is kept."""
    assert (why_reclaimable(rule, found, NOW) is not None) is goes


@given(
    st.builds(Rule, st.none() | st.integers(1, 5), st.none() | st.integers(1, 5), st.booleans()),
    st.integers(1, 10),
    st.integers(-5, 10),
    st.none() | st.integers(0, 40),
    st.none() | st.integers(0, 40),
    st.sampled_from([(True, False), (False, True), (True, True)]),
)
def test_what_is_placed_or_held_never_goes(
    rule: Rule, rank: int, age: int, retired: int | None, restore_days: int | None, kept: tuple[bool, bool]
) -> None:
    """No rule, age or retirement makes a candidate of a version that is placed or held."""
    found = standing(rank, age, retired, placed=kept[0], held=kept[1])
    assert why_reclaimable(rule, found, NOW, restore_days) is None


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 100), st.integers(0, 100))
def test_a_second_condition_only_keeps_more(last: int, days: int, rank: int, age: int) -> None:
    """What either number or age alone keeps, both together keep."""
    found = standing(rank, age)
    alone = [why_reclaimable(rule, found, NOW) for rule in (Rule(keep_last=last), Rule(keep_days=days))]
    assert (why_reclaimable(Rule(last, days), found, NOW) is None) is (None in alone)


def test_retired_versions_stay_where_only_rules_are_asked_for() -> None:
    """Without a number of days, retired versions are kept for ever."""
    assert why_reclaimable(KEEP_ALL, standing(retired_days=10_000), NOW, None) is None


@pytest.mark.parametrize(
    ("rule", "found", "text"),
    [
        (LAST_3, standing(), "outside the retention rule: the last 3 are kept"),
        (BOTH, standing(), "outside the retention rule: the last 3 and those of the last 90 days are kept"),
        (KEEP_ALL, standing(retired_days=31), "retired more than 30 days ago"),
    ],
)
def test_the_reason_is_in_words(rule: Rule, found: Standing, text: str) -> None:
    """The answer says for people why the files may go."""
    assert why_reclaimable(rule, found, NOW) == text


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (Rule(), "keep_last"),
        (Rule(automatic=True), "keep_last"),
        (Rule(keep_last=0), "keep_last"),
        (Rule(keep_last=-1), "keep_last"),
        (Rule(keep_last=2**63), "keep_last"),
        (Rule(keep_days=0), "keep_days"),
        (Rule(keep_last=1, keep_days=36_501), "keep_days"),
    ],
)
def test_a_senseless_rule_is_refused(rule: Rule, field: str) -> None:
    """A rule that says nothing, or less than one or very much, is refused by the name of its field."""
    with pytest.raises(InvalidInput) as refused:
        check_rule(rule)
    assert refused.value.field == field


@pytest.mark.parametrize("rule", [LAST_3, DAYS_90, BOTH, Rule(1, 1, automatic=True)])
def test_a_sensible_rule_is_taken(rule: Rule) -> None:
    """Number, age or both make a rule."""
    assert check_rule(rule) is None


@pytest.mark.parametrize("days", [-1, 36_501])
def test_days_outside_the_range_are_refused(days: int) -> None:
    """Nobody waits a negative number of days, or for longer than a century."""
    with pytest.raises(InvalidInput, match="0 to 36500"):
        check_days("trash_days", days)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 5_001, "\x00"])
def test_a_hold_says_why(reason: str) -> None:
    """A hold without a reason, or with one that cannot be stored, is refused."""
    with pytest.raises(InvalidInput) as refused:
        check_reason(reason)
    assert refused.value.field == "reason"
