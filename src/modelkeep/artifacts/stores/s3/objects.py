"""Small objects of one bucket, and what the bucket holds: the general object-store client, with errors in our words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, cast

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from modelkeep.artifacts.stores.backoff import Refused
from modelkeep.config import S3Settings
from modelkeep.core.errors import Unavailable


class Object(NamedTuple):
    """What a listing says of an object."""

    key: str
    size: int
    etag: str
    modified: datetime


class Objects:
    """Reads, lists and deletes, by any thread. Calls raise Unavailable or Refused; what is absent is None."""

    def __init__(self, settings: S3Settings) -> None:
        client: dict[str, object] = {
            "allow_http": settings.address.startswith("http://"),
            "timeout": "30s",
            "connect_timeout": "5s",
        }
        if settings.ca is not None:
            client["root_certificate"] = settings.ca.read_bytes()
        self._store = S3Store(
            settings.bucket,
            config={"session_token": settings.session_token} if settings.session_token else {},
            endpoint=_endpoint(settings),
            region=settings.region,
            access_key_id=settings.access_key,
            secret_access_key=settings.secret_key,
            virtual_hosted_style_request=not settings.path_style,
            disable_bulk_delete=True,
            client_options=cast(Any, client),  # its type is not there at run time
            retry_config={"max_retries": 0},
        )

    def head(self, key: str) -> int | None:
        """How large an object is."""
        with _answered():
            try:
                return obstore.head(self._store, key)["size"]
            except FileNotFoundError:
                return None

    def begin_of(self, key: str, length: int) -> tuple[bytes, int] | None:
        """The first bytes of an object that is not empty, up to so many, and how large it is."""
        with _answered():
            try:
                found = obstore.get(self._store, key, options={"range": (0, length)})
            except FileNotFoundError:
                return None
            data = bytes(found.bytes())
            if len(data) != min(length, found.meta["size"]):
                raise Unavailable("The artifact store broke off within an object")
            return data, found.meta["size"]

    def put(self, key: str, data: bytes) -> None:
        """Write an object, also in place of one."""
        with _answered():
            obstore.put(self._store, key, data)

    def delete(self, key: str) -> None:
        """Remove an object; one that is absent is fine."""
        with _answered():
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                return

    def list(self, prefix: str, after: str = "") -> Iterator[Object]:
        """All objects whose keys begin with `prefix`, which ends with a slash, in the order of their keys.

        Only those behind the key of prefix and `after`, if that is given.
        """
        with _answered():
            for page in obstore.list(self._store, prefix, offset=prefix + after if after else None):
                for meta in page:
                    yield Object(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])


def _endpoint(settings: S3Settings) -> str:
    if settings.path_style:
        return settings.address
    return settings.address.replace("://", f"://{settings.bucket}.", 1)


@contextmanager
def _answered() -> Iterator[None]:
    """The client's errors, in the words of the domain and without addresses."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Refused(f"The artifact store refuses the request ({_reason(error)})") from error
    except (BaseError, OSError, ValueError) as error:
        raise Unavailable(f"The artifact store does not answer ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """The store's own code, or that of HTTP, or what kind of error it is."""
    found = re.search(r"<Code>(\w+)</Code>", str(error)) or re.search(r"status code: (\d+)", str(error))
    return found[1] if found else type(error).__name__
