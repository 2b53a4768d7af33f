"""Signed links: an address that stands for its maker's sign-in, for one method and path and for a while.

What a link says is written in the address, followed by its HMAC-SHA256 under a key that only the registry's servers
know. They go to clients that send no token where a link leads, such as MLflow's to the place for a part.
"""

import base64
import binascii
import hashlib
import hmac

import msgspec

from modelkeep.core.errors import Unauthenticated
from modelkeep.core.types import Actor, Caller

KEY_BYTES = 32
_LONGEST = 8 * 1024


class LinkClaims(msgspec.Struct, forbid_unknown_fields=True):
    """What a link is for, who made it, and until when it holds, in milliseconds since the epoch."""

    method: str
    path: str
    actor: str
    signed_in: str
    token: str
    workspace: str
    expires: int
    user: str = ""

    def caller(self, request_id: str) -> Caller:
        """Who calls by this link."""
        return Caller(Actor(self.actor, self.signed_in, self.token, self.user), self.workspace, request_id)


def write_link(key: bytes, claims: LinkClaims) -> str:
    """The claims and their signature, as the value of a query field."""
    text = base64.urlsafe_b64encode(msgspec.json.encode(claims)).decode().rstrip("=")
    return f"{text}.{_signature(key, text)}"


def read_link(key: bytes, link: str, method: str, path: str, now: int) -> LinkClaims:
    """The claims of a link to this place. Raises Unauthenticated where it is forged, for another place, or too old."""
    text, _, signature = link[:_LONGEST].partition(".")
    if not hmac.compare_digest(_signature(key, text).encode(), signature.encode("utf-8", "replace")):
        raise _refusal()
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=LinkClaims)
    except (msgspec.DecodeError, binascii.Error, UnicodeDecodeError) as error:
        raise _refusal() from error
    if (claims.method, claims.path) != (method, path):
        raise _refusal()
    if claims.expires <= now:
        raise Unauthenticated("This link has expired; ask for a new one.")
    return claims


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _refusal() -> Unauthenticated:
    return Unauthenticated("This is not a link that the registry made for this place.")
