"""Addresses of places here that are called with a signed link in place of a token."""

from collections.abc import Sequence
from urllib.parse import quote

from modelkeep.access import make_links
from modelkeep.config import is_loopback
from modelkeep.core.errors import NotOffered
from modelkeep.faces.operations import Exchange


async def signed_urls(exchange: Exchange, method: str, paths: Sequence[str], seconds: int) -> list[str]:
    """Where these paths can be called as the caller of this exchange, for so long, by whoever has the address.

    Raises NotOffered as `check_linkable`.
    """
    check_linkable(exchange)
    links = await exchange.app.read_quickly(exchange.caller, lambda tx: make_links(tx, method, paths, seconds))
    base = _base_url(exchange)
    return [f"{base}{quote(path)}?link={link}" for path, link in zip(paths, links, strict=True)]


def check_linkable(exchange: Exchange) -> None:
    """Refuse to make links where they could go over the network unencrypted, as whoever has one needs no token.

    Raises NotOffered: clients then send and fetch files whole, with their token.
    """
    settings = exchange.app.settings
    if not settings.public_url and not is_loopback(settings.host):
        raise NotOffered(
            "This server makes no links, as it does not know the address that clients call it by: "
            "start it with --public-url. Files can be sent and fetched whole."
        )


def _base_url(exchange: Exchange) -> str:
    """Where this client reaches the server; the name that it called it by is one of ours, as every request's is."""
    public = exchange.app.settings.public_url.rstrip("/")
    return public or f"http://{exchange.headers[b'host'].decode('ascii')}"
