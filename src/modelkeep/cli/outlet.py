"""A client's socket as threads write an answer to it, past the event loop, which waits for clients that are slower.

The loop's own way costs two turns of it for each block. Threads write to a copy of the descriptor: the connection may
be closed, and its number given to another one, while they do.
"""

import asyncio
import os
import select
import time

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# So long in all a thread waits, for each block, for a client that takes what is sent about as fast as it is read. One
# that did not is left to the loop, which costs more but no thread, until it has taken some blocks without being waited
# for.
_PATIENCE_S = 0.02
_TRUSTED_AFTER = 8


class Outlet:
    """The way of one answer, which begins with `head`, to its client. Raises ConnectionError once that is gone.

    `write` and `close` are for threads, one at a time; the rest is for the loop's.
    """

    def __init__(self, cycle: RequestResponseCycle, head: bytes) -> None:
        self._cycle = cycle
        self._fd = os.dup(cycle.transport.get_extra_info("socket").fileno())
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._rest = [memoryview(head)]
        self._taken = _TRUSTED_AFTER
        self._writable: asyncio.Future[None] | None = None
        cycle.response_started = True
        cycle.waiting_for_100_continue = False

    @property
    def waiting(self) -> int:
        """How many bytes the client has yet to take before it is sent more; 0 while it is not waited for."""
        return sum(len(view) for view in self._rest) if self._writable is not None else 0

    def write(self, block: bytes = b"") -> bool:
        """Send a block after what is left; False if something is left again: then wait for `ready` first."""
        if block:
            self._rest.append(memoryview(block))
        deadline = time.monotonic() + _PATIENCE_S if self._taken >= _TRUSTED_AFTER else 0.0
        while self._rest:
            if self._cycle.disconnected:
                raise ConnectionResetError("the client is gone")
            try:
                self._drop(os.writev(self._fd, self._rest))
            except BlockingIOError:
                if not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    self._taken = 0
                    return False
            except OSError as error:  # also that a network which is gone was waited for in vain
                raise ConnectionResetError("the client is gone") from error
        self._taken += 1
        return True

    async def ready(self) -> None:
        """Wait until the client takes more."""
        loop = asyncio.get_running_loop()
        self._writable = loop.create_future()
        loop.add_writer(self._fd, self._wake)
        try:
            if not self._cycle.disconnected:
                await self._writable
        finally:
            loop.remove_writer(self._fd)
            self._writable = None

    def lost(self) -> None:
        """The connection was closed: nobody need wait any more."""
        self._wake()

    def end(self) -> None:
        """All was sent: the next request may come."""
        cycle = self._cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def close(self) -> None:
        """Give the descriptor back, once no thread writes any more."""
        os.close(self._fd)

    def _drop(self, sent: int) -> None:
        while self._rest and sent >= len(self._rest[0]):
            sent -= len(self._rest.pop(0))
        if sent:
            self._rest[0] = self._rest[0][sent:]

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
