"""A blob hashed whole, however large it is: some seconds at a time, and how far it came is remembered in between.

A hash under way cannot be written down, so it is this process that remembers. Another one begins anew, and comes to the
end of it in its own turns.
"""

import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from modelkeep.artifacts.blobs import BlobReader
from modelkeep.artifacts.digests import CHUNK, Content, Digests

_SECONDS = 2.0
# Each takes 32 bytes a MiB that was hashed.
_MOST_REMEMBERED = 64


class Blob(NamedTuple):
    """The bytes that are hashed: their name, which of those that had it, and how many the store has of them."""

    sha256: str
    seen: int | None
    size: int


class _Begun:
    """The hashes that are under way, and nobody is working on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digests: OrderedDict[Blob, Digests] = OrderedDict()

    def take(self, blob: Blob) -> Digests:
        """How far a blob came, for one who works on it; from the start where nobody knows."""
        with self._lock:
            return self._digests.pop(blob, None) or Digests()

    def keep(self, blob: Blob, digests: Digests) -> None:
        """Remember how far it came, unless somebody came further meanwhile."""
        with self._lock:
            known = self._digests.get(blob)
            if known is None or known.size < digests.size:
                self._digests[blob] = digests
            if len(self._digests) > _MOST_REMEMBERED:
                self._digests.popitem(last=False)


_BEGUN = _Begun()


def hash_on(reader: BlobReader, blob: Blob, *, begun: bool) -> Content | int:
    """Hash a blob for about two seconds: what it is, or if there was not the time, how many bytes were hashed so far.

    `begun`: an earlier call did, and this one may go on. Otherwise it starts at the beginning, as other bytes may have
    come since in the place of those that somebody hashed then.
    """
    digests = _BEGUN.take(blob)
    if not begun:
        digests = Digests()
    ends = time.monotonic() + _SECONDS
    while digests.size < blob.size:
        digests.update(reader.read_at(digests.size, CHUNK))
        if time.monotonic() > ends and digests.size < blob.size:
            _BEGUN.keep(blob, digests)
            return digests.size
    return digests.content()
