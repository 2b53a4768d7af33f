"""Lists of the native API as commands show them: all pages, times and days in words."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from modelkeep.cli.client import Client, Refused


def pages(client: Client, *segments: str, **query: str) -> Iterator[dict[str, Any]]:
    """Every item of a list, page after page."""
    cursor = ""
    while True:
        page = client.call("GET", *segments, **query, **({"cursor": cursor} if cursor else {}))
        yield from page["items"]
        cursor = page.get("next_cursor") or ""
        if not cursor:
            return


def day(milliseconds: int | None, otherwise: str = "") -> str:
    """A time for people, in UTC."""
    if milliseconds is None:
        return otherwise
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def moment(text: str) -> int:
    """A day or moment as milliseconds since the epoch. Raises Refused."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(f"{text} is neither a day (YYYY-MM-DD) nor a moment (ISO 8601).") from error
    return int((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp() * 1000)
