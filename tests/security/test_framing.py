"""Where one request ends and the next begins, no two servers may see differently (IN-05, IN-11: request smuggling)."""

import socket
from collections.abc import Iterator
from itertools import repeat

import pytest

from security.raw import Raw, raw_pieces
from servers import RunningServer

MODELS = "/api/v1/models"
JSON = (b"Content-Type", b"application/json")
BODY = b'{"name":"smuggled"}'
CHUNKED = b"13\r\n" + BODY + b"\r\n0\r\n\r\n"
# Headers and body of a POST that some server, somewhere, takes for a request of another length than others do.
AMBIGUOUS = {
    "length and chunks": (b"Content-Length: 19\r\nTransfer-Encoding: chunked", CHUNKED),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 19", CHUNKED),
    "two lengths": (b"Content-Length: 19\r\nContent-Length: 0", BODY),
    "two equal lengths": (b"Content-Length: 19\r\nContent-Length: 19", BODY),
    "a list of lengths": (b"Content-Length: 19, 19", BODY),
    "a signed length": (b"Content-Length: +19", BODY),
    "a hexadecimal length": (b"Content-Length: 0x13", BODY),
    "a length beyond all numbers": (b"Content-Length: 99999999999999999999999", BODY),
    "a length before the colon": (b"Content-Length : 19", BODY),
    "no transfer coding": (b"Transfer-Encoding: identity", CHUNKED),
    "an unknown coding": (b"Transfer-Encoding: xchunked", CHUNKED),
    "chunked first": (b"Transfer-Encoding: chunked, identity", CHUNKED),
    "compressed chunks": (b"Transfer-Encoding: gzip, chunked", CHUNKED),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked", CHUNKED),
    "two codings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", CHUNKED),
    "a quoted coding": (b'Transfer-Encoding: "chunked"', CHUNKED),
    "a coding before the colon": (b"Transfer-Encoding : chunked", CHUNKED),
    "a coding on the next line": (b"Transfer-Encoding:\r\n chunked", CHUNKED),
    "a folded header": (b"X: a\r\n Content-Length: 19\r\nContent-Length: 19", BODY),
    "a bare line feed": (b"X: a\nContent-Length: 19", BODY),
    "a bare return": (b"X: a\rContent-Length: 19\r\nContent-Length: 19", BODY),
    "a NUL": (b"X: a\0b\r\nContent-Length: 19", BODY),
    "a header without a name": (b": a\r\nContent-Length: 19", BODY),
    "a header of the server's own": (b":scheme: https\r\nContent-Length: 19", BODY),
    "a size of a chunk beyond all numbers": (b"Transfer-Encoding: chunked", b"ffffffffffffffff13\r\n" + CHUNKED[4:]),
    "a negative size": (b"Transfer-Encoding: chunked", b"-13\r\n" + CHUNKED[4:]),
    "a size with a prefix": (b"Transfer-Encoding: chunked", b"0x13\r\n" + CHUNKED[4:]),
    "a size and a blank": (b"Transfer-Encoding: chunked", b"1 3\r\n" + CHUNKED[4:]),
    "chunks by line feeds": (b"Transfer-Encoding: chunked", CHUNKED.replace(b"\r\n", b"\n")),
    "a chunk longer than it says": (b"Transfer-Encoding: chunked", CHUNKED.replace(b"}\r\n", b"}XX")),
}  # fmt: skip
VERSIONS = [b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3", b"http/1.1", b"HTTP/1.1.1", b"HTTP/11"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its defaults."""
    with RunningServer(tmp_path_factory.mktemp("framing") / "data") as running:
        yield running


@pytest.fixture
def raw(server: RunningServer) -> Iterator[Raw]:
    """A connection to it."""
    with Raw(server.port, server.token) as connection:
        yield connection


def names(raw: Raw) -> list[str]:
    """The registered models there are."""
    return [model["name"] for model in raw.request("GET", MODELS).json["items"]]


def spoken(raw: Raw, sent: bytes) -> bytes:
    """All that the server says to these bytes until it hangs up."""
    said = b""
    with socket.create_connection(("127.0.0.1", raw.port), timeout=30) as connection:
        connection.sendall(sent)
        try:
            while piece := connection.recv(65536):
                said += piece
        except ConnectionError:
            pass
    return said


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_IN_05_a_request_of_two_lengths_is_none(raw: Raw, what: str) -> None:
    """Whatever leaves its end to be guessed is refused once, the connection ends, and nothing was done."""
    headers, body = AMBIGUOUS[what]
    head = raw.written("POST", MODELS, b"", [JSON])[:-2] + headers + b"\r\n\r\n"
    said = spoken(raw, head + body + raw.written("GET", "/health"))
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert said.count(b"HTTP/1.1 ") == 1, said
    assert b"\r\nconnection: close\r\n" in said
    assert "smuggled" not in names(raw)


def test_IN_05_chunks_are_not_for_http_1_0(raw: Raw) -> None:
    """A body in chunks in a version that has none is refused."""
    head = raw.written("POST", MODELS, b"", [JSON, (b"Transfer-Encoding", b"chunked")])
    assert spoken(raw, head.replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNKED).startswith(b"HTTP/1.1 400 ")
    assert "smuggled" not in names(raw)


def test_chunks_are_taken_as_the_standard_has_them(raw: Raw) -> None:
    """Extensions, leading zeros and any case are part of chunks, and are no part of the body."""
    head = raw.written("POST", MODELS, b"", [JSON, (b"Transfer-Encoding", b"Chunked")])
    reply = raw.exchange(head + b'0005;a=b\r\n{"nam\r\n0F;x="y"\r\ne":"in chunks"}\r\n000\r\n\r\n')
    assert reply.status == 201, reply
    assert "in chunks" in names(raw)


def test_IN_05_what_follows_a_body_is_no_header(raw: Raw) -> None:
    """Fields behind the last chunk neither sign in, nor name a host, a site or a workspace."""
    stranger = Raw(raw.port)
    head = stranger.written("POST", MODELS, b"", [JSON, (b"Transfer-Encoding", b"chunked")])
    end = b"13\r\n" + BODY + b"\r\n0\r\n%b\r\n\r\n"
    stranger.exchange(head + end % (b"Authorization: Bearer " + (raw.token or "").encode())).refused(401)
    assert "smuggled" not in names(raw)
    ours = raw.written("POST", "/api/v1/models/none/restore", b"", [JSON, (b"Transfer-Encoding", b"chunked")])
    for field in (b"Host: evil.example", b"Origin: http://evil.example", b"X-MLFLOW-WORKSPACE: none"):
        raw.exchange(ours + b"2\r\n{}\r\n0\r\n" + field + b"\r\n\r\n").refused(404)
        raw.close()


@pytest.mark.parametrize("piece", [b"X: a\r\n", b"a"], ids=["fields behind a body", "an extension of a chunk"])
def test_IN_05_frames_without_end_are_cut_off(raw: Raw, piece: bytes) -> None:
    """Neither the fields behind a body nor what stands beside a chunk's size may go on for ever."""
    head = raw.written("POST", MODELS, b"", [JSON, (b"Transfer-Encoding", b"chunked")])
    head += b"13\r\n" + BODY + b"\r\n0\r\n" if piece != b"a" else b"13;"
    with raw_pieces(raw, head, repeat(piece * 10_000, 100_000)) as reply:
        assert reply.status in {400, 431}, reply
    assert "smuggled" not in names(raw)


@pytest.mark.parametrize("version", VERSIONS)
def test_IN_11_another_version_is_refused(raw: Raw, version: bytes) -> None:
    """Only HTTP/1.1 and 1.0 are spoken."""
    said = spoken(raw, raw.written("GET", "/health").replace(b"HTTP/1.1", version))
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert said.count(b"HTTP/1.1 ") == 1


def test_http_1_0_gets_one_answer(raw: Raw) -> None:
    """An old client is answered, and the connection ends, whatever it asks for."""
    old = raw.written("GET", "/health").replace(b"HTTP/1.1", b"HTTP/1.0")
    for sent in (old, old[:-2] + b"Connection: keep-alive\r\n\r\n"):
        said = spoken(raw, sent)
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.endswith(b"\r\n\r\nOK")


def test_IN_11_a_body_is_asked_for_only_if_it_is_wanted(raw: Raw) -> None:
    """With `Expect: 100-continue`, who may not send, or sends too much, is told so instead of asked for the body."""
    expect = (b"Expect", b"100-continue")
    path = "/api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/file"
    for method, target, headers, status in [
        ("POST", MODELS, [JSON, (b"Content-Length", b"99999999999"), expect], 413),
        ("POST", MODELS, [JSON, (b"Content-Length", b"19"), expect, (b"Authorization", b"Bearer no")], 401),
        ("POST", MODELS, [JSON, (b"Content-Length", b"19"), expect, (b"Host", b"evil.example")], 403),
        ("POST", "/nowhere", [JSON, (b"Content-Length", b"19"), expect], 404),
        ("PUT", path, [(b"Content-Length", b"10"), expect, (b"Authorization", b"")], 401),
    ]:
        raw.close()
        assert raw.exchange(raw.written(method, target, b"", headers)).status == status, (target, headers)
    raw.close()
    begun = raw.exchange(raw.written("POST", MODELS, b"", [JSON, (b"Content-Length", b"16"), expect]))
    assert begun.status == 100
    created = raw.exchange(b'{"name":"asked"}')
    assert created.status == 201
