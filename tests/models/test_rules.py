"""What names and tags of the registry may be."""

import pytest

from modelkeep.core.errors import InvalidInput
from modelkeep.models import rules

GOOD_NAMES = ["iris", "a b", "Ünïcode", "100%", "-x", "a..b", "...".replace(".", "x"), "x" * 256]
BAD_NAMES = ["", " ", "\t", "a/b", "a:b", ".", "..", "..x", "a\x00b", "line\nbreak", "x" * 257]
BAD_KEYS = ["", "a,b", "a//b", "/a", "../a", "k" * 251, "modelkeep.digest", "modelkeep.anything"]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_name_is_almost_any_text(name: str) -> None:
    """Letters of any script, blanks and dots inside make a name."""
    rules.check_model_name(name)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_is_refused(name: str) -> None:
    """A blank, a separator, something like a path, a control character, or too long a text is no name."""
    with pytest.raises(InvalidInput) as refusal:
        rules.check_model_name(name)
    assert refusal.value.field == "name"


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_tag_key_is_refused(key: str) -> None:
    """A key obeys the rules of keys, and the registry's own keys are not for callers."""
    with pytest.raises(InvalidInput):
        rules.check_tag(key, "value")


def test_the_registrys_own_tags_say_so() -> None:
    """The refusal of a reserved tag tells who keeps it."""
    with pytest.raises(InvalidInput, match="kept by the registry"):
        rules.check_tag_key("modelkeep.digest")


def test_a_prompts_text_has_its_own_refusal() -> None:
    """Too long a prompt is told in words about prompts."""
    with pytest.raises(InvalidInput, match="Prompt text exceeds max length of 100000 characters"):
        rules.check_tag(rules.PROMPT_TEXT, "x" * 100_001)


def test_a_value_may_be_as_long_as_said() -> None:
    """A value of exactly the limit is taken, one more is not."""
    rules.check_tag("k", "x" * rules.MAX_TEXT)
    with pytest.raises(InvalidInput, match="exceeds the maximum length"):
        rules.check_tag("k", "x" * (rules.MAX_TEXT + 1))


def test_the_last_of_repeated_tags_wins() -> None:
    """A key given twice has its second value."""
    assert rules.tags_of([("k", "1"), ("k", "2")]) == {"k": "2"}


@pytest.mark.parametrize(
    ("tags", "expected"), [({rules.IS_PROMPT: "true"}, True), ({rules.IS_PROMPT: "false"}, False), ({}, False)]
)
def test_a_prompt_is_told_by_its_tag(tags: dict[str, str], expected: bool) -> None:
    """Only the value true makes a prompt."""
    assert rules.is_prompt(tags) is expected


@pytest.mark.parametrize(
    ("kind", "taken_by", "text"),
    [
        ("model", "model", "Registered Model (name=x) already exists."),
        ("prompt", "prompt", "Prompt (name=x) already exists."),
        (
            "model",
            "prompt",
            "Tried to create a registered model with name 'x', but the name is already taken by a prompt.",
        ),
        (
            "prompt",
            "model",
            "Tried to create a prompt with name 'x', but the name is already taken by a registered model.",
        ),
    ],
)
def test_the_text_for_a_taken_name(kind: str, taken_by: str, text: str) -> None:
    """The refusal tells what has the name."""
    assert rules.name_taken("x", kind, taken_by).startswith(text)
