"""What keys and texts may be: pure checks that runs, logged models and the registry share.

The texts of refusals are MLflow's, because clients match on them.
"""

import json
import posixpath
import re
from typing import Any

from modelkeep.core.errors import InvalidInput

MAX_KEY_CHARS = 250
_KEY = re.compile(r"[/\w.\- :]*")


def invalid_value(parameter: str, value: Any, why: str = "") -> InvalidInput:
    """The refusal of a parameter's value; `why` is a sentence."""
    shown = json.dumps(value, separators=(",", ":"), sort_keys=True)
    reason = f": {why}" if why else "."
    return InvalidInput(f"Invalid value {shown} for parameter '{parameter}' supplied{reason}", parameter)


def missing_value(parameter: str) -> InvalidInput:
    """The refusal of a request without a parameter."""
    return InvalidInput(
        f"Missing value for required parameter '{parameter}'. "
        "See the API docs for more information about request parameters.",
        parameter,
    )


def check_key(value: str | None, parameter: str = "key", label: str = "key") -> None:
    """Refuse a key that is empty, longer than 250 characters, of other characters, or would name another file.

    Raises InvalidInput. `parameter` is where the key stands in the request, `label` what its length is called by.
    """
    if not value:
        raise missing_value(parameter)
    check_length(label, value, MAX_KEY_CHARS)
    if not _KEY.fullmatch(value):
        raise invalid_value(
            parameter,
            value,
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
            "slashes (/).",
        )
    normal = posixpath.normpath(value)
    if normal != value or normal == "." or normal.startswith(("..", "/")):
        raise invalid_value(
            parameter,
            value,
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
            f"This name would resolve to '{normal}'",
        )


def check_length(label: str, value: str, limit: int) -> None:
    """Refuse a text of more than `limit` characters, or with a NUL, which no database holds. Raises InvalidInput."""
    if len(value) > limit:
        raise InvalidInput(f"'{label}' exceeds the maximum length of {limit} characters", label)
    if "\x00" in value:
        raise InvalidInput(f"'{label}' holds a NUL character, which cannot be stored", label)


def cut(label: str, value: str, limit: int) -> str:
    """The text, silently cut to `limit` characters. Raises InvalidInput for a NUL."""
    shortened = value[:limit]
    check_length(label, shortened, limit)
    return shortened
