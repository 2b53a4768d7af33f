"""Routes are found by segments; encoding never moves a segment's boundary."""

import pytest

from modelkeep.access import Permission
from modelkeep.core.errors import InvalidInput
from modelkeep.faces.guard import name_of
from modelkeep.faces.health import PLAIN
from modelkeep.faces.operations import Mode, NoInput, Operation
from modelkeep.faces.routing import Router, query_fields


def operation(name: str, *routes: tuple[str, str]) -> Operation:
    return Operation(name, PLAIN, routes, NoInput, print, Mode.QUICK, Permission.SERVER_READ)


ROUTER = Router(
    [
        operation("get", ("GET", "/a/runs/get")),
        operation("list", ("GET", "/a/files")),
        operation("file", ("GET", "/a/files/{path:path}")),
        operation("put", ("PUT", "/a/files/{path:path}")),
        operation("tag", ("DELETE", "/a/models/{model_id}/tags/{key}")),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", b"/a/runs/get", ("get", {})),
        ("HEAD", b"/a/runs/get", ("get", {})),
        ("GET", b"//a///runs/get", ("get", {})),
        ("GET", b"/a/files", ("list", {})),
        ("GET", b"/a/files/x/y%20z", ("file", {"path": "x/y z"})),
        ("GET", b"/a/files/..%2f..%2fetc", ("file", {"path": "../../etc"})),
        ("GET", b"/a/files/%252e%252e", ("file", {"path": "%2e%2e"})),
        ("PUT", b"/a/files/x", ("put", {"path": "x"})),
        ("DELETE", b"/a/models/m-1/tags/a%2Fb", ("tag", {"model_id": "m-1", "key": "a/b"})),
    ],
)
def test_paths_are_found(method: str, path: bytes, expected: tuple[str, dict[str, str]]) -> None:
    """A path leads to its operation with its fields decoded once."""
    found = ROUTER.find(method, path)

    assert found is not None
    assert (found[0].name, found[1]) == expected


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", b"/a/runs/get"),
        ("GET", b"/a/runs/get/"),
        ("GET", b"/a/runs"),
        ("GET", b"/a%2fruns/get"),
        ("GET", b"/A/runs/get"),
        ("GET", b"/"),
        ("get", b"/a/runs/get"),
        ("DELETE", b"/a/models/m-1/tags"),
    ],
)
def test_other_paths_are_not_found(method: str, path: bytes) -> None:
    """Another method, a trailing slash, an encoded separator or another case is another path."""
    assert ROUTER.find(method, path) is None


def test_a_path_that_is_not_text_is_refused() -> None:
    """Bytes that are not UTF-8 after decoding are invalid input."""
    with pytest.raises(InvalidInput, match="UTF-8"):
        ROUTER.find("GET", b"/a/files/%ff")


def test_two_operations_cannot_share_a_route() -> None:
    """The table refuses a second operation for the same method and path."""
    with pytest.raises(ValueError, match="two operations"):
        Router([operation("one", ("GET", "/x")), operation("two", ("GET", "/x"))])


def test_query_fields_keep_repeated_values_and_blanks() -> None:
    """Repeated fields give all their values, `+` is a blank, and a field without a value is empty."""
    assert query_fields(b"a=1&a=%2B2&b=x+y&c=&&d") == {"a": ["1", "+2"], "b": ["x y"], "c": [""], "d": [""]}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"localhost", "localhost"),
        (b"LOCALHOST:5000", "localhost"),
        (b"[::1]:5000", "::1"),
        (b"", ""),
        (b"localhost:x", ""),
        (b"evil.example@localhost", ""),
        (b"localhost/evil.example", ""),
        (b"localhost#evil", ""),
        (b"localhost\x00", "localhost\x00"),
        (b"\xff", ""),
    ],
)
def test_host_headers_are_read_strictly(host: bytes, name: str) -> None:
    """Only a plain name with an optional port is a host; anything cleverer is not."""
    assert name_of(host) == name
