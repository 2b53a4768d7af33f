"""The OpenAPI 3.1 document, written from the operations."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from modelkeep import __version__
from modelkeep.faces.operations import Mode, NoInput, Operation, Public, Signed

_REFERENCE = "#/components/schemas/{name}"
_REFUSALS = {
    "400": "Refused: the input is wrong",
    "401": "Not signed in",
    "403": "Not allowed",
    "404": "Not there",
    "409": "Not in the state that this needs, or the name is taken",
    "413": "Too large",
    "429": "Too many attempts to sign in failed",
    "503": "Not available now",
    "507": "Storage is full",
}
_BODY_METHODS = {"POST", "PUT", "PATCH", "DELETE"}


class Problem(msgspec.Struct, omit_defaults=True):
    """A refusal, as either face words it."""

    error_code: str | None = None
    message: str | None = None
    title: str | None = None
    status: int | None = None
    detail: str | None = None
    code: str | None = None
    field: str | None = None
    request_id: str | None = None


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The OpenAPI document of these operations, as plain data."""
    structs = [op.request for op in operations if op.request is not NoInput]
    structs += [op.answer for op in operations if _is_struct(op.answer)]
    schemas, components = msgspec.json.schema_components([*dict.fromkeys(structs), Problem], ref_template=_REFERENCE)
    by_struct = dict(zip([*dict.fromkeys(structs), Problem], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for number, (method, path) in enumerate(operation.routes):
            plain = path.replace(":path}", "}")
            paths.setdefault(plain, {})[method.lower()] = _described(
                operation, method, plain, number, by_struct, components
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Modelkeep",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "A token as the password, or one's own"},
                "link": {"type": "apiKey", "in": "query", "name": "link", "description": "A signed link"},
            },
        },
    }


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _described(
    operation: Operation, method: str, path: str, number: int, by_struct: dict[Any, Any], components: dict[str, Any]
) -> dict[str, Any]:
    in_path = re.findall(r"\{(\w+)\}", path)
    schema = components.get(operation.request.__name__, {})
    described: dict[str, Any] = {
        "operationId": operation.name if number == 0 else f"{operation.name}.{number}",
        "summary": operation.summary,
        "tags": [operation.name.partition(".")[0]],
        "parameters": [_path_parameter(name) for name in in_path],
        "responses": _responses(operation, by_struct),
    }
    if isinstance(operation.permission, Public):
        described["security"] = []
    elif isinstance(operation.permission, Signed):
        described["security"] = [{"link": []}]
        described["description"] = (
            f"By a link that was signed for a caller with the permission `{operation.permission}`."
        )
    else:
        described["description"] = f"Needs the permission `{operation.permission}`."
    if operation.mode is Mode.STREAM and method in _BODY_METHODS:
        described["requestBody"] = {"content": {"application/octet-stream": {}}}
    elif method in _BODY_METHODS and operation.request is not NoInput:
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_struct[operation.request]}},
        }
    if method not in _BODY_METHODS or operation.mode is Mode.STREAM:
        described["parameters"] += _query_parameters(operation, schema, in_path)
    return described


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(operation: Operation, schema: dict[str, Any], in_path: list[str]) -> list[dict[str, Any]]:
    required = getattr(operation.request, "required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(of)}
        for name, of in schema.get("properties", {}).items()
        if name not in in_path
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is there or not; it is never null."""
    options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
    return options[0] if len(options) == 1 else {k: v for k, v in schema.items() if k != "default"}


def _responses(operation: Operation, by_struct: dict[Any, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if _is_struct(operation.answer):
        content = {"content": {"application/json": {"schema": by_struct[operation.answer]}}}
    elif operation.answer is str:
        content = {"content": {"text/plain": {"schema": {"type": "string"}}}}
    answers: dict[str, Any] = {str(operation.status): {"description": "Done"} | content}
    problem = {"schema": {"$ref": _REFERENCE.format(name="Problem")}}
    kind = "application/problem+json" if operation.face.name == "native" else "application/json"
    for status, text in _REFUSALS.items():
        answers[status] = {"description": text, "content": {kind: problem}}
    return answers
