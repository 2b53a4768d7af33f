"""Which object of a bucket a blob's name stands for. Its bytes are never copied to get their name.

Up to `SMALL` bytes are the object `sha256/ab/cd/<name>` itself. More are an object `large/<id>`, written before the
name is known, to which the pointer `named/ab/cd/<name>` leads; pointers are created only where there is none.
"""

import heapq
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from modelkeep.artifacts.blobs import BLOCK, blob_key
from modelkeep.artifacts.stores.s3.objects import Objects
from modelkeep.artifacts.stores.s3.requests import Body, Requests
from modelkeep.core.errors import AlreadyExists, Corrupt, Unavailable

SMALL = 8 << 20
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_POINTER_LIMIT = 4096
_TRIES = 5


class Place(NamedTuple):
    """An object that holds the bytes of a blob, how many they are, and its first bytes where they are known."""

    key: str
    size: int
    head: bytes = b""


class Names:
    """Blobs of one bucket by their names."""

    def __init__(self, prefix: str, requests: Requests, objects: Objects) -> None:
        self._prefix = prefix
        self._requests = requests
        self._objects = objects

    def key(self, *segments: str) -> str:
        """The full key of an object of this store."""
        return self._prefix + "/".join(segments)

    def large_key(self, name: str) -> str:
        """The key of a large object."""
        return self.key("large", name)

    def find(self, sha256: str) -> Place | None:
        """Where the bytes of a blob are, with the first block of a small one. Raises InvalidInput, Corrupt."""
        key = self.key(*blob_key(sha256))
        if sha256 == EMPTY:
            return Place(key, 0) if self._objects.head(key) == 0 else None
        found = self._objects.begin_of(key, BLOCK)
        return self.pointed(sha256) if found is None else Place(key, found[1], found[0])

    def size(self, sha256: str) -> int | None:
        """How many bytes the bucket has of a blob: 0 where only the name of a large one is left."""
        size = self._objects.head(self.key(*blob_key(sha256)))
        if size is not None:
            return size
        place = self.pointed(sha256)
        return None if place is None else self._objects.head(place.key) or 0

    def put(self, sha256: str, body: Body, *, replace: bool) -> None:
        """Write a small blob, unless it is there. Raises Corrupt if what is there has another size."""
        key = self.key(*blob_key(sha256))
        for _ in range(_TRIES):
            with suppress(AlreadyExists):
                self._requests.put(key, body, create=not replace)
            # Asked in either case, so that the same requests are made whether the blob was there or not.
            size = self._objects.head(key)
            if size is not None:
                return _check_size(sha256, size, body.size)
        raise Unavailable("A blob is being deleted while it is stored again")

    def point(self, sha256: str, place: Place, *, replace: bool) -> Place:
        """Let a name stand for a large object, unless it stands for another already; the one it stands for now.

        Raises Corrupt if that has another size.
        """
        key = self._pointer(sha256)
        for _ in range(_TRIES):
            try:
                self._requests.put(key, _Pointer(sha256, place), create=not replace)
            except AlreadyExists:
                found = self.pointed(sha256)
                if found is not None and (found.key == place.key or self._objects.head(found.key) is not None):
                    _check_size(sha256, found.size, place.size)
                    return found
                replace = found is not None  # what leads nowhere is no reason to refuse
            else:
                return place
        raise Unavailable("A blob is being deleted while it is stored again")

    def pointed(self, sha256: str) -> Place | None:
        """The large object that a name stands for. Raises Corrupt if the pointer is damaged."""
        for _ in range(2):  # damage on the way is not there the second time
            found = self._objects.begin_of(self._pointer(sha256), _POINTER_LIMIT)
            if found is None:
                return None
            place = _read_pointer(found[0], sha256)
            if place is not None:
                return Place(self.large_key(place.key), place.size)
        raise Corrupt(f"The stored blob {sha256} has a damaged pointer")

    def remove(self, sha256: str) -> None:
        """Take a name away, and then the bytes that it stands for; if there is none, that is fine."""
        small = self.key(*blob_key(sha256))
        try:
            place = self.pointed(sha256)
        except Corrupt:
            place = None  # its object is swept
        self._objects.delete(self._pointer(sha256))
        self._objects.delete(small)
        if place is not None:
            self._objects.delete(place.key)

    def all(self, after: str = "") -> Iterator[str]:
        """Every name behind this one, in order."""
        last = ""
        kinds = [self._names(self.key(kind, ""), after) for kind in ("sha256", "named")]
        for name in heapq.merge(*kinds):
            if name != last:
                yield name
            last = name

    def pointers(self) -> Iterator[tuple[str, str]]:
        """Every name that stands for a large object, with what tells whether its pointer is still the same one."""
        for found in self._objects.list(self.key("named", "")):
            yield found.key.rpartition("/")[2], f"{found.etag} {found.modified}"

    def _names(self, prefix: str, after: str) -> Iterator[str]:
        start = "/".join([after[:2], after[2:4], after]) if after else ""
        for found in self._objects.list(prefix, start):
            name = found.key.rpartition("/")[2]
            if len(name) == 64 and found.key == f"{prefix}{name[:2]}/{name[2:4]}/{name}":
                yield name

    def _pointer(self, sha256: str) -> str:
        return self.key("named", *blob_key(sha256)[1:])


class _Pointer:
    """The text of a pointer, to be sent. It carries a check: nothing else guards these few bytes when they are read."""

    def __init__(self, sha256: str, place: Place) -> None:
        name = place.key.rpartition("/")[2]
        fields = {"object": name, "size": place.size, "check": _check(sha256, name, place.size)}
        self._text = json.dumps(fields).encode()
        self.size = len(self._text)
        self.crc32 = zlib.crc32(self._text)

    def blocks(self) -> Iterator[bytes]:
        yield self._text


def _read_pointer(text: bytes, sha256: str) -> Place | None:
    try:
        fields = json.loads(text)
        name, size = str(fields["object"]), int(fields["size"])
        return Place(name, size) if fields["check"] == _check(sha256, name, size) else None
    except (ValueError, KeyError, TypeError):
        return None


def _check(sha256: str, name: str, size: int) -> int:
    return zlib.crc32(f"{sha256} {name} {size}".encode())


def _check_size(sha256: str, found: int, expected: int) -> None:
    if found != expected:
        raise Corrupt(f"The stored blob {sha256} has not the size it was stored with")
