"""Bytes into and out of a blob store, and what is left beside the blobs, for the tests of every store."""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from modelkeep.artifacts.blobs import BlobStore, Part
from modelkeep.artifacts.stores.s3.blobs import S3Blobs
from modelkeep.artifacts.stores.s3.objects import Objects
from modelkeep.artifacts.stores.s3.requests import Requests
from seaweed import Bucket

ABSENT = "0" * 64


@dataclass(frozen=True)
class Place:
    """An empty store, and a way to list all that it keeps: files, objects and parts, whatever they are."""

    store: BlobStore
    everything: Callable[[], list[str]]


def sha256_of(data: bytes) -> str:
    """The name that bytes have."""
    return hashlib.sha256(data).hexdigest()


def put(store: BlobStore, data: bytes, chunk: int = 300_000, *, replace: bool = False) -> str:
    """Store bytes; their name."""
    with store.begin() as staging:
        for at in range(0, len(data), chunk):
            staging.write(memoryview(data)[at : at + chunk])
        staging.commit(sha256_of(data), replace=replace)
    return sha256_of(data)


def write_part(store: BlobStore, upload: str, handle: str, number: int, body: Iterable[bytes]) -> Part:
    """Send a part of an upload through the server."""
    with store.parts.stage(upload, handle, number) as staging:
        for piece in body:
            staging.write(piece)
        return staging.commit()


def get(store: BlobStore, sha256: str) -> bytes:
    """All bytes of a blob."""
    with closing(store.open(sha256)) as reader:
        return reader.read_at(0, reader.size)


def files(folder: Path) -> list[Path]:
    """Everything below a folder but folders."""
    return [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]


def kept_in(bucket: Bucket) -> list[str]:
    """The keys of all objects, and of all uploads that are open."""
    settings = bucket.settings
    objects = [found.key for found in Objects(settings).list(settings.prefix)]
    return objects + [f"{found.key} (open)" for found in Requests(settings).open_uploads(settings.prefix)]


def s3_place(bucket: Bucket) -> Place:
    """A store in a bucket."""
    return Place(S3Blobs(bucket.settings), lambda: kept_in(bucket))
