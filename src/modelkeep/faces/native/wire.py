"""How the native API writes requests, answers and refusals: strict JSON in, problem+json (RFC 9457) out.

A request's fields come from the path, the query and a JSON object in the body; an unknown or repeated one is refused.
"""

import base64
import binascii
from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

import msgspec

from modelkeep.core.errors import DomainError, InvalidInput, TooManyAttempts
from modelkeep.faces.json_body import check_json
from modelkeep.faces.operations import Operation, Reply

_PROBLEMS = {
    "invalid_input": (400, "The request is wrong"),
    "unauthenticated": (401, "Not signed in"),
    "forbidden": (403, "Not allowed"),
    "not_found": (404, "Not found"),
    "endpoint_not_found": (404, "No such operation"),
    "already_exists": (409, "The name is taken"),
    "conflict": (409, "Not in the state that this needs"),
    "too_many_attempts": (429, "Too many attempts"),
    "too_many_requests": (429, "Too many requests"),
    "too_large": (413, "Too large"),
    "not_offered": (501, "Not offered"),
    "unavailable": (503, "Not available now"),
    "storage_full": (507, "Storage is full"),
    "corrupt": (500, "Stored data is damaged"),
}
_JSON = [(b"content-type", b"application/json")]
_PROBLEM_JSON = [(b"content-type", b"application/problem+json")]
_encode = msgspec.json.Encoder().encode
_LARGEST = 2**63 - 1


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request: nothing but its fields is taken."""


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An answer; fields that are not set are left out."""


class NativeFace:
    """The native API's wire."""

    name = "native"

    def parse(self, operation: Operation, fields: dict[str, Any], body: bytes, headers: Mapping[bytes, bytes]) -> Any:
        """The operation's request. Raises InvalidInput."""
        values = _from_text(operation.request, fields)
        if body:
            values = _with_body(values, body, headers)
        try:
            return msgspec.convert(values, operation.request)
        except msgspec.ValidationError as error:
            raise _invalid(error) from error

    def render(self, operation: Operation, result: Any) -> Reply:
        """The answer as JSON; no body for None. What is a reply already, such as one with a cookie, stays as it is."""
        if isinstance(result, Reply):
            return result
        if result is None:
            return Reply(204)
        return Reply(operation.status, list(_JSON), _encode(result))

    def refuse(self, error: DomainError, request_id: str) -> Reply:
        """The refusal as a problem."""
        status, title = _PROBLEMS[error.code]
        problem: dict[str, Any] = {"type": f"urn:modelkeep:problem:{error.code}", "title": title, "status": status}
        problem |= {"detail": error.message, "code": error.code}
        if error.field:
            problem["field"] = error.field
        headers = list(_PROBLEM_JSON)
        if status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="modelkeep"'))
        if isinstance(error, TooManyAttempts):
            headers.append((b"retry-after", b"%d" % error.retry_after_s))
        return Reply(status, headers, _encode(problem | {"request_id": request_id}))

    def fail(self, request_id: str) -> Reply:
        """An error of ours, as a problem that tells the request id only."""
        problem = {
            "type": "urn:modelkeep:problem:internal",
            "title": "Internal error",
            "status": 500,
            "detail": f"The server's log explains request {request_id}.",
            "code": "internal",
            "request_id": request_id,
        }
        return Reply(500, list(_PROBLEM_JSON), _encode(problem))


NATIVE = NativeFace()


def routes(method: str, path: str) -> tuple[tuple[str, str], ...]:
    """A path of the native API: `models/{name}`."""
    return ((method, f"/api/v1/{path}"),)


def write_cursor(*last: str | int) -> str:
    """An opaque cursor that stands behind the item with this sort key."""
    return base64.urlsafe_b64encode(_encode(last)).decode().rstrip("=")


def read_cursor(text: str, *kinds: type) -> list[Any]:
    """The sort key in a cursor, whose members are of these kinds. Raises InvalidInput."""
    try:
        last = msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _bad_cursor() from error
    if not isinstance(last, list) or [type(member) for member in last] != list(kinds):
        raise _bad_cursor()
    if not all(map(_is_storable, last)):
        raise _bad_cursor()
    return last


def _is_storable(member: str | int) -> bool:
    return abs(member) <= _LARGEST if isinstance(member, int) else "\x00" not in member


def _bad_cursor() -> InvalidInput:
    return InvalidInput("This is no cursor of this list; take `next_cursor` from an answer.", "cursor")


@cache
def _types(kind: Any) -> Mapping[str, Any]:
    """The types of a request's fields, by name."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _from_text(kind: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Path and query fields, which are text, as what the request wants."""
    values: dict[str, Any] = {}
    for name, given in fields.items():
        if isinstance(given, list) and len(given) > 1:
            raise InvalidInput(f"Parameter '{name}' is given more than once.", name)
        text = given[0] if isinstance(given, list) else given
        try:
            values[name] = msgspec.convert(text, _types(kind).get(name, str), strict=False)
        except msgspec.ValidationError as error:
            choices = ", ".join(one for one in get_args(_types(kind).get(name)) if isinstance(one, str) and one)
            says = f"'{name}' is one of {choices}." if "enum" in str(error) else f"Parameter '{name}': {error}."
            raise InvalidInput(says, name) from error
    return values


def _with_body(values: dict[str, Any], body: bytes, headers: Mapping[bytes, bytes]) -> dict[str, Any]:
    content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if content_type != b"application/json":
        raise InvalidInput("The body must be JSON, with Content-Type: application/json.")
    given = check_json(body)
    if not isinstance(given, dict):
        raise InvalidInput("The body must be a JSON object.")
    if clash := values.keys() & given.keys():
        raise InvalidInput(f"Field '{min(clash)}' stands in the address already.", min(clash))
    return values | given


def _invalid(error: msgspec.ValidationError) -> InvalidInput:
    message = str(error)
    text, _, path = message.partition(" - at `$")
    field = path.strip("`").lstrip(".")
    if "`" in text and not field:
        field = text.split("`")[-2]
    return InvalidInput(f"{text}{f' (in {field})' if path else ''}.", field)
