"""Identity providers: what each publishes about itself, and its keys, fetched when needed and kept for a while.

Everything comes from the issuer's own discovery document, which must name that issuer. The addresses in it must be on
the issuer's own site, or on one that the operator vouches for.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from modelkeep.access.signin.outbound import Outbound, Place, json_object, place_of
from modelkeep.access.signin.signed_tokens import KeyRing, UnknownKey, read_keys
from modelkeep.config import Settings
from modelkeep.core.errors import Unavailable

T = TypeVar("T")

_KEPT_S = 15 * 60.0
# After a failure, and between looks for a key that was not there: whoever sends us bad tokens cannot make us call out.
ASKED_AGAIN_S = 10.0
_MOST_ISSUERS = 1000
_CALLS_AT_ONCE = 8
_WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Provider:
    """What an issuer's discovery document says, as far as it was found to be sound."""

    issuer: str
    keys: Place
    authorization: str
    token: Place | None
    token_methods: tuple[str, ...]
    names_itself: bool


@dataclass(slots=True)
class _Known:
    """What is kept of an issuer. The lock lets one thread at a time call it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    provider: Provider | None = None
    ring: KeyRing | None = None
    provider_until: float = 0.0
    ring_until: float = 0.0
    asked_at: float = float("-inf")
    problem: Unavailable | None = None


class Providers:
    """Issuers by their address. For any thread; may take seconds, so the event loop asks them by `at_length`."""

    def __init__(self, outbound: Outbound | None = None, asked_again_s: float = ASKED_AGAIN_S) -> None:
        self._outbound = outbound or Outbound()
        self._asked_again_s = asked_again_s
        self._known: dict[str, _Known] = {}
        self._threads = ThreadPoolExecutor(_CALLS_AT_ONCE, "sign-in")
        self._free_threads = threading.Semaphore(_CALLS_AT_ONCE)

    @property
    def outbound(self) -> Outbound:
        """What calls them."""
        return self._outbound

    async def at_length(self, work: Callable[[], T]) -> T:
        """Run what calls issuers on threads kept for that. Raises Unavailable while all of them are busy."""
        if not self._free_threads.acquire(blocking=False):
            raise Unavailable("The server waits for identity providers already; try again in a while.")
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._free_threads.release())
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait for nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def provider(self, issuer: str) -> Provider:
        """What the issuer says of itself. Raises Unavailable."""
        known = self._of(issuer)
        with known.lock:
            return self._provider(issuer, known)

    def verify(self, issuer: str, check: Callable[[KeyRing], dict[str, Any]]) -> dict[str, Any]:
        """What `check` makes of the issuer's keys, of new ones if it knows no key. Raises Unavailable, BadToken."""
        known = self._of(issuer)
        with known.lock:
            ring = self._ring(issuer, known)
        try:
            return check(ring)
        except UnknownKey:
            with known.lock:
                if time.monotonic() - known.asked_at < self._asked_again_s:
                    raise
                known.ring_until = 0.0
                ring = self._ring(issuer, known)
        return check(ring)

    def _of(self, issuer: str) -> _Known:
        if len(self._known) >= _MOST_ISSUERS:
            self._known.clear()
        return self._known.setdefault(issuer, _Known())

    def _provider(self, issuer: str, known: _Known) -> Provider:
        if known.provider is None or known.provider_until <= time.monotonic():
            known.provider = self._asked(known, lambda: self._discovered(issuer))
            known.provider_until = time.monotonic() + _KEPT_S
        return known.provider

    def _ring(self, issuer: str, known: _Known) -> KeyRing:
        if known.ring is None or known.ring_until <= time.monotonic():
            keys = self._provider(issuer, known).keys
            known.ring = self._asked(known, lambda: read_keys(json_object(self._outbound.get(keys))))
            known.ring_until = time.monotonic() + _KEPT_S
        return known.ring

    def _asked(self, known: _Known, ask: Callable[[], T]) -> T:
        """The answer to a call, or what was wrong with the last one if that was just now."""
        if known.problem is not None and time.monotonic() - known.asked_at < self._asked_again_s:
            raise Unavailable(known.problem.message)
        known.problem = None
        try:
            return ask()
        except Unavailable as error:
            known.problem = error
            raise
        finally:
            known.asked_at = time.monotonic()

    def _discovered(self, issuer: str) -> Provider:
        place = place_of(issuer.rstrip("/") + _WELL_KNOWN)
        if place is None:
            raise Unavailable("The issuer's address is not https.")
        document = json_object(self._outbound.get(place))
        if document.get("issuer") != issuer:
            raise Unavailable("The issuer's document names another issuer.")
        keys = self._endpoint(place, document, "jwks_uri")
        if keys is None:
            raise Unavailable("The issuer's document names no keys (jwks_uri).")
        self._endpoint(place, document, "authorization_endpoint")
        return Provider(
            issuer,
            keys,
            str(document.get("authorization_endpoint", "")),
            self._endpoint(place, document, "token_endpoint"),
            _texts(document, "token_endpoint_auth_methods_supported"),
            document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _endpoint(self, issuer: Place, document: Mapping[str, object], name: str) -> Place | None:
        """One of the addresses in the document; None where it is not given. Raises Unavailable."""
        given = document.get(name)
        if given is None:
            return None
        place = place_of(given) if isinstance(given, str) else None
        if place is None:
            raise Unavailable(f"The issuer's {name} is not https.")
        if place.origin != issuer.origin and place.authority not in self._outbound.vouched_for:
            raise Unavailable(
                f"The issuer's {name} is on another site, {place.authority}: "
                "MODELKEEP_ISSUER_HOSTS has to name it if that is right."
            )
        return place


def make_providers(settings: Settings) -> Providers:
    """Providers as the settings allow them: who set the issuer that people sign in at vouches for its site."""
    own = place_of(settings.oidc.issuer) if settings.oidc else None
    return Providers(Outbound(frozenset({*settings.issuer_hosts, *([own.authority] if own else [])})))


def _texts(document: Mapping[str, object], name: str) -> tuple[str, ...]:
    given = document.get(name)
    return tuple(one for one in given if isinstance(one, str)) if isinstance(given, list) else ()
