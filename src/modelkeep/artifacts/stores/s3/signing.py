"""Requests to S3 signed with AWS Signature Version 4, in their headers or, to hand them to somebody, in the address."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from modelkeep.artifacts.blobs import Link
from modelkeep.config import S3Settings
from modelkeep.db.clock import now_ms

_ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"


class Signer:
    """Addresses and signatures for the objects of one bucket. Keys are full: the store's prefix is part of them."""

    def __init__(self, settings: S3Settings) -> None:
        parts = urlsplit(settings.address)
        by_path = settings.path_style
        self._origin = f"{parts.scheme}://{parts.netloc if by_path else f'{settings.bucket}.{parts.netloc}'}"
        self._host = urlsplit(self._origin).netloc
        self._root = parts.path.rstrip("/") + (f"/{settings.bucket}" if by_path else "")
        self._settings = settings

    def url(self, key: str, query: Mapping[str, str]) -> str:
        """Where an object is, or the bucket if there is no key."""
        return f"{self._origin}{self._path(key)}" + (f"?{_canonical(query)}" if query else "")

    def headers(self, method: str, key: str, query: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
        """All headers of a request signed now, `extra` among them. The body is guarded by a checksum, not signed."""
        moment = _moment()
        sent = {"host": self._host, "x-amz-date": moment, "x-amz-content-sha256": UNSIGNED} | dict(extra)
        if self._settings.session_token:
            sent["x-amz-security-token"] = self._settings.session_token
        signature = self._signature(method, key, query, sent, moment)
        credential = f"{self._settings.access_key}/{self._scope(moment)}"
        names = ";".join(sorted(sent))
        sent["authorization"] = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        return sent

    def link(self, method: str, key: str, query: Mapping[str, str], seconds: int) -> Link:
        """An address that whoever has it may use for one kind of request, for so many seconds (at most a week)."""
        moment = _moment()
        asked = dict(query) | {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self._settings.access_key}/{self._scope(moment)}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": str(min(seconds, 604_800)),
            "X-Amz-SignedHeaders": "host",
        }
        if self._settings.session_token:
            asked["X-Amz-Security-Token"] = self._settings.session_token
        asked["X-Amz-Signature"] = self._signature(method, key, asked, {"host": self._host}, moment)
        return Link(self.url(key, asked), {})

    def _path(self, key: str) -> str:
        return quote(f"{self._root}/{key}", safe="/-_.~")

    def _scope(self, moment: str) -> str:
        return f"{moment[:8]}/{self._settings.region}/s3/aws4_request"

    def _signature(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str], moment: str
    ) -> str:
        lines = [f"{name}:{headers[name].strip()}\n" for name in sorted(headers)]
        body = headers.get("x-amz-content-sha256", UNSIGNED)
        names = ";".join(sorted(headers))
        request = "\n".join([method, self._path(key), _canonical(query), "".join(lines), names, body])
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = "\n".join([_ALGORITHM, moment, self._scope(moment), digest])
        secret = f"AWS4{self._settings.secret_key}".encode()
        for step in (moment[:8], self._settings.region, "s3", "aws4_request", text):
            secret = hmac.digest(secret, step.encode(), "sha256")
        return secret.hex()


def _canonical(query: Mapping[str, str]) -> str:
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def _moment() -> str:
    return datetime.fromtimestamp(now_ms() / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
