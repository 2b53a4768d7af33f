"""What registered models, versions and their tags may be called and hold: pure decisions."""

import re
from collections.abc import Iterable, Mapping

from modelkeep.core.errors import InvalidInput
from modelkeep.core.names import check_key, check_length, missing_value

IS_PROMPT = "mlflow.prompt.is_prompt"
PROMPT_TEXT = "mlflow.prompt.text"
DIGEST_TAG = "modelkeep.digest"

MAX_NAME = 256
MAX_TEXT = 100_000
MAX_LINK = 4096
MAX_ID = 256
RESTORE_WITHIN_MS = 30 * 24 * 3600 * 1000

_OWN_TAGS = "modelkeep."
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")


def check_model_name(name: str, parameter: str = "name") -> None:
    """Refuse what cannot be the name of a registered model. Raises InvalidInput."""
    if not name or name.isspace():
        raise missing_value(parameter)
    if "/" in name or ":" in name:
        raise InvalidInput(f"Invalid model name '{name}'. Names cannot contain '/' or ':'.", parameter)
    if name == "." or name.startswith(".."):
        raise InvalidInput(
            f"Invalid value \"{name}\" for parameter '{parameter}' supplied: Names may be treated as files in certain "
            "cases, and must not resolve to other names when treated as such.",
            parameter,
        )
    if _UNSHOWABLE.search(name):
        raise InvalidInput(f"Invalid model name {name!a}. Names cannot contain control characters.", parameter)
    check_length(parameter, name, MAX_NAME)


def can_be_version(number: int) -> bool:
    """Whether a version may have this number; the databases hold no greater one."""
    return 0 < number < 2**63


def check_tag(key: str, value: str) -> None:
    """Refuse a tag that callers may not set. Raises InvalidInput."""
    check_tag_key(key)
    check_tag_value(key, value)


def check_tag_key(key: str) -> None:
    """Refuse a tag key that is malformed or that the registry keeps itself. Raises InvalidInput."""
    check_key(key)
    if key.startswith(_OWN_TAGS):
        raise InvalidInput(
            f"Tag '{key}' cannot be changed: tags that begin with '{_OWN_TAGS}' are kept by the registry itself.", "key"
        )


def check_tag_value(key: str, value: str) -> None:
    """Refuse a value that is too long or cannot be stored. Raises InvalidInput."""
    if key == PROMPT_TEXT and len(value) > MAX_TEXT:
        raise InvalidInput(f"Prompt text exceeds max length of {MAX_TEXT} characters.", "value")
    check_text("value", value, MAX_TEXT)


def check_text(parameter: str, value: str | None, limit: int = MAX_TEXT) -> None:
    """Refuse free text that is too long or cannot be stored. Raises InvalidInput."""
    if value:
        check_length(parameter, value, limit)


def check_run_id(run_id: str | None) -> None:
    """Refuse what cannot be the id of a run. Raises InvalidInput."""
    if run_id and not _RUN_ID.fullmatch(run_id):
        raise InvalidInput(f"Invalid run ID: '{run_id}'", "run_id")


def tags_of(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Checked tags of a new model or version; of repeated keys the last wins. Raises InvalidInput."""
    tags = dict(given)
    for key, value in tags.items():
        check_tag(key, value)
    return tags


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Whether these tags mark a prompt."""
    return tags.get(IS_PROMPT, "").lower() == "true"


def name_taken(name: str, kind: str, taken_by: str) -> str:
    """The text for a name that something has; `kind` is wanted, `taken_by` is there."""
    if kind == taken_by:
        return f"{_noun(kind).capitalize() if kind == 'prompt' else 'Registered Model'} (name={name}) already exists."
    return (
        f"Tried to create a {_noun(kind)} with name '{name}', but the name is already taken by a {_noun(taken_by)}. "
        "MLflow does not allow creating a model and a prompt with the same name."
    )


def _noun(kind: str) -> str:
    return "prompt" if kind == "prompt" else "registered model"
