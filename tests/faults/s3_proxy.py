"""Stands between a client and an S3 server, and spoils what passes: as networks, proxies and busy servers do.

Each connection carries one request, so that a spoiled one spoils no other.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

HEAD_LIMIT = 64 * 1024
BLOCK = 64 * 1024


class Kind(Enum):
    """What can go wrong with a request."""

    ANSWER = auto()  # it is answered with `status` and never arrives
    LOSE_ANSWER = auto()  # it arrives, and its answer does not
    CUT_REQUEST = auto()  # the connection ends after `at` bytes of its body
    CUT_ANSWER = auto()  # the connection ends after `at` bytes of the answer's body
    FLIP_REQUEST = auto()  # a bit of byte `at` of its body is another one
    FLIP_ANSWER = auto()  # a bit of byte `at` of the answer's body is another one
    SHORTEN_ANSWER = auto()  # the answer says that its body has only `at` bytes, and has
    SLOW = auto()  # its answer begins `seconds` late


@dataclass
class Fault:
    """What happens to the next `times` requests of a method whose target has `part` in it."""

    kind: Kind
    method: str = ""
    part: str = ""
    times: int = 1
    at: int = 0
    status: int = 500
    seconds: float = 0.0
    least_body: int = 0
    hits: int = 0

    def takes(self, method: str, target: str, length: int) -> bool:
        """Whether it happens to this request."""
        meant = self.method in {"", method} and self.part in target and length >= self.least_body
        return meant and self.hits < self.times


class _Broken(Exception):
    pass


class S3Proxy:
    """A proxy to one endpoint, in a thread of its own; `url` is where it listens, also while it is `away`.

    With a certificate it speaks TLS.
    """

    def __init__(self, endpoint: str, certificate: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(endpoint)
        self._target = (parts.hostname or "", parts.port or 80)
        self._faults: list[Fault] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._certificate = certificate
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="s3-proxy", daemon=True)
        self._thread.start()
        self.back()
        self.requests = 0
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.away()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def spoil(self, fault: Fault) -> Fault:
        """Let something happen to requests from now on; its `hits` tell how often it did."""
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def away(self) -> None:
        """Be gone: what is connected breaks off, and nothing connects any more."""
        self._do(self._close())

    def back(self) -> None:
        """Listen again, where it always did."""
        self._do(self._listen())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, limit=HEAD_LIMIT, ssl=self._certificate
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.requests += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, _Broken):
                await self._pass_on(reader, writer)
                await writer.drain()
                writer.close()
        finally:
            self._writers.discard(writer)
            writer.transport.abort() if not writer.is_closing() else None

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        length = int(_header(head, b"content-length") or 0)
        fault = next((fault for fault in self._faults if fault.takes(method, target, length)), None)
        if fault is not None:
            fault.hits += 1
        if fault is not None and fault.kind is Kind.ANSWER:
            await _read_all(reader, length)
            writer.write(_refusal(fault.status))
            return
        upstream_reader, upstream = await asyncio.open_connection(*self._target, limit=HEAD_LIMIT)
        self._writers.add(upstream)
        try:
            upstream.write(_with_header(head, b"connection", b"close"))
            await _relay(reader, upstream, length, _only(fault, Kind.FLIP_REQUEST, Kind.CUT_REQUEST))
            await self._answer(upstream_reader, writer, fault)
        finally:
            self._writers.discard(upstream)
            upstream.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if fault is not None and fault.kind is Kind.SLOW:
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.kind is Kind.LOSE_ANSWER:
            raise _Broken
        if fault is not None and fault.kind is Kind.SHORTEN_ANSWER:
            writer.write(_with_header(head, b"content-length", str(fault.at).encode()))
            writer.write(await reader.readexactly(fault.at))
            return
        writer.write(head)
        await _relay(reader, writer, None, _only(fault, Kind.FLIP_ANSWER, Kind.CUT_ANSWER))


def _only(fault: Fault | None, *kinds: Kind) -> Fault | None:
    return fault if fault is not None and fault.kind in kinds else None


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int | None, fault: Fault | None
) -> None:
    """Pass on so many bytes, or all, with one spoiled or with an end before its time."""
    done = 0
    while length is None or done < length:
        block = await reader.read(BLOCK if length is None else min(BLOCK, length - done))
        if not block:
            return
        if fault is not None and done <= fault.at < done + len(block):
            at = fault.at - done
            if fault.kind in {Kind.CUT_ANSWER, Kind.CUT_REQUEST}:
                writer.write(block[:at])
                await writer.drain()
                raise _Broken
            block = block[:at] + bytes([block[at] ^ 0x10]) + block[at + 1 :]
        done += len(block)
        writer.write(block)
        await writer.drain()


async def _read_all(reader: asyncio.StreamReader, length: int) -> None:
    while length > 0:
        block = await reader.read(min(BLOCK, length))
        if not block:
            raise _Broken
        length -= len(block)


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n")[1:]:
        if line.lower().startswith(name + b":"):
            return line.partition(b":")[2].strip()
    return None


def _with_header(head: bytes, name: bytes, value: bytes) -> bytes:
    lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(name + b":")]
    return b"\r\n".join([*lines, name + b": " + value]) + b"\r\n\r\n"


def _refusal(status: int) -> bytes:
    code = "SlowDown" if status == 503 else "InternalError"
    body = f"<Error><Code>{code}</Code><Message>made by the test</Message></Error>".encode()
    head = f"HTTP/1.1 {status} {code}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body
