"""Many bundles of the audit log in one answer, for whoever reads all of it: to verify it, or to have a copy."""

from collections.abc import AsyncGenerator

from modelkeep import audit
from modelkeep.access import Permission
from modelkeep.faces.native.audit_log import Place
from modelkeep.faces.native.wire import NATIVE, Request, routes
from modelkeep.faces.operations import Exchange, Mode, Operation, Reply

# So many are read at once: few enough that writers hardly wait for the interpreter, enough that the way there is short.
_ENTRIES_AT_ONCE = 1024
_LENGTH = 4


class AuditStretch(Request):
    """Entries from one place, a multiple of 256, up to another."""

    start: Place
    end: Place


async def send_stretch(exchange: Exchange) -> Reply:
    """Each bundle of entries and the hashes of its tile, each behind its length in four bytes, as they are read."""
    start, end = exchange.request.start, exchange.request.end
    await exchange.app.read(exchange.caller, lambda tx: audit.check_stretch(tx, start, end))
    return Reply(200, [(b"content-type", b"application/octet-stream")], Stretch(exchange, start, end))


class Stretch:
    """Bundles and tiles, one behind the other; how long they are shows at their end."""

    def __init__(self, exchange: Exchange, start: int, end: int) -> None:
        self._exchange, self._start, self._end = exchange, start, end

    @property
    def size(self) -> None:
        """Not known before."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """All of it, in order."""
        for start in range(self._start, self._end, _ENTRIES_AT_ONCE):
            yield await self._read(start, min(self._end, start + _ENTRIES_AT_ONCE))

    async def _read(self, start: int, end: int) -> bytes:
        app, caller = self._exchange.app, self._exchange.caller
        return await app.read(caller, lambda tx: _written(audit.stretch(tx, start, end)))

    def close(self) -> None:
        """Nothing is held."""


def _written(found: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join([part for pair in found for data in pair for part in (len(data).to_bytes(_LENGTH), data)])


OPERATIONS: list[Operation] = [
    Operation(
        "audit.stretch",
        NATIVE,
        routes("GET", "audit/stretch"),
        AuditStretch,
        send_stretch,
        Mode.STREAM,
        Permission.JOURNAL_READ,
        "Entries of the audit log and their hashes, many at once",
        bytes,
    ),
]
