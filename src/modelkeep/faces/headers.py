"""The headers that every answer carries, whatever it is and whoever made it."""

from modelkeep.config import Settings

Header = tuple[bytes, bytes]

# Nothing here is a page, so nothing may be run, framed, sniffed or kept.
_POLICY = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
_ALWAYS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_HTTPS_ONLY: Header = (b"strict-transport-security", b"max-age=31536000")


def common_headers(settings: Settings) -> tuple[Header, ...]:
    """What every answer of this server carries; with a public address of https, browsers are held to that."""
    return (*_ALWAYS, _HTTPS_ONLY) if settings.public_url.startswith("https://") else _ALWAYS
