"""The pure rules of experiments, runs and keys."""

import math
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.core.names import check_key, check_length, cut
from modelkeep.runs import rules
from runs.tracking import Entry, Point

LARGEST = 1.7976931348623157e308


@pytest.mark.parametrize("key", ["a", "a/b", "a.b", "a b", "a:b", "a-b_c", "Ünï", "a..b", "x" * 250])
def test_a_good_key_passes(key: str):
    """Word characters, dashes, dots, blanks, colons and slashes between names make a key."""
    check_key(key)


@pytest.mark.parametrize("key", ["a//b", "a/", "./a", "../a", "..a", "/a", ".", "..", "a/../b"])
def test_a_key_must_be_its_own_normal_path(key: str):
    """A key that would name another file is refused, with the name it would resolve to."""
    with pytest.raises(InvalidInput) as refused:
        check_key(key, "metrics[0].name")
    assert refused.value.message.startswith(
        f"Invalid value \"{key}\" for parameter 'metrics[0].name' supplied: Names may be treated as files"
    )
    assert refused.value.message.endswith(f"This name would resolve to '{posixpath.normpath(key)}'")


@pytest.mark.parametrize("key", ["a,b", "a;b", "a?b", "a\\b", "a'b", "a\nb", "a\n", "a\x00b", "a{b}", "a%2fb"])
def test_a_key_has_an_alphabet(key: str):
    """Any other character is refused, also at the end."""
    with pytest.raises(InvalidInput, match=r"Names may only contain|NUL"):
        check_key(key)


@pytest.mark.parametrize("key", [None, ""])
def test_a_key_must_be_there(key: str | None):
    """An absent key is missing under the name of its place."""
    with pytest.raises(InvalidInput, match=r"^Missing value for required parameter 'params\[3\].key'"):
        check_key(key, "params[3].key")


def test_a_long_key_is_refused_under_its_label():
    """The 251st character is one too many."""
    with pytest.raises(InvalidInput, match=r"^'Metric name' exceeds the maximum length of 250 characters$"):
        check_key("x" * 251, "name", "Metric name")


@given(st.text(max_size=30))
def test_an_accepted_key_names_itself(key: str):
    """Whatever passes stays the same when it is treated as a relative path, and never climbs."""
    try:
        check_key(key)
    except InvalidInput:
        return
    assert posixpath.normpath(key) == key
    assert posixpath.normpath("/root/" + key).startswith("/root/")


def test_no_text_holds_a_nul():
    """A NUL is refused everywhere, since PostgreSQL cannot store it."""
    with pytest.raises(InvalidInput, match="NUL"):
        check_length("value", "a\x00", 10)
    with pytest.raises(InvalidInput, match="NUL"):
        cut("value", "\x00" + "a" * 20, 10)


def test_long_texts_are_cut_where_that_is_the_rule():
    """Cutting keeps the beginning."""
    assert cut("value", "abcdef", 3) == "abc"


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("17", 17), ("007", 7)])
def test_an_experiment_id_is_a_number(text: str, number: int):
    """Decimal digits are an id."""
    assert rules.experiment_number(text) == number


@pytest.mark.parametrize("text", ["x", "1.0", "-1", " 1", "1\n", "1_0", "\u0661"])
def test_other_texts_are_no_experiment_id(text: str):
    """Python's own idea of an integer is wider than an id."""
    with pytest.raises(InvalidInput, match=r"Experiment ID must be a valid integer\."):
        rules.experiment_number(text)


def test_an_experiment_id_beyond_64_bits_is_missing():
    """A number that no experiment can have is not found rather than an error of the database."""
    with pytest.raises(NotFound, match=f"^No Experiment with id={'9' * 30} exists$"):
        rules.experiment_number("9" * 30)


@pytest.mark.parametrize(("status", "name"), [("1", "RUNNING"), ("3", "FINISHED"), ("KILLED", "KILLED")])
def test_a_status_is_a_name_or_a_number(status: str, name: str):
    """Both spellings mean the name."""
    assert rules.status_name(status) == name


@pytest.mark.parametrize("status", ["0", "6", "finished", "DONE", "²"])
def test_other_statuses_are_refused(status: str):
    """An unknown status is refused."""
    with pytest.raises(InvalidInput, match="parameter 'status'"):
        rules.status_name(status)


@pytest.mark.parametrize(
    ("value", "stored"),
    [(1.5, (1.5, 0)), (math.nan, (0.0, 1)), (math.inf, (LARGEST, 0)), (-math.inf, (-LARGEST, 0))],
)
def test_every_double_has_a_stored_form(value: float, stored: tuple[float, int]):
    """NaN becomes a flag, infinities the largest doubles."""
    assert rules.storable(value) == stored


def test_a_run_name_comes_from_the_argument_the_tag_or_chance():
    """Either source will do, both must agree, and none means a made-up name."""
    assert rules.new_run_name("blue", {}) == "blue"
    assert rules.new_run_name(None, {rules.RUN_NAME_TAG: "blue"}) == "blue"
    assert rules.new_run_name("blue", {rules.RUN_NAME_TAG: "blue"}) == "blue"
    adjective, noun, number = rules.new_run_name("", {}).split("-")
    assert adjective.isalpha()
    assert noun.isalpha()
    assert number.isdigit()
    with pytest.raises(InvalidInput, match="run_name"):
        rules.new_run_name("blue", {rules.RUN_NAME_TAG: "red"})


def test_a_repeated_tag_counts_last():
    """Of two values of one key the later is kept."""
    assert rules.run_tags([Entry("k", "1"), Entry("k", "2")]) == {"k": "2"}


def test_a_repeated_parameter_is_refused():
    """All keys that are there more than once are named."""
    twice = [Entry("b", "1"), Entry("a", "1"), Entry("a", "1"), Entry("b", "2"), Entry("c", "1")]
    with pytest.raises(InvalidInput, match=r"^Duplicate parameter keys have been submitted: \['a', 'b'\]\."):
        rules.run_params(twice)


def test_a_batch_has_limits():
    """The limits themselves pass, one more does not."""
    rules.check_batch(1000, 0, 0)
    rules.check_batch(800, 100, 100)
    with pytest.raises(InvalidInput, match=r"at most 1000 metrics\. Got 1001 metrics\. Please split up metrics"):
        rules.check_batch(1001, 0, 0)
    with pytest.raises(InvalidInput, match=r"at most 1000 metrics, params, and tags\. Got 1001"):
        rules.check_batch(801, 100, 100)


def test_a_refused_point_says_which_field_is_wrong():
    """The first missing or impossible field is named with its place."""
    assert "'metrics[2].value'" in rules.metric_refusal(Point(value=None), "metrics[2].").message
    assert "'metrics[2].timestamp'" in rules.metric_refusal(Point(timestamp=None), "metrics[2].").message
    assert "Invalid value -1 for parameter 'timestamp'" in rules.metric_refusal(Point(timestamp=-1), "").message


def test_samples_hold_every_runs_ends():
    """A sample of steps has about the asked number, and the first and last step of each run."""
    steps = {"a": list(range(1000)), "b": [333, 334, 335]}
    chosen = rules.sample_steps(steps, 10)
    assert {0, 999, 333, 335} <= set(chosen)
    assert len(chosen) <= 12
    assert chosen == sorted(chosen)


@given(
    st.dictionaries(st.text(max_size=2), st.lists(st.integers(-50, 50), unique=True).map(sorted)), st.integers(1, 60)
)
def test_a_sample_is_of_steps_that_are_there(steps: dict[str, list[int]], limit: int):
    """No step is invented, and all are taken where they are few enough."""
    every = {step for some in steps.values() for step in some}
    chosen = rules.sample_steps(steps, limit)
    assert set(chosen) <= every
    assert len(every) > limit or set(chosen) == every
