"""A stored file as an HTTP answer: Range, conditional requests and the headers that keep a browser from running it.

RFC 9110, sections 13 (If-None-Match) and 14 (Range), one range only, others are answered whole; RFC 9530 (digests).
"""

import base64
import re
from collections.abc import Callable, Mapping

from modelkeep.artifacts import StoredFile, content_disposition, content_type
from modelkeep.core.errors import InvalidInput
from modelkeep.db import Tx
from modelkeep.faces.operations import Exchange, Reply
from modelkeep.inspection import find_file

# The member of a dictionary of digests: a byte sequence (RFC 8941, 3.3.5), which parameters may follow.
_SHA256_DIGEST = re.compile(rb"(?:^|,)[ \t]*sha-256=(?P<value>[^,;]*)")
_BYTES = re.compile(rb":([A-Za-z0-9+/]{43}=):[ \t]*")
_RANGE = re.compile(rb"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


async def send_found(exchange: Exchange, find: Callable[[Tx], StoredFile]) -> Reply:
    """The file that `find` names. Raises what it raises, and Corrupt if the store has lost or damaged the bytes."""
    file = await exchange.app.read_quickly(exchange.caller, find)
    return await _send(exchange, file, (file.name,))


async def send_at(exchange: Exchange, at: Callable[[Tx], tuple[str, ...]]) -> Reply:
    """The file at the path in the artifact namespace that `at` tells; as `send_found`."""

    def find(tx: Tx) -> tuple[StoredFile, tuple[str, ...]]:
        segments = at(tx)
        return find_file(tx, segments), segments

    file, segments = await exchange.app.read_quickly(exchange.caller, find)
    return await _send(exchange, file, segments)


def declared_sha256(headers: Mapping[bytes, bytes]) -> str | None:
    """The SHA-256 that the client says its body has, in hex. Raises InvalidInput for what is none, or for two."""
    found = {_digest_in(headers.get(name.encode(), b""), name) for name in ("content-digest", "repr-digest")} - {None}
    if len(found) > 1:
        raise InvalidInput("Content-Digest and Repr-Digest say different things of one body.", "content-digest")
    return found.pop() if found else None


def declared_size(headers: Mapping[bytes, bytes]) -> int | None:
    """How many bytes the client says its body has. Raises InvalidInput for what is no number."""
    text = headers.get(b"content-length")
    if text is None:
        return None
    if not text.isdigit():
        raise InvalidInput("Invalid Content-Length.")
    return int(text)


def _digest_in(header: bytes, name: str) -> str | None:
    members = list(_SHA256_DIGEST.finditer(header))
    if not members:
        return None
    value = _BYTES.fullmatch(members[-1]["value"])
    if value is None:
        raise InvalidInput("The SHA-256 of the body is written sha-256=:<base64 of its 32 bytes>:.", name)
    return base64.b64decode(value[1]).hex()


async def _send(exchange: Exchange, file: StoredFile, segments: tuple[str, ...]) -> Reply:
    etag = f'"{file.sha256}"'.encode()
    described = _headers(file, etag)
    if is_known(exchange.headers, etag):
        return Reply(304, described)
    if exchange.method == "HEAD":
        return Reply(200, [*described, (b"content-length", b"%d" % file.size)])
    asked = _asked_range(exchange.headers, etag)
    if asked is None:
        await exchange.app.note_download(exchange.caller, segments, file.sha256, "file")
        return Reply(200, described, await exchange.app.open_file(exchange.caller, file, 0, file.size))
    start, end = _within(asked, file.size)
    if start >= end:
        return Reply(416, [(b"content-range", b"bytes */%d" % file.size), (b"accept-ranges", b"bytes")])
    await exchange.app.note_download(exchange.caller, segments, file.sha256, "file", start, end - 1)
    span = (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, file.size))
    return Reply(206, [*described, span], await exchange.app.open_file(exchange.caller, file, start, end))


def _headers(file: StoredFile, etag: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", content_type(file.name).encode()),
        (b"content-disposition", content_disposition(file.name).encode()),
        (b"accept-ranges", b"bytes"),
        (b"etag", etag),
        (b"repr-digest", b"sha-256=:" + base64.b64encode(bytes.fromhex(file.sha256)) + b":"),
    ]


def is_known(headers: Mapping[bytes, bytes], etag: bytes) -> bool:
    """Whether the client says by If-None-Match that it has what this tag stands for."""
    known = [tag.strip().removeprefix(b"W/") for tag in headers.get(b"if-none-match", b"").split(b",")]
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
