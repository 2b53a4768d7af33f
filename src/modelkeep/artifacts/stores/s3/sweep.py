"""Finds what uploads left in a bucket: large objects that no name stands for, and uploads that were never completed."""

import threading
from collections.abc import Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from modelkeep.artifacts.blobs import Known, is_upload_id
from modelkeep.artifacts.stores.s3.names import Names
from modelkeep.artifacts.stores.s3.objects import Objects
from modelkeep.artifacts.stores.s3.parts import youngest_age
from modelkeep.artifacts.stores.s3.requests import OpenUpload, Requests
from modelkeep.core.errors import NotFound
from modelkeep.db.clock import now_ms

_READERS = 8


class Sweep:
    """Remembers which pointers lead where, so that each is read once in the life of the process."""

    def __init__(self, names: Names, requests: Requests, objects: Objects, live: Set[str]) -> None:
        self._names = names
        self._requests = requests
        self._objects = objects
        self._live = live
        self._known: dict[tuple[str, str], str] = {}
        self._looking = threading.Lock()

    def run(self, older_than_s: float, limit: int, known: Known) -> int:
        """Remove what is older, and no part of a known upload, up to so many pieces; how many went."""
        abandoned = list(islice(self._abandoned(older_than_s), limit))
        spared = self._spared([upload.key for upload in abandoned], known)
        swept = sum(self._abort(upload) for upload in abandoned if upload.key not in spared)
        for key in islice(self._unpointed(older_than_s, known), limit - swept):
            self._objects.delete(key)
            swept += 1
        return swept

    def count(self, older_than_s: float, limit: int, known: Known) -> int:
        """How many pieces `run` would remove."""
        abandoned = [upload.key for upload in islice(self._abandoned(older_than_s), limit)]
        spared = self._spared(abandoned, known)
        found = sum(key not in spared for key in abandoned)
        return min(limit, found + len(self._unpointed(older_than_s, known)))

    def _spared(self, keys: list[str], known: Known) -> set[str]:
        """Those of these large objects, written or not, that belong to a known upload in parts."""
        prefix = self._names.large_key("")
        ids = [name for key in keys if is_upload_id(name := key.removeprefix(prefix))]
        return {prefix + name for name in known(ids)} if ids else set()

    def _unpointed(self, older_than_s: float, known: Known) -> list[str]:
        """The old objects that no name stands for. In this order: an upload that was named since is still known."""
        old = list(self._old_objects(older_than_s))
        if not old:
            return []
        pointed = self._pointed()
        left = [key for key in old if key not in pointed]
        spared = self._spared(left, known)
        return [key for key in left if key not in spared and key not in self._live]

    def _abandoned(self, older_than_s: float) -> Iterator[OpenUpload]:
        for upload in list(self._requests.open_uploads(self._names.large_key(""))):
            begun = upload.begun.timestamp()
            if upload.key in self._live or now_ms() / 1000 - begun < older_than_s:
                continue
            if youngest_age(self._requests, upload.key, upload.handle, begun) >= older_than_s:
                yield upload

    def _abort(self, upload: OpenUpload) -> bool:
        try:
            self._requests.abort_parts(upload.key, upload.handle)
        except NotFound:
            return False
        return True

    def _old_objects(self, older_than_s: float) -> Iterator[str]:
        oldest = now_ms() / 1000 - older_than_s
        for found in self._objects.list(self._names.large_key("")):
            if found.modified.timestamp() <= oldest and found.key not in self._live:
                yield found.key

    def _pointed(self) -> set[str]:
        """The objects that names stand for. What a damaged pointer means nobody knows: then nothing is unpointed."""
        with self._looking:
            return self._read_pointers()

    def _read_pointers(self) -> set[str]:
        now = list(self._names.pointers())
        new = [pointer for pointer in now if pointer not in self._known]
        with ThreadPoolExecutor(_READERS) as readers:
            found = readers.map(lambda pointer: self._names.pointed(pointer[0]), new)
            for pointer, place in zip(new, found, strict=True):
                if place is not None:
                    self._known[pointer] = place.key
        self._known = {pointer: self._known[pointer] for pointer in now if pointer in self._known}
        return set(self._known.values())
