"""How MLflow's wire writes requests, answers and refusals.

Bodies are proto2 JSON: snake_case names, unset fields left out, numbers for int64, unknown fields ignored. The texts of
refusals are MLflow's, because clients match on them.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import msgspec

from modelkeep.core.errors import DomainError, InvalidInput, TooManyAttempts
from modelkeep.core.names import missing_value
from modelkeep.faces.json_body import check_json
from modelkeep.faces.operations import Operation, Reply

_SEE_DOCS = "See the API docs for more information about request parameters."
_JSON = [(b"content-type", b"application/json")]
_STATUS = {
    "invalid_input": (400, "INVALID_PARAMETER_VALUE"),
    "already_exists": (400, "RESOURCE_ALREADY_EXISTS"),
    "unauthenticated": (401, "UNAUTHENTICATED"),
    "forbidden": (403, "PERMISSION_DENIED"),
    "not_found": (404, "RESOURCE_DOES_NOT_EXIST"),
    "endpoint_not_found": (404, "ENDPOINT_NOT_FOUND"),
    "conflict": (409, "RESOURCE_CONFLICT"),
    "too_many_attempts": (429, "REQUEST_LIMIT_EXCEEDED"),
    "too_many_requests": (429, "REQUEST_LIMIT_EXCEEDED"),
    "too_large": (413, "INVALID_PARAMETER_VALUE"),
    "not_offered": (501, "NOT_IMPLEMENTED"),
    "unavailable": (503, "TEMPORARILY_UNAVAILABLE"),
    "storage_full": (507, "RESOURCE_EXHAUSTED"),
    "corrupt": (500, "DATA_LOSS"),
}
_encode = msgspec.json.Encoder().encode


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A request or answer: every field optional with default None; `required` are refused when absent, null or ''."""

    required: ClassVar[tuple[str, ...]] = ()


class Empty(Message):
    """The answer `{}`."""


class MlflowFace:
    """MLflow's wire."""

    name = "mlflow"

    def parse(self, operation: Operation, fields: dict[str, Any], body: bytes, headers: Mapping[bytes, bytes]) -> Any:
        """The operation's message from the query (GET) or the JSON body (the rest), and from the path."""
        if body:
            request = _from_body(operation.request, body, headers)
            _refuse_query(operation.request, fields)
            for name, value in fields.items():
                if isinstance(value, str):
                    setattr(request, name, value)
        else:
            request = _from_fields(operation.request, fields)
        require_fields(request)
        return request

    def render(self, operation: Operation, result: Any) -> Reply:
        """A 200 with the message; None is `{}`, or nothing where the status says so."""
        if operation.status == 204:
            return Reply(204)
        return Reply(operation.status, list(_JSON), b"{}" if result is None else _encode(result))

    def refuse(self, error: DomainError, request_id: str) -> Reply:
        """MLflow's error object with its code for this kind of refusal."""
        status, code = _STATUS[error.code]
        headers = list(_JSON)
        if status == 401:
            headers.append((b"www-authenticate", b'Basic realm="mlflow"'))
        if isinstance(error, TooManyAttempts):
            headers.append((b"retry-after", b"%d" % error.retry_after_s))
        return Reply(status, headers, _error(code, error.message, request_id))

    def fail(self, request_id: str) -> Reply:
        """An INTERNAL_ERROR that tells the request id only."""
        text = f"Internal error; the server's log explains request {request_id}."
        return Reply(500, list(_JSON), _error("INTERNAL_ERROR", text, request_id))


MLFLOW = MlflowFace()


def routes(method: str, path: str, *more_methods: str) -> tuple[tuple[str, str], ...]:
    """A path under both of MLflow's prefixes. `path` begins with the API version: `2.0/mlflow/runs/get`."""
    return tuple((verb, f"/{prefix}/{path}") for verb in (method, *more_methods) for prefix in ("api", "ajax-api"))


def _error(code: str, message: str, request_id: str) -> bytes:
    return _encode({"error_code": code, "message": message, "request_id": request_id})


def invalid_value(name: str, value: Any) -> InvalidInput:
    """The refusal of a parameter whose value is of the wrong type."""
    shown = msgspec.json.encode(value, order="sorted").decode()
    kind = type(value).__name__
    return InvalidInput(
        f"Invalid value {shown} for parameter '{name}' supplied:  Hint: Value was of type '{kind}'. {_SEE_DOCS}", name
    )


def require_fields(request: Any) -> None:
    """Refuse the first required field that has no value."""
    for name in request.required:
        if getattr(request, name) in (None, "", []):
            raise missing_value(name)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)


def _from_body(kind: Any, body: bytes, headers: Mapping[bytes, bytes]) -> Any:
    content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if content_type != b"application/json":
        raise InvalidInput("Bad Request. Content-Type must be one of ['application/json'].")
    raw = check_json(body)
    try:
        return _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        return _explain(kind, raw, error)


def _explain(kind: Any, raw: Any, error: msgspec.ValidationError) -> Any:
    """Say which parameter is wrong, as MLflow does; or read a body that is JSON inside a JSON string."""
    if isinstance(raw, str):
        inner = raw.encode()
        check_json(inner)
        try:
            return _decoder(kind).decode(inner)
        except msgspec.DecodeError:
            raise InvalidInput("Bad Request. The body is not a JSON object.") from error
    if not isinstance(raw, dict):
        raise InvalidInput("Bad Request. The body is not a JSON object.") from error
    path = _path_in(str(error))
    value: Any = raw
    for step in re.findall(r"[^.\[\]]+", path):
        value = _step_into(value, step)
    raise invalid_value(path, value) from error


def _path_in(text: str) -> str:
    found = re.search(r"at `\$\.?([^`]*)`", text)
    return found[1] if found else ""


def _step_into(value: Any, step: str) -> Any:
    if isinstance(value, list):
        return value[int(step)] if step.isdigit() and int(step) < len(value) else value
    return value.get(step, value) if isinstance(value, dict) else value


def _refuse_query(kind: Any, fields: dict[str, Any]) -> None:
    """A field in the query beside a body could be read two ways: refuse it."""
    for name, value in fields.items():
        if isinstance(value, list) and name in kind.__struct_fields__:
            raise InvalidInput(f"Parameter '{name}' belongs into the body, not into the query.", name)


@cache
def _list_fields(kind: Any) -> frozenset[str]:
    return frozenset(f.name for f in msgspec.structs.fields(kind) if "list" in str(f.type))


def _from_fields(kind: Any, fields: dict[str, Any]) -> Any:
    values: dict[str, Any] = {}
    for name, given in fields.items():
        if isinstance(given, str) or name in _list_fields(kind):
            values[name] = given
        elif len(given) > 1 and name in kind.__struct_fields__:
            raise InvalidInput(f"Parameter '{name}' is given more than once.", name)
        else:
            values[name] = given[0]
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        path = _path_in(str(error))
        value = values.get(path, "")
        if "bool" in str(error):
            raise InvalidInput(f"Invalid boolean value: {value}, must be 'true' or 'false'", path) from error
        raise invalid_value(path, value) from error
