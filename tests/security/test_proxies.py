"""Proxies: what a trusted one says of the client's address and scheme holds, and what anybody else says does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkeep.config import Settings
from modelkeep.core.errors import BadSetting
from modelkeep.faces.headers import common_headers
from modelkeep.faces.proxies import Proxies
from security.raw import Raw
from servers import RunningServer

FOR = b"x-forwarded-for"
PROXIES = Proxies(["10.0.0.0/24", "2001:db8::/32", "127.0.0.1"])
PERSON = {"name": "ann", "password": "a long enough passphrase"}
# peer, values of X-Forwarded-For, whose request it is.
WALKS = [
    ("203.0.113.9", [b"198.51.100.7"], "203.0.113.9"),
    ("10.0.0.1", [], "10.0.0.1"),
    ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
    ("10.0.0.1", [b"192.0.2.66, 198.51.100.7"], "198.51.100.7"),
    ("10.0.0.1", [b"192.0.2.66, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
    ("10.0.0.1", [b"192.0.2.66", b"198.51.100.7", b"10.0.0.2,10.0.0.3"], "198.51.100.7"),
    ("10.0.0.1", [b"10.0.0.9, 10.0.0.2"], "10.0.0.9"),
    ("10.0.0.1", [b"192.0.2.66, rubbish, 10.0.0.2"], "10.0.0.2"),
    ("10.0.0.1", [b"192.0.2.66, "], "10.0.0.1"),
    ("10.0.0.1", [b"unknown"], "10.0.0.1"),
    ("10.0.0.1", [b"198.51.100.7:4711"], "198.51.100.7"),
    ("10.0.0.1", [b"[2001:db8:1::5]:80, [2001:db7::5]:80"], "2001:db7::5"),
    ("10.0.0.1", [b"2001:db7::5"], "2001:db7::5"),
    ("::ffff:10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
    ("10.0.0.1", [b"::ffff:198.51.100.7"], "198.51.100.7"),
    ("2001:db8::1", [b"198.51.100.7"], "198.51.100.7"),
    ("", [b"198.51.100.7"], ""),
]  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server behind a proxy on this machine, with a public address of https."""
    arguments = ["--trusted-proxies", "127.0.0.1", "--public-url", "https://models.example"]
    with RunningServer(tmp_path / "data", arguments=arguments) as running:
        yield running


@pytest.mark.parametrize("number", range(len(WALKS)))
def test_AU_08_addresses_are_walked_from_the_right(number: int) -> None:
    """The nearest address that is no trusted proxy's is the client's; what stands before it counts for nothing."""
    peer, values, client = WALKS[number]
    assert PROXIES.origin(peer, [(FOR, value) for value in values])[0] == client


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=30), max_size=5), st.ip_addresses(v=4))
def test_AU_08_what_a_client_writes_itself_never_counts(written: list[str], real: object) -> None:
    """Whatever was in the header before the proxy added whom it saw, the client is whom the proxy saw."""
    if PROXIES.is_trusted(str(real)):
        return
    values = [text.encode("latin-1") for text in written]
    assert PROXIES.origin("10.0.0.1", [*((FOR, value) for value in values), (FOR, str(real).encode())])[0] == str(real)


def test_AU_08_a_scheme_is_believed_of_trusted_proxies_only() -> None:
    """`https` counts if the nearest proxy says it, and that one is trusted."""
    scheme = b"x-forwarded-proto"
    assert PROXIES.origin("10.0.0.1", [(scheme, b"https")])[1]
    assert PROXIES.origin("10.0.0.1", [(scheme, b"http, HTTPS")])[1]
    assert not PROXIES.origin("10.0.0.1", [(scheme, b"https, http")])[1]
    assert not PROXIES.origin("203.0.113.9", [(scheme, b"https")])[1]
    assert not Proxies([]).origin("127.0.0.1", [(scheme, b"https")])[1]


def test_OP_05_a_proxy_that_is_no_address_does_not_start() -> None:
    """A name, a typing error or an empty network in the setting is refused, with an example."""
    for place in ("proxy.example", "10.0.0.0/33", "10.0.0", "*", "10.0.0.1-10.0.0.9"):
        with pytest.raises(BadSetting, match=r"10\.0\.0\.0/24"):
            Settings(trusted_proxies=(place,))


def sign_in_addresses(server: RunningServer) -> list[str]:
    """The addresses that sessions were begun from, by the journal, oldest first."""
    with Raw(server.port, server.token) as raw:
        items = raw.request("GET", "/api/v1/journal?limit=100").json["items"]
    return [item["address"] for item in reversed(items) if item["kind"] == "session.started"]


def test_AU_08_behind_a_proxy_the_clients_address_is_recorded(server: RunningServer) -> None:
    """Through a trusted proxy, what is written down is the client's address, whatever the client claimed before."""
    with Raw(server.port, server.token) as raw:
        assert raw.json("POST", "/api/v1/users", PERSON).status == 201
    with Raw(server.port) as raw:
        forwarded = (b"X-Forwarded-For", b"192.0.2.66, 198.51.100.7")
        signed = raw.json("POST", "/api/v1/sign-in", PERSON, [forwarded, (b"X-Forwarded-User", b"admin")])
        assert signed.status == 204, signed
    assert sign_in_addresses(server) == ["198.51.100.7"]


def test_AU_02_behind_a_proxy_one_guesser_slows_down_nobody_else(server: RunningServer) -> None:
    """Failures count for the client's address, not for the proxy's."""
    with Raw(server.port, server.token) as raw:
        assert raw.json("POST", "/api/v1/users", PERSON).status == 201
    with Raw(server.port) as raw:
        wrong = PERSON | {"password": "another long passphrase"}
        guesses = [
            raw.json("POST", "/api/v1/sign-in", wrong, [(b"X-Forwarded-For", b"192.0.2.66")]).status for _ in range(8)
        ]
        assert 429 in guesses
        assert raw.json("POST", "/api/v1/sign-in", PERSON, [(b"X-Forwarded-For", b"198.51.100.7")]).status == 204


def test_WB_04_a_trusted_proxy_names_no_host_and_no_user(server: RunningServer) -> None:
    """Not even a trusted proxy lets another host in or signs anybody in."""
    with Raw(server.port) as raw:
        spoofed = [(b"Host", b"evil.example"), (b"X-Forwarded-Host", b"models.example")]
        raw.request("GET", "/health", headers=spoofed).refused(403)
        users = [(name, b"admin") for name in (b"X-Forwarded-User", b"X-Remote-User", b"Remote-User")]
        raw.request("GET", "/api/v1/me", headers=users).refused(401)


def test_WB_05_https_is_kept_to_where_the_public_address_has_it(server: RunningServer) -> None:
    """Every kind of answer says so, refusals and what is no HTTP too; a server without https never does."""
    with Raw(server.port, server.token) as raw:
        replies = [raw.request("GET", target) for target in ("/health", "/api/v1/models", "/nowhere")]
        replies.append(raw.request("GET", "/health", headers=[(b"Host", b"evil.example")]))
        replies.append(raw.exchange(b"hello\r\n\r\n"))
    assert [reply.headers.get("strict-transport-security") for reply in replies] == ["max-age=31536000"] * 5
    assert b"strict-transport-security" not in dict(common_headers(Settings(public_url="http://models.example")))


def test_IN_10_a_forged_address_gives_no_new_bucket(tmp_path: Path) -> None:
    """Who is no trusted proxy cannot become somebody else by a header; behind a trusted one, clients are told apart."""
    limit = ["--rate-limit", "1", "--rate-burst", "3"]
    for trusted, expected in ((["--trusted-proxies", "127.0.0.1"], {200}), ([], {200, 429})):
        with RunningServer(tmp_path / f"data{len(trusted)}", arguments=[*limit, *trusted]) as server:
            raws = [Raw(server.port) for _ in range(12)]
            for number, raw in enumerate(raws):
                forwarded = (b"X-Forwarded-For", b"198.51.100.%d" % number)
                raw._send(raw.written("GET", "/health", b"", [forwarded]))
            assert {raw._receive(has_body=True).status for raw in raws} == expected
            for raw in raws:
                raw.close()
