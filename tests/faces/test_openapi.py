"""The OpenAPI document is valid, whole and true: generated requests meet no error of ours and no undescribed answer."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from modelkeep.faces.openapi import document
from modelkeep.faces.operations import PUBLIC
from security.raw import Raw
from security.table import OPERATIONS, ROUTES
from servers import RunningServer

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document(OPERATIONS)))
DESCRIBED = [(method, path, one) for path, methods in DOCUMENT["paths"].items() for method, one in methods.items()]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
FEW, MANY = 8, 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a model, a run and a logged model, so that some generated requests find something."""
    with RunningServer(tmp_path_factory.mktemp("openapi") / "data") as running:
        with Raw(running.port, running.token) as raw:
            raw.json("POST", "/api/v1/models", {"name": "0"})
            raw.json("POST", "/api/2.0/mlflow/model-versions/create", {"name": "0", "source": "s3://bucket/0"})
            raw.json("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1})
        yield running


def test_the_document_is_valid_openapi() -> None:
    """The document follows OpenAPI 3.1, and says so."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(DOCUMENT).validate()


def test_a_broken_document_is_found() -> None:
    """The validation that the test above relies on does refuse what is no OpenAPI."""
    broken = DOCUMENT | {"paths": {"/x": {"get": {"responses": {"200": {"content": []}}}}}}
    with pytest.raises(Exception, match=r"is not of type|is not valid|required"):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_schema_is_valid_and_every_reference_leads_somewhere() -> None:
    """All described shapes are JSON Schemas of 2020-12, and every `$ref` names one of them."""
    schemas = DOCUMENT["components"]["schemas"]
    for name, schema in schemas.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert name.isidentifier()
    known = {f"#/components/schemas/{name}" for name in schemas}
    assert {*references(DOCUMENT)} <= known


def references(node: Any) -> Iterator[str]:
    """Every `$ref` in the document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_route_is_described_once() -> None:
    """The document has exactly the routes of the table, each with a name of its own."""
    routes = {(route.method.lower(), route.path.replace(":path}", "}")) for route in ROUTES if route.method != "HEAD"}
    assert {(method, path) for method, path, _ in DESCRIBED} == routes
    ids = [one["operationId"] for _, _, one in DESCRIBED]
    assert len(ids) == len({*ids})


def test_public_operations_and_no_others_are_described_as_public() -> None:
    """An operation is described as needing no sign-in exactly where it needs none, and else names its permission."""
    public = {op.name for op in OPERATIONS if op.permission is PUBLIC}
    for _, path, one in DESCRIBED:
        name = one["operationId"]
        is_public = name in public or name.rpartition(".")[0] in public
        assert (one.get("security") == []) == is_public, path
        assert is_public or "permission" in one["description"], path


def test_path_fields_are_described_and_required() -> None:
    """Every field of a path is described as required, and no other field claims to stand there."""
    for _, path, one in DESCRIBED:
        in_path = [parameter["name"] for parameter in one["parameters"] if parameter["in"] == "path"]
        assert sorted(in_path) == sorted(part[1:-1] for part in path.split("/") if part.startswith("{")), path
        assert all(parameter["required"] for parameter in one["parameters"] if parameter["in"] == "path"), path


def test_the_server_serves_the_document_to_whoever_signed_in(server: RunningServer) -> None:
    """What is served is this document, as JSON; strangers are told nothing."""
    with Raw(server.port, server.token) as caller, Raw(server.port) as stranger:
        reply = caller.request("GET", "/api/v1/openapi.json")
        stranger.request("GET", "/api/v1/openapi.json").refused(401)
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == DOCUMENT


# Not for twins.
GENERATED = [(method, path) for method, path, _ in DESCRIBED if not path.startswith("/ajax-api/2.0/mlflow/")]


def hold_to_document(server: RunningServer, method: str, path: str, examples: int) -> None:
    """Send generated requests of this operation and hold every answer to the document."""
    api = schemathesis.openapi.from_dict(DOCUMENT)
    api.config.update(base_url=server.url)
    headers = {"Authorization": f"Bearer {server.token}"}

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples == FEW,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(case=api[path][method].as_strategy())
    def send(case: schemathesis.Case) -> None:
        case.validate_response(case.call(headers=headers, timeout=60), checks=CHECKS)

    send()


@pytest.mark.parametrize(("method", "path"), GENERATED)
def test_generated_requests_are_answered_as_described(server: RunningServer, method: str, path: str) -> None:
    """A few requests made from the description get an answer that the description has."""
    hold_to_document(server, method, path, FEW)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), GENERATED)
def test_many_generated_requests_are_answered_as_described(server: RunningServer, method: str, path: str) -> None:
    """Many requests made from the description get an answer that the description has."""
    hold_to_document(server, method, path, MANY)
