"""Identity providers' documents and keys, from real servers: believed only where they are sound (SR-07)."""

from collections.abc import Iterator
from typing import Any

import pytest

from issuer import KEYS, OTHER_KEYS, Issuer, key_set, sign
from modelkeep.access import Providers, make_providers
from modelkeep.access.signin.outbound import Outbound
from modelkeep.access.signin.signed_tokens import BadToken, KeyRing, UnknownKey, verified_claims
from modelkeep.config import OidcSettings, Settings
from modelkeep.core.errors import Unavailable


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer on loopback."""
    with Issuer() as running:
        yield running


def vouching(*urls: str) -> Providers:
    """Providers that may be at these addresses."""
    return Providers(Outbound(frozenset(url.removeprefix("http://") for url in urls)))


def asked(issuer: Issuer) -> list[str]:
    """What the issuer was asked for."""
    return [path for path, _ in issuer.calls]


WELL_KNOWN = "/.well-known/openid-configuration"
BAD_DOCUMENTS: dict[str, dict[str, Any]] = {
    "another issuer": {"issuer": "https://idp.example"},
    "issuer with a slash": {"issuer": "{url}/"},
    "no issuer": {"issuer": None},
    "no keys": {"jwks_uri": None},
    "keys on another site": {"jwks_uri": "https://keys.example/keys"},
    "keys on another port": {"jwks_uri": "http://127.0.0.1:1/keys"},
    "keys under another name": {"jwks_uri": "http://localhost:{port}/keys"},
    "keys of the metadata service": {"jwks_uri": "http://169.254.169.254/latest/meta-data"},
    "keys in a file": {"jwks_uri": "file:///etc/passwd"},
    "keys a number": {"jwks_uri": 1},
    "token endpoint on another site": {"token_endpoint": "https://evil.example/token"},
    "authorization endpoint a script": {"authorization_endpoint": "javascript:alert(1)"},
    "authorization endpoint over http": {"authorization_endpoint": "http://idp.example/authorize"},
}


@pytest.mark.parametrize("name", BAD_DOCUMENTS)
def test_SR_07_bad_documents_are_refused(issuer: Issuer, name: str) -> None:
    """A document that names another issuer, or an address on another site, is not used, and no such address called."""
    port = issuer.url.rpartition(":")[2]
    changed = {
        key: value.format(url=issuer.url, port=port) if isinstance(value, str) else value
        for key, value in BAD_DOCUMENTS[name].items()
    }
    issuer.publish(**changed)
    with pytest.raises(Unavailable):
        vouching(issuer.url).provider(issuer.url)
    assert asked(issuer) == [WELL_KNOWN]


def test_SR_07_a_document_elsewhere_is_not_followed(issuer: Issuer) -> None:
    """A document behind a redirect is not there."""
    issuer.answers["/other"] = issuer.answers[WELL_KNOWN]
    issuer.answers[WELL_KNOWN] = (302, {"location": f"{issuer.url}/other"}, b"")
    with pytest.raises(Unavailable):
        vouching(issuer.url).provider(issuer.url)
    assert asked(issuer) == [WELL_KNOWN]


def test_SR_07_an_issuer_that_nobody_vouches_for_gets_no_byte(issuer: Issuer) -> None:
    """An issuer at a private address is called only if the operator named it, or set it as the one for people."""
    with pytest.raises(Unavailable, match="private address"):
        Providers().provider(issuer.url)
    with pytest.raises(Unavailable, match="private address"):
        make_providers(Settings(issuer_hosts=("127.0.0.1",))).provider(issuer.url)
    assert issuer.calls == []
    for settings in (
        Settings(issuer_hosts=(issuer.url.removeprefix("http://"),)),
        Settings(oidc=OidcSettings(issuer.url, "modelkeep")),
    ):
        assert make_providers(settings).provider(issuer.url).issuer == issuer.url


def test_an_issuers_keys_may_be_on_a_site_that_the_operator_names(issuer: Issuer) -> None:
    """Keys on another site are fetched from there where the settings name it."""
    with Issuer() as other:
        issuer.publish(jwks_uri=f"{other.url}/keys")
        providers = vouching(issuer.url, other.url)
        claims = providers.verify(issuer.url, lambda ring: verified_claims(issuer.token(), ring))
        assert claims["iss"] == issuer.url
        assert (asked(issuer), asked(other)) == ([WELL_KNOWN], ["/keys"])


def test_documents_and_keys_are_kept(issuer: Issuer) -> None:
    """However many tokens come, the issuer is asked once for its document and once for its keys."""
    providers = vouching(issuer.url)
    for _ in range(10):
        providers.verify(issuer.url, lambda ring: verified_claims(issuer.token(), ring))
    assert asked(issuer) == [WELL_KNOWN, "/keys"]


def test_unknown_keys_do_not_make_us_call_out_at_will(issuer: Issuer) -> None:
    """Tokens with key ids that nobody knows are refused without asking the issuer each time."""
    providers = vouching(issuer.url)
    unknown = sign(issuer.claims(), OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "of-another"})
    for _ in range(10):
        with pytest.raises(UnknownKey):
            providers.verify(issuer.url, lambda ring: verified_claims(unknown, ring))
    assert asked(issuer) == [WELL_KNOWN, "/keys"]


def test_new_keys_are_fetched(issuer: Issuer) -> None:
    """A key id that is new makes the issuer be asked again, once it was not asked just now; a key gone is gone."""
    providers = vouching(issuer.url)
    new = sign(issuer.claims(), OTHER_KEYS["rsa"], {"alg": "RS256", "kid": "new"})

    def claims(ring: KeyRing) -> dict[str, Any]:
        return verified_claims(new, ring)

    with pytest.raises(UnknownKey):
        providers.verify(issuer.url, claims)
    issuer.give(key_set({"new": OTHER_KEYS["rsa"]}), "/keys")
    later = Providers(Outbound(frozenset({issuer.url.removeprefix("http://")})), asked_again_s=0.0)
    issuer.give(key_set(KEYS), "/keys")
    with pytest.raises(UnknownKey):
        later.verify(issuer.url, claims)
    issuer.give(key_set({"new": OTHER_KEYS["rsa"]}), "/keys")
    assert later.verify(issuer.url, claims)["iss"] == issuer.url
    with pytest.raises(BadToken):
        later.verify(issuer.url, lambda ring: verified_claims(issuer.token(), ring))


def test_a_failure_is_remembered_for_a_while(issuer: Issuer) -> None:
    """An issuer that does not answer is not called again at once, however many tokens name it."""
    issuer.answers[WELL_KNOWN] = (500, {}, b"")
    providers = vouching(issuer.url)
    for _ in range(5):
        with pytest.raises(Unavailable, match="status 500"):
            providers.provider(issuer.url)
    assert asked(issuer) == [WELL_KNOWN]
