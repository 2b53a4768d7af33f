"""Stages and aliases as pure decisions."""

import pytest

from modelkeep.core.errors import InvalidInput
from modelkeep.promotion import rules


@pytest.mark.parametrize(("given", "stage"), [("none", "None"), ("STAGING", "Staging"), ("aRcHived", "Archived")])
def test_a_stage_is_read_in_any_case(given: str, stage: str) -> None:
    """Whatever the case, a stage has one spelling."""
    assert rules.canonical_stage(given) == stage


@pytest.mark.parametrize("given", ["", "Nowhere", "Production ", "\u017ftaging"])
def test_other_words_are_no_stages(given: str) -> None:
    """There are four stages, and the refusal lists them."""
    with pytest.raises(InvalidInput, match="Value must be one of None, Staging, Production, Archived"):
        rules.canonical_stage(given)


@pytest.mark.parametrize("stage", ["None", "Archived"])
def test_only_active_stages_are_emptied(stage: str) -> None:
    """Archiving the others of a stage needs one that is for use."""
    with pytest.raises(InvalidInput, match=f"because '{stage}' is not an Active stage"):
        rules.check_archiving(stage)


@pytest.mark.parametrize("alias", ["champion", "a-b_9", "42", "v", "v1a", "latest-one", "ü" * 255])
def test_a_word_is_an_alias(alias: str) -> None:
    """Letters, digits, underscores and dashes, up to 255."""
    rules.check_new_alias(alias)


@pytest.mark.parametrize(
    "alias", ["", "a b", "a.b", "a/b", "a\n", "x" * 256, "a\x00", "latest", "LATEST", "v1", "V007"]
)
def test_other_words_are_no_aliases(alias: str) -> None:
    """Nothing that could be mistaken for something else becomes an alias."""
    with pytest.raises(InvalidInput):
        rules.check_new_alias(alias)


def test_reserved_words_may_be_asked_for() -> None:
    """Asking for `latest` or `v1` is no mistake; only setting them is."""
    rules.check_alias("latest")
    rules.check_alias("v1")
