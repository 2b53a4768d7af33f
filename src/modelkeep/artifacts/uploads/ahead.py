"""The beginnings of uploads in parts, hashed while their later parts still arrive, so that completing them is short.

What is known here is of this process alone, and may be lost at any time: whoever completes an upload hashes the rest,
and everything where nothing is known.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial

from modelkeep.artifacts.blobs import BlobStore, Part
from modelkeep.artifacts.digests import Digests
from modelkeep.artifacts.threads import Lane
from modelkeep.artifacts.uploads.service import Upload
from modelkeep.core.errors import DomainError

# So many uploads at once; of the others, those that have not moved for longest are hashed when they are completed.
_MOST = 64
# Apart, as a part may be large, and nobody waits for it yet.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="ahead")


class Beginning:
    """The parts of one upload from the first on, as far as they have come, are what they should be and are hashed."""

    def __init__(self, blobs: BlobStore, upload: Upload) -> None:
        self._blobs = blobs
        self._upload = upload
        self._digests = Digests()
        self._hashed: list[Part] = []
        self._taken: list[Part] = []
        self._waiting: dict[int, Part] = {}
        self._lane = Lane(_THREADS)
        self._at_work = threading.Lock()
        self._is_broken = False
        self._is_over = False

    def add(self, part: Part) -> bool:
        """A part has come; False if it takes the place of one that may be hashed already."""
        if part.number <= len(self._taken):
            return part == self._taken[part.number - 1]
        self._waiting[part.number] = part
        while following := self._waiting.pop(len(self._taken) + 1, None):
            self._taken.append(following)
            self._lane.submit(partial(self._hash, following))
        return True

    def forget(self) -> None:
        """Nobody will ask for the hashes."""
        self._is_over = True

    def end(self, parts: Sequence[Part]) -> Digests:
        """The hashes of as many of these parts as are done, or of none; blocks while one is being hashed."""
        self.forget()
        with self._at_work:
            is_theirs = not self._is_broken and self._hashed == list(parts[: len(self._hashed)])
            return self._digests if is_theirs else Digests()

    def _hash(self, part: Part) -> None:
        with self._at_work:
            if self._is_over or self._is_broken:
                return
            self._is_broken = True  # unless this comes to its end
            with suppress(DomainError):  # whoever completes the upload meets the same, and says so
                with closing(self._blobs.parts.blocks(self._upload.id, self._upload.handle, part)) as blocks:
                    for block in blocks:
                        self._digests.update(block)
                self._hashed.append(part)
                self._is_broken = False


class Beginnings:
    """Those of the uploads that this process has taken parts of. Only the event loop's thread asks."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Beginning] = OrderedDict()

    def add(self, blobs: BlobStore, upload: Upload, part: Part) -> None:
        """A part has come, durably, and will be hashed once those before it are."""
        beginning = self._known.pop(upload.id, None) or Beginning(blobs, upload)
        if beginning.add(part):
            self._known[upload.id] = beginning
        else:
            beginning.forget()
        while len(self._known) > _MOST:
            self._known.popitem(last=False)[1].forget()

    def take(self, upload_id: str) -> Beginning | None:
        """What is known of an upload, which is forgotten here."""
        return self._known.pop(upload_id, None)


BEGINNINGS = Beginnings()
