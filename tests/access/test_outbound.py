"""Calls to identity providers, with real servers at the other end: bounded, direct, and to nobody private (SR)."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from issuer import Issuer
from modelkeep.access.signin.outbound import (
    MOST_BYTES,
    Outbound,
    Place,
    RefusedThere,
    is_never_called,
    is_public,
    json_object,
    place_of,
)
from modelkeep.core.errors import Unavailable


@pytest.fixture
def other() -> Iterator[Issuer]:
    """A server on loopback."""
    with Issuer() as running:
        yield running


def vouching(issuer: Issuer) -> Outbound:
    """What may call this server."""
    return Outbound(frozenset({issuer.url.removeprefix("http://")}))


def place(url: str) -> Place:
    """An address that can be called."""
    found = place_of(url)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example", "ftp://idp.example", "file:///etc/passwd", "unix:///run/x", "data:,x", "gopher://idp.example",
        "", "idp.example", "//idp.example", "https://", "https://user@idp.example", "https://ok@127.0.0.1",
        "https://idp.example#@ok", "https://idp.example:99999", "https://idp.example:x", "https://[::1", "https://a b",
        "https://idp.example\\@evil.example", "https://idp.example\r\nHost: x", "https://idp.example/\n", "https://localhost.",
        "https://ïdp.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://10.0.0.1",
    ],
)  # fmt: skip
def test_SR_07_only_plain_https_is_an_address(url: str) -> None:
    """Other schemes, user information, fragments and odd characters make no address, nor does http to elsewhere."""
    assert place_of(url) is None


def test_an_address_keeps_its_parts() -> None:
    """Host, port and target are taken as they stand."""
    assert place("https://IdP.example/a/b?c=d") == Place("https", "idp.example", 443, "/a/b?c=d")
    assert place("https://idp.example:8443").authority == "idp.example:8443"
    assert place("http://localhost:80").authority == "localhost"


PRIVATE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "192.0.2.1", "198.18.0.1", "240.0.0.1", "255.255.255.255", "224.0.0.1", "::1", "::", "fd00::1", "fe80::1",
    "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "2002:7f00:1::", "2002:a9fe:a9fe::", "2001:db8::1", "", "x",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE, ids=range(len(PRIVATE)))
def test_SR_07_private_addresses_are_not_public(address: str) -> None:
    """No address of this machine or network, in whatever form, counts as one of the Internet."""
    assert not is_public(address)


def test_public_addresses_are_public() -> None:
    """Addresses of the Internet are told apart from those."""
    assert all(map(is_public, ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"]))


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1", "0.0.0.0", "::", "224.0.0.1"],
)
def test_SR_07_link_local_is_never_called(address: str) -> None:
    """Where clouds keep their machines' credentials, nothing is called, whoever vouches for the name."""
    assert is_never_called(address)


def test_SR_07_a_private_peer_gets_not_a_byte(other: Issuer) -> None:
    """A name that nobody vouches for and that leads to this machine is connected to, and nothing is sent."""
    with pytest.raises(Unavailable, match="private address"):
        Outbound().get(place(f"{other.url}/keys"))
    with pytest.raises(Unavailable, match="private address"):
        Outbound(frozenset({"127.0.0.1"})).get(place(f"{other.url}/keys"))
    assert other.calls == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_SR_07_no_redirect_is_followed(other: Issuer, status: int) -> None:
    """An answer that leads elsewhere is an answer that cannot be used."""
    other.answers["/moved"] = (status, {"location": f"{other.url}/keys"}, b"{}")
    with pytest.raises(Unavailable, match=f"status {status}"):
        vouching(other).get(place(f"{other.url}/moved"))
    assert [path for path, _ in other.calls] == ["/moved"]


def test_SR_07_answers_are_small(other: Issuer) -> None:
    """What is larger than 1 MiB is not read to its end."""
    other.answers["/large"] = (200, {}, b" " * (MOST_BYTES + 1))
    other.answers["/just"] = (200, {}, b" " * MOST_BYTES)
    assert len(vouching(other).get(place(f"{other.url}/just"))) == MOST_BYTES
    with pytest.raises(Unavailable, match="more than"):
        vouching(other).get(place(f"{other.url}/large"))


@pytest.mark.parametrize("slow", ["head", "body", "silent"])
def test_SR_07_answers_come_in_time(other: Issuer, slow: str) -> None:
    """Whoever answers a byte now and then, in the head or in the body, or not at all, is hung up on when time is up."""
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        if slow == "body":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while not over.wait(0.1):
                if slow != "silent":
                    handler.wfile.write(b"X")
        except OSError:
            return

    other.answers["/slow"] = drip
    with pytest.raises(Unavailable):
        Outbound(vouching(other).vouched_for, longest_s=0.5).get(place(f"{other.url}/slow"))
    over.set()


def test_who_is_not_there_gives_no_answer() -> None:
    """A refused connection and an unknown name are answers that cannot be used, without a word of what is behind."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "https://no-such-name.invalid/"):
        with pytest.raises(Unavailable, match="no answer that can be used") as refusal:
            Outbound(frozenset({f"127.0.0.1:{port}"})).get(place(url))
        assert "Errno" not in refusal.value.message


def test_a_form_that_is_refused_is_told_apart(other: Issuer) -> None:
    """A provider that blames the form is told apart from one that does not work."""
    other.answers["/refuses"] = (400, {}, b'{"error":"invalid_grant"}')
    other.answers["/broken"] = (500, {}, b"")
    with pytest.raises(RefusedThere):
        vouching(other).post(place(f"{other.url}/refuses"), {"a": "b c"}, {})
    with pytest.raises(Unavailable):
        vouching(other).post(place(f"{other.url}/broken"), {}, {})
    assert other.calls[0] == ("/refuses", {"a": ["b c"]})


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 5000], ids=range(6))
def test_what_is_no_object_is_refused(text: bytes) -> None:
    """An answer that is no JSON object is an answer that cannot be used."""
    with pytest.raises(Unavailable):
        json_object(text)
