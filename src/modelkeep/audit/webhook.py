"""Checkpoints sent by HTTPS to an address of the operator's choice; to no machine inside unless that is allowed."""

import socket
import ssl
import threading
from http.client import HTTPException, HTTPSConnection
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from modelkeep.audit.copies import CopyFailed
from modelkeep.core.errors import BadSetting

_LIMIT_S = 10.0
_MOST_ANSWERED = 64 * 1024
_TRANSLATED = IPv6Network("64:ff9b::/96")


class Webhook:
    """An https address that checkpoints are posted to, as text. Its path, which may be a secret, is never shown."""

    def __init__(self, url: str, *, may_be_private: bool, limit_s: float = _LIMIT_S) -> None:
        parts = _parts(url)
        self._limit_s = limit_s
        self._host = str(parts.hostname)
        self._port = parts.port or 443
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._may_be_private = may_be_private
        self.name = f"https://{self._host}:{self._port}"

    def keep(self, size: int, note: str) -> None:  # noqa: ARG002 - the note says it too
        connection = _Checked(self._host, self._port, may_be_private=self._may_be_private)
        # Each read has its own limit; this is the one of all together.
        limit = threading.Timer(self._limit_s, connection.break_off)
        limit.start()
        try:
            self._post(connection, note.encode())
        except (OSError, HTTPException) as error:
            raise CopyFailed(str(error) or type(error).__name__) from error
        finally:
            limit.cancel()
            connection.close()

    def _post(self, connection: HTTPSConnection, body: bytes) -> None:
        connection.request("POST", self._target, body, {"Content-Type": "text/plain; charset=utf-8"})
        answer = connection.getresponse()
        if len(answer.read(_MOST_ANSWERED + 1)) > _MOST_ANSWERED:
            raise CopyFailed("the answer is too long")
        if not 200 <= answer.status < 300:
            raise CopyFailed(f"it answered {answer.status}")


class _Checked(HTTPSConnection):
    """A connection that looks at whom it reached, after the name was resolved, before anything is said."""

    def __init__(self, host: str, port: int, *, may_be_private: bool) -> None:
        self._trusted = ssl.create_default_context()
        self._may_be_private = may_be_private
        super().__init__(host, port, timeout=_LIMIT_S, context=self._trusted)

    def connect(self) -> None:
        """Connect, unless the address behind the name is one inside."""
        reached = socket.create_connection((self.host, self.port), _LIMIT_S)
        self.sock = reached
        if not self._may_be_private and not is_public(reached.getpeername()[0]):
            raise CopyFailed("its address is a private one; MODELKEEP_AUDIT_PRIVATE_COPIES allows that")
        self.sock = self._trusted.wrap_socket(reached, server_hostname=self.host)

    def break_off(self) -> None:
        """End whatever the connection waits for."""
        waiting = self.sock
        if waiting is not None:
            try:
                waiting.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


def is_public(address: str) -> bool:
    """Whether an address is one of the whole world's: not of this machine, a private network or a group."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        # Addresses of the older kind in the form of the newer one (RFC 4291, 2.5.5.2; RFC 6052).
        found = IPv4Address(found.packed[-4:]) if found.ipv4_mapped or found in _TRANSLATED else found
    return found.is_global and not found.is_multicast


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    if not port_is_fine or parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise BadSetting("--audit-copy https://HOST/PATH has a host, a port if need be, and no user.")
    return parts
