"""A stored file as an HTTP answer: Range, conditional requests and the headers that keep a browser from running it.

RFC 9110, sections 13 (If-None-Match) and 14 (Range); one range only, others are answered whole.
"""

import re
from collections.abc import Callable, Mapping

from modelkeep.artifacts import StoredFile, content_disposition, content_type, open_file
from modelkeep.db import Tx
from modelkeep.faces.operations import Exchange, Reply

_RANGE = re.compile(rb"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


async def send_found(exchange: Exchange, find: Callable[[Tx], StoredFile]) -> Reply:
    """The file that `find` names. Raises what it raises, and Corrupt if the store has lost or damaged the bytes."""
    return await _send(exchange, await exchange.app.read_quickly(exchange.caller, find))


async def _send(exchange: Exchange, file: StoredFile) -> Reply:
    etag = f'"{file.sha256}"'.encode()
    described = _headers(file, etag)
    if _is_known(exchange.headers.get(b"if-none-match", b""), etag):
        return Reply(304, described)
    if exchange.method == "HEAD":
        return Reply(200, [*described, (b"content-length", b"%d" % file.size)])
    asked = _asked_range(exchange.headers, etag)
    if asked is None:
        return Reply(200, described, await open_file(exchange.app.blobs, file, 0, file.size))
    start, end = _within(asked, file.size)
    if start >= end:
        return Reply(416, [(b"content-range", b"bytes */%d" % file.size), (b"accept-ranges", b"bytes")])
    span = (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, file.size))
    return Reply(206, [*described, span], await open_file(exchange.app.blobs, file, start, end))


def _headers(file: StoredFile, etag: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", content_type(file.name).encode()),
        (b"content-disposition", content_disposition(file.name).encode()),
        (b"accept-ranges", b"bytes"),
        (b"etag", etag),
    ]


def _is_known(if_none_match: bytes, etag: bytes) -> bool:
    known = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return etag in known or known == [b"*"]


def _asked_range(headers: Mapping[bytes, bytes], etag: bytes) -> tuple[int | None, int | None] | None:
    """First and last byte of the one range that is asked for; None where the whole file is to be sent."""
    match = _RANGE.fullmatch(headers.get(b"range", b""))
    if match is None or headers.get(b"if-range", etag) != etag:
        return None
    first, last = (int(text) if text else None for text in match.groups())
    if first is None and last is None:
        return None
    if first is not None and last is not None and last < first:
        return None
    return first, last


def _within(asked: tuple[int | None, int | None], size: int) -> tuple[int, int]:
    """From the first byte to behind the last; empty where the range lies outside."""
    first, last = asked
    if first is None:
        return max(0, size - (last or 0)), size
    return first, size if last is None else min(last + 1, size)
