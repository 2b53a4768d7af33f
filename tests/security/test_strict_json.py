"""JSON that two readers could take differently is refused by every route, in words that say why (IN-01, AZ-05)."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelkeep.core.errors import InvalidInput
from modelkeep.faces.json_body import DEEPEST, MOST_VALUES, check_json, is_deep, outside_texts
from security.raw import Raw
from security.table import ROUTES
from servers import RunningServer

IN_JSON = [route for route in ROUTES if route.takes_json]
# What is wrong with a body, and the words that say so.
REFUSED = {
    "a field twice": (b'{"name":"a","name":"b"}', 'field "name" more than once'),
    "a field twice, spelled in two ways": (b'{"name":"a","\\u006eame":"a"}', 'field "name" more than once'),
    "a field twice, deep inside": (b'{"x":[{"y":{"k":1,"k":2}}]}', 'field "k" more than once'),
    "a field twice, equal": (b'{"k":null,"k":null}', 'field "k" more than once'),
    "deep lists": (b'{"x":' + b"[" * 64 + b"]" * 64 + b"}", "more than 64 levels"),
    "deep objects": (b'{"x":' * 65 + b"1" + b"}" * 65, "more than 64 levels"),
    "deep, and a text that would close it": (b'["]",' * 65 + b"1" + b"]" * 65, "more than 64 levels"),
    "deep without an end": (b"[" * 100_000, "more than 64 levels"),
    "many values": (b"[" + b"1," * MOST_VALUES + b"1]", "values"),
    "many objects": (b"[" + b"{}," * MOST_VALUES + b"{}]", "values"),
    "NUL": (b'{"x":"a\0b"}', "NUL"),
    "NUL escaped": (b'{"x":"a\\u0000b"}', "NUL"),
    "half a surrogate pair": (b'{"x":"\\ud800"}', "surrogate"),
    "the other half": (b'{"x":"a\\udc00b"}', "surrogate"),
    "halves in the wrong order": (b'{"x":"\\udc00\\ud800"}', "surrogate"),
    "half a pair in a name": (b'{"\\ud800":1}', "surrogate"),
    "NaN": (b'{"x":NaN}', "NaN"),
    "Infinity": (b'{"x":Infinity}', "Infinity"),
    "-Infinity": (b'{"x":[-Infinity]}', "-Infinity"),
    "2^63": (b'{"x":9223372036854775808}', "64 bits"),
    "-2^63-1": (b'{"x":-9223372036854775809}', "64 bits"),
    "5,000 digits": (b'{"x":[' + b"9" * 5_000 + b"]}", "64 bits"),
    "invalid UTF-8": (b'{"x":"\xff"}', "UTF-8"),
    "overlong UTF-8": (b'{"x":"\xc0\xae"}', "UTF-8"),
    "a surrogate in UTF-8": (b'{"x":"\xed\xa0\x80"}', "UTF-8"),
    "UTF-8's mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": ('{"x":"y"}'.encode("utf-16"), "byte order mark"),
    "UTF-16 without a mark": ('{"x":"y"}'.encode("utf-16-le"), "NUL"),
    "two values": (b"{}{}", "more after its end"),
    "trailing text": (b'{"x":1} x', "more after its end"),
    "nothing": (b" ", "column"),
}  # fmt: skip
TAKEN = {
    "the limits": b'{"x":[9223372036854775807,-9223372036854775808,1.7976931348623157e308,1e-400]}',
    "a long fraction": b'{"x":[0.12345678901234567890123,1.0000000000000000000000e5]}',
    "digits in a text": b'{"x":"99999999999999999999999999","99999999999999999999":1}',
    "brackets in texts": b'{"x":"' + b"[{" * 100 + b'","y":"\\"[[","z":"\\\\"}',
    "64 levels": b"[" * 64 + b"]" * 64,
    "colons and quotes in texts": b'{"a:b":"c:\\"d\\":","e\\\\":"f\\\\\\"g:"}',
    "a whole surrogate pair": b'{"x":"\\ud83d\\ude00 \\uD83D\\uDE00"}',
    "equal names of different objects": b'[{"k":1},{"k":2},{"x":{"k":3},"k":4}]',
    "what only spells a NUL": b'{"x":"\\\\u0000"}',
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raw]:
    """A connection to a server of its own."""
    with (
        RunningServer(tmp_path_factory.mktemp("strict") / "data") as server,
        Raw(server.port, server.token) as connection,
    ):
        yield connection


@pytest.mark.parametrize("what", REFUSED)
def test_IN_01_every_route_refuses_by_name_what_is_not_strictly_json(raw: Raw, what: str) -> None:
    """Whatever two readers could take differently is a 400 on every route of both faces, and the words name it."""
    body, words = REFUSED[what]
    for route in (one for one in IN_JSON if len(body) <= one.operation.body_limit):
        numbers = {name: "1" for name, kind in route.fields.items() if "int" in str(kind)}
        problem = raw.json(route.method, route.target(numbers), body).refused(400)
        assert words in (problem.get("message") or problem["detail"]), (str(route), problem)


@pytest.mark.parametrize("what", REFUSED)
def test_IN_01_what_is_not_strictly_json_is_found_by_itself(what: str) -> None:
    """The check alone refuses each of these, before any route looks at it."""
    with pytest.raises(InvalidInput):
        check_json(REFUSED[what][0])


@pytest.mark.parametrize("what", TAKEN)
def test_strict_json_is_taken(what: str) -> None:
    """What is at a limit, or only looks like what is refused, is read as what it is."""
    assert check_json(TAKEN[what]) == json.loads(TAKEN[what])


def test_AZ_05_a_hidden_second_field_changes_nothing(raw: Raw) -> None:
    """A request that names two models, or two runs, acts on neither."""
    for name in ("first", "second"):
        raw.json("POST", "/api/2.0/mlflow/registered-models/create", {"name": name})
    twice = b'{"name":"first","name":"second","description":"changed"}'
    raw.json("PATCH", "/api/2.0/mlflow/registered-models/update", twice).refused(400)
    for name in ("first", "second"):
        model = raw.request("GET", f"/api/2.0/mlflow/registered-models/get?name={name}").json["registered_model"]
        assert "changed" not in str(model)


def test_IN_05_a_body_of_small_pieces_takes_little_memory() -> None:
    """The largest body that a route takes, full of empty objects, is refused before they are made."""
    body = b"[" + b"{}," * 2_700_000 + b"{}]"
    tracemalloc.start()
    with pytest.raises(InvalidInput):
        check_json(body)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 48 * 1024 * 1024


def depth(value: Any) -> int:
    """How deep lists and objects are nested, the plain way."""
    if isinstance(value, dict | list):
        return 1 + max((depth(one) for one in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


# Texts full of what means something outside of texts.
texts = st.text(st.sampled_from('[]{}":,\\/ \n09azé😀'), max_size=8)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=40,
)


@example([{"": []}], False, 62)
@given(values, st.booleans(), st.integers(0, 70))
def test_IN_01_any_json_is_read_as_it_is_or_refused_as_deep(value: Any, plain: bool, more: int) -> None:
    """Whatever is JSON is read as what it is, and refused as deep exactly when it is."""
    body = (b"[" * more) + json.dumps(value, ensure_ascii=plain).encode() + (b"]" * more)
    assert is_deep(outside_texts(body)) == (depth(value) + more > DEEPEST)
    if depth(value) + more <= DEEPEST:
        assert check_json(body) == json.loads(body)


@given(st.text(st.sampled_from('{}[]",:1-.eEtrufalsn \\NI')) | st.text())
def test_IN_01_any_text_is_json_or_refused(text: str) -> None:
    """Nothing but a refusal comes out of rubbish, and what is no JSON never passes."""
    try:
        found = check_json(text.encode("utf-8", "surrogatepass"))
    except InvalidInput as error:
        assert error.message
    else:
        assert json.loads(text) == found


@given(st.dictionaries(texts, values, min_size=1, max_size=4), st.data())
def test_AZ_05_a_field_there_twice_is_always_found(fields: dict[str, Any], data: st.DataObject) -> None:
    """In whatever company, and however its name is spelled, a second field of a name is found."""
    name = data.draw(st.sampled_from(sorted(fields)))
    spelled = "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in name)
    again = json.dumps(fields)[:-1] + f', "{spelled}": 1}}'
    with pytest.raises(InvalidInput) as refused:
        check_json(again.encode())
    assert "more than once" in refused.value.message
