"""Keys and signatures of signed tokens, by the library that knows them. Only who meets such a token imports it."""

from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

_LEAST_RSA_BITS = 2048


class _Registry(JWSRegistry):
    """The algorithms of our list, by the names that issuers use for them."""

    max_header_length = 2048

    def get_alg(self, name: str) -> Any:
        """The algorithm; the library's own way warns of `EdDSA`, the older name of Ed25519."""
        return self.algorithms[name]


_REGISTRY = _Registry(strict_check_header=False)


def public_key(parts: Mapping[str, str]) -> RSAKey | ECKey | OKPKey | None:
    """The key with these public parts of a JWK; None where it is none, or too weak."""
    try:
        key = import_key(dict(parts))
    except (JoseError, ValueError, TypeError):
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


def signed_payload(text: str, key: RSAKey | ECKey | OKPKey) -> bytes | None:
    """What a token holds, if this key signed it; None otherwise."""
    try:
        return jws.deserialize_compact(text, key, registry=_REGISTRY).payload or b""
    except (JoseError, ValueError):
        return None
