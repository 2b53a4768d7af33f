"""Rubbish in bodies and queries of every route, on both databases, is refused in JSON with an id (IN-01, AZ-05)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import postgres
from security.raw import Raw
from security.table import ROUTES, Route
from servers import RunningServer

DEEP = 100_000
RUBBISH = {
    "nothing": b" ",
    "cut off": b'{"name":',
    "null": b"null",
    "list": b"[]",
    "string": b'"x"',
    "string of a list": b'"[]"',
    "string of rubbish": b'"{"',
    "number": b"1",
    "true": b"true",
    "deep list": b'{"x":' + b"[" * DEEP,
    "deep and closed": b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep in a string": json.dumps('{"x":' + "[" * DEEP).encode(),
    "invalid utf-8": b'{"name":"\xff"}',
    "encoded surrogate": b'{"name":"\xed\xa0\x80"}',
    "utf-8 mark": b"\xef\xbb\xbf{}",
    "utf-16": '{"name":"x"}'.encode("utf-16"),
    "utf-32": '{"name":"x"}'.encode("utf-32"),
    "trailing data": b"{} {}",
    "two values": b"{}{}",
    "comment": b"{} // x",
    "single quotes": b"{'name':'x'}",
    "nan": b'{"x":NaN}',
    "infinity": b'{"x":-Infinity}',
    "nul byte": b"\0",
    "nul in a string": b'{"name":"a\0b"}',
    "nul escape": b'{"name":"a\\u0000b"}',
    "nul escape in a key": b'{"a\\u0000b":"x"}',
    "nul escape in a list": b'{"x":[{"key":"\\\\\\u0000"}]}',
    "nul escape in a string": json.dumps('{"name":"a\\u0000b"}').encode(),
    "newline in a string": b'{"name":"a\nb"}',
    "form": b"name=x&experiment_id=0",
    "xml": b"<?xml version='1.0'?><a/>",
}
TEXTS = {
    "lone surrogate": b'"\\ud800"',
    "lone low surrogate": b'"a\\udc00b"',
    "nul": b'"\\u0000"',
    "list": b'[["x"]]',
    "object": b'{"x":{"y":1}}',
    "big number": b"9" * 5_000,
    "float": b"1e999",
}
NUMBERS = {
    "one too many": b"9223372036854775808",
    "one too few": b"-9223372036854775809",
    "many digits": b"9" * 5_000,
    "many digits as text": b'"' + b"9" * 5_000 + b'"',
    "text": b'"x"',
    "fraction": b"1.5",
    "list": b"[1]",
    "exponent": b"1e400",
}
QUERIES = ["%00", "a%00b", "%ff", "%ed%a0%80", "%c0%ae", "x&{field}=y", "9" * 5_000, "%", "%zz", "\\ud800", "é" * 10]

IN_JSON = [route for route in ROUTES if route.takes_json]
IN_QUERY = [route for route in ROUTES if route.method == "GET" and route.fields]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def raw(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raw]:
    """A connection to a server of its own, once on each database."""
    folder: Path = tmp_path_factory.mktemp("bodies")
    if request.param == "sqlite":
        with RunningServer(folder / "data") as server, Raw(server.port, server.token) as connection:
            yield connection
        return
    shared: str = request.getfixturevalue("postgres_server")
    with (
        postgres.empty_database(shared) as url,
        RunningServer(folder / "data", database=url) as server,
        Raw(server.port, server.token) as connection,
    ):
        yield connection


def target_of(route: Route) -> str:
    """An address of the route in which every field is a good value."""
    return route.target({"version": "1"})


def check_refused(raw: Raw, route: Route, what: str, body: bytes) -> None:
    """The route refuses the body in JSON."""
    reply = raw.json(route.method, target_of(route), body)
    assert 400 <= reply.status < 500 or reply.status == 501, (str(route), what, reply)
    reply.problem()


@pytest.mark.parametrize("what", RUBBISH)
def test_IN_01_no_route_takes_rubbish(raw: Raw, what: str) -> None:
    """A body that is no JSON object, or holds what no text may hold, is refused by every route that takes JSON."""
    for route in IN_JSON:
        check_refused(raw, route, what, RUBBISH[what])


def is_number(kind: Any) -> bool:
    """Whether a field takes whole numbers only."""
    return "int" in str(kind) and "str" not in str(kind) and "list" not in str(kind)


def is_text(kind: Any) -> bool:
    """Whether a field takes text only."""
    return str(kind) in {"str | None", "<class 'str'>"}


@pytest.mark.parametrize("what", TEXTS)
def test_IN_01_no_text_field_takes_anything_else(raw: Raw, what: str) -> None:
    """Surrogates, NUL, numbers and structures are refused wherever a text belongs."""
    for route in IN_JSON:
        for field in (name for name, kind in route.fields.items() if is_text(kind) and name not in route.in_path):
            check_refused(raw, route, f"{field} {what}", b'{"%s":%s}' % (field.encode(), TEXTS[what]))


@pytest.mark.parametrize("what", NUMBERS)
def test_IN_01_no_number_field_takes_anything_else(raw: Raw, what: str) -> None:
    """What is not a whole number of 64 bits is refused wherever one belongs."""
    for route in IN_JSON:
        for field in (name for name, kind in route.fields.items() if is_number(kind) and name not in route.in_path):
            check_refused(raw, route, f"{field} {what}", b'{"%s":%s}' % (field.encode(), NUMBERS[what]))


@pytest.mark.parametrize("text", QUERIES)
def test_IN_01_no_query_makes_an_error_of_ours(raw: Raw, text: str) -> None:
    """Rubbish in any field of any query is refused in JSON, or names nothing; it never is an error of ours."""
    for route in IN_QUERY:
        for field in route.fields:
            query = f"{field}={text.replace('{field}', field)}"
            reply = raw.request("GET", f"{target_of(route)}?{query}".encode("ascii", "backslashreplace"))
            assert reply.status < 500 or reply.status == 501, (str(route), query[:100], reply)
            if reply.status >= 400:
                reply.problem()
            assert not ("%00" in text and reply.status == 200), (str(route), query)


def test_a_text_that_only_spells_a_nul_is_kept(raw: Raw) -> None:
    """Backslash, u and four zeros as plain characters are a text as any other."""
    text = "C:\\u0000 and \\\\u0000"
    created = raw.json("POST", "/api/2.0/mlflow/registered-models/create", {"name": "spelled", "description": text})
    assert created.json["registered_model"]["description"] == text


def test_AZ_05_a_field_cannot_be_given_twice_in_different_places(raw: Raw) -> None:
    """What stands in the address and in the body, or twice in the query, is refused rather than chosen between."""
    rpc = "/api/2.0/mlflow/"
    raw.json("POST", f"{rpc}registered-models/create?name=b", {"name": "a"}).refused(400)
    raw.request("GET", f"{rpc}registered-models/get?name=a&name=b").refused(400)
    raw.request("GET", f"{rpc}runs/get?run_id=a&run_id=b").refused(400)
    raw.json("POST", "/api/v1/models/a/restore", {"name": "b"}).refused(400)
    raw.request("GET", "/api/v1/models/a?name=b").refused(400)
    raw.request("GET", f"{rpc}logged-models/m-1?model_id=m-2").refused(400)


def test_AZ_05_another_spelling_of_a_field_is_not_that_field(raw: Raw) -> None:
    """A field in camel case beside the right one never replaces it."""
    rpc = "/api/2.0/mlflow/runs/"
    mine, other = (
        raw.json("POST", rpc + "create", {"experiment_id": "0", "start_time": 1}).json["run"]["info"]["run_id"]
        for _ in range(2)
    )
    tag = {"run_id": mine, "runId": other, "runUuid": other, "RUN_ID": other, "key": "mark", "value": "x"}
    assert raw.json("POST", rpc + "set-tag", tag).status == 200
    data = {run: raw.request("GET", f"{rpc}get?run_id={run}").json["run"]["data"] for run in (mine, other)}
    assert [tag["key"] for tag in data[mine]["tags"]].count("mark") == 1
    assert "mark" not in [tag["key"] for tag in data[other].get("tags", [])]


def test_the_server_is_alive_after_all_this(raw: Raw) -> None:
    """The same process still answers, and still is ready to write."""
    assert raw.request("GET", "/ready").json == {"database": "ok", "storage": "ok"}
