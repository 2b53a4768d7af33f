"""The S3 calls that carry many bytes or parts of uploads: signed, checked by CRC32, their refusals in our own words.

The general client in `s3_objects` can neither presign a part nor abort or list uploads, and hashes all it sends.
"""

import base64
import html
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import urllib3

from modelkeep.artifacts.blobs import Link
from modelkeep.artifacts.stores.backoff import Refused
from modelkeep.artifacts.stores.s3.signing import Signer
from modelkeep.config import S3Settings
from modelkeep.core.errors import AlreadyExists, Conflict, DomainError, NotFound, StorageFull, Unavailable

_SENT_AT_ONCE = 1 << 18
_CONNECTIONS = 80
_TIMEOUT = urllib3.Timeout(connect=5, read=60)
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "InsufficientCapacity"})
# Refusals of what arrived, not of what was meant: the same bytes sent again are taken.
_DAMAGED_ON_THE_WAY = frozenset(
    {"BadDigest", "IncompleteBody", "RequestTimeout", "InvalidDigest", "XAmzContentSHA256Mismatch", "SlowDown"}
)


class Body(Protocol):
    """Bytes that can be read as often as they have to be sent."""

    size: int
    crc32: int

    def blocks(self) -> Iterator[bytes]:
        """All of them, in order."""


class SentPart(NamedTuple):
    """A part that the store has taken; its CRC32, in base64, where the whole upload is checked by these."""

    number: int
    etag: str
    crc32: str = ""


class KeptPart(NamedTuple):
    """A part as the store lists it; some stores list a part that was sent twice as two."""

    number: int
    size: int
    etag: str
    modified: datetime


class OpenUpload(NamedTuple):
    """An upload that was begun and neither completed nor aborted."""

    key: str
    handle: str
    begun: datetime


class Requests:
    """Calls to one bucket, by any thread. They raise Unavailable, Refused (not worth repeating) and StorageFull."""

    def __init__(self, settings: S3Settings) -> None:
        self._signer = Signer(settings)
        trusted = ssl.create_default_context()
        if settings.ca is not None:
            trusted.load_verify_locations(settings.ca)
        self._pool = urllib3.PoolManager(
            maxsize=_CONNECTIONS, retries=False, timeout=_TIMEOUT, blocksize=_SENT_AT_ONCE, ssl_context=trusted
        )

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()

    def check_bucket(self) -> None:
        """Raises Refused if the bucket is not there."""
        try:
            self._send("HEAD", "")
        except NotFound as error:
            raise Refused("The bucket of the artifact store does not exist") from error

    def put(self, key: str, body: Body, *, create: bool) -> None:
        """Write an object whole or not at all. Raises AlreadyExists if there is one and it had to be created."""
        self._send("PUT", key, headers=_checked(body) | ({"if-none-match": "*"} if create else {}), body=body)

    def open(self, key: str, start: int, end: int) -> urllib3.BaseHTTPResponse:
        """The bytes of an object from `start` up to `end`, to be read from the answer. Raises NotFound."""
        return self._send("GET", key, headers={"range": f"bytes={start}-{end - 1}"}, stream=True)

    def begin_parts(self, key: str, *, checked: bool) -> str:
        """Open an upload in parts; its handle. `checked`: each part must come with its CRC32."""
        headers = {"x-amz-checksum-algorithm": "CRC32"} if checked else {}
        return _value(self._send("POST", key, {"uploads": ""}, headers).data, "UploadId")

    def put_part(
        self, key: str, handle: str, number: int, body: Body, headers: Mapping[str, str] | None = None
    ) -> SentPart:
        """Send a part. `headers` name another checksum than CRC32. Raises NotFound if there is no such upload."""
        sent = _checked(body) if headers is None else {"content-length": str(body.size), **headers}
        answer = self._send("PUT", key, {"partNumber": str(number), "uploadId": handle}, sent, body)
        etag = answer.headers.get("etag", "").strip('"')
        return SentPart(number, etag, sent.get("x-amz-checksum-crc32", ""))

    def part_link(self, key: str, handle: str, number: int, seconds: int) -> Link:
        """Where anybody may send a part, for so many seconds."""
        return self._signer.link("PUT", key, {"partNumber": str(number), "uploadId": handle}, seconds)

    def link(self, key: str, answer: Mapping[str, str], seconds: int) -> Link:
        """Where anybody may get an object, with these headers in the answer, for so many seconds."""
        return self._signer.link("GET", key, {f"response-{name}": value for name, value in answer.items()}, seconds)

    def complete(self, key: str, handle: str, parts: Sequence[SentPart]) -> None:
        """Make the parts one object. Raises NotFound if there is no such upload, Conflict if the parts are others."""
        text = "".join(map(_part_xml, parts))
        body = f"<CompleteMultipartUpload>{text}</CompleteMultipartUpload>".encode()
        data = self._send("POST", key, {"uploadId": handle}, raw=body).data
        if b"<Error>" in data:  # such an answer begins before the outcome is known, as 200
            raise Unavailable(f"The artifact store could not complete an upload ({_value(data, 'Code')})")

    def abort_parts(self, key: str, handle: str) -> None:
        """Forget an upload and its parts. Raises NotFound."""
        self._send("DELETE", key, {"uploadId": handle})

    def parts(self, key: str, handle: str) -> list[KeptPart]:
        """The parts of an upload. Raises NotFound."""
        found: list[KeptPart] = []
        marker = "0"
        while marker:
            data = self._send("GET", key, {"uploadId": handle, "part-number-marker": marker}).data
            for text in _blocks(data, "Part"):
                modified = datetime.fromisoformat(_value(text, "LastModified"))
                number, size = int(_value(text, "PartNumber")), int(_value(text, "Size"))
                found.append(KeptPart(number, size, _value(text, "ETag").strip('"'), modified))
            marker = _value(data, "NextPartNumberMarker") if _value(data, "IsTruncated") == "true" else ""
        return found

    def open_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        """Every open upload of an object whose key begins so."""
        query = {"uploads": "", "prefix": prefix}
        while True:
            data = self._send("GET", "", query).data
            for text in _blocks(data, "Upload"):
                begun = datetime.fromisoformat(_value(text, "Initiated"))
                yield OpenUpload(_value(text, "Key"), _value(text, "UploadId"), begun)
            if _value(data, "IsTruncated") != "true":
                return
            query["key-marker"] = _value(data, "NextKeyMarker")
            query["upload-id-marker"] = _value(data, "NextUploadIdMarker")

    def _send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        *,
        raw: bytes = b"",
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        signed = self._signer.headers(method, key, query or {}, headers or {})
        url = self._signer.url(key, query or {})
        sent = body.blocks() if body is not None and body.size else raw
        try:
            answer = self._pool.request(
                method, url, headers=signed, body=sent, preload_content=not stream, redirect=False
            )
            if answer.status < 300:
                return answer
            raise refusal(answer.status, answer.data)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"The artifact store does not answer ({type(error).__name__})") from error


def refusal(status: int, data: bytes) -> DomainError:
    """What an answer that is none means to us."""
    code = _value(data, "Code") or str(status)
    if status == 507 or code in _FULL:
        return StorageFull(f"The artifact store is full ({code}); nothing was written")
    if status in {408, 429} or (status >= 500 and status != 501) or code in _DAMAGED_ON_THE_WAY:
        return Unavailable(f"The artifact store does not answer as it should ({code})")
    if status == 404 and code != "NoSuchBucket":
        return NotFound(f"The artifact store does not have it ({code})")
    if status == 412:
        return AlreadyExists("The artifact store has such an object already")
    if status == 409:
        return Unavailable(f"Somebody else writes to the same object of the artifact store ({code})")
    if code in {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}:
        return Conflict(f"The artifact store cannot join these parts ({code}); all but the last have at least 5 MiB")
    return Refused(f"The artifact store refuses the request ({code})")


def _checked(body: Body) -> dict[str, str]:
    check = base64.b64encode(body.crc32.to_bytes(4, "big")).decode()
    return {"content-length": str(body.size), "x-amz-checksum-crc32": check}


def _part_xml(part: SentPart) -> str:
    check = f"<ChecksumCRC32>{part.crc32}</ChecksumCRC32>" if part.crc32 else ""
    etag = html.escape(part.etag)
    return f'<Part><PartNumber>{part.number}</PartNumber><ETag>"{etag}"</ETag>{check}</Part>'


def _value(data: bytes, name: str) -> str:
    """The text of the first element of this name; empty where there is none."""
    found = re.search(rb"<%s>([^<]*)</%s>" % (name.encode(), name.encode()), data)
    return html.unescape(found[1].decode(errors="replace")) if found else ""


def _blocks(data: bytes, name: str) -> list[bytes]:
    return re.findall(rb"<%s>(.*?)</%s>" % (name.encode(), name.encode()), data, re.DOTALL)
