"""An issuer of signed tokens as a real HTTP server: its document, its keys, and a token endpoint that is told what to
answer. It signs whatever it is asked to, which a good one would not.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

Answer = tuple[int, dict[str, str], bytes]
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"]


def make_keys() -> dict[str, Key]:
    """One key of each kind, by its id."""
    return {
        "rsa": RSAKey.generate_key(2048, {"kid": "rsa"}),
        "ec": ECKey.generate_key("P-256", {"kid": "ec"}),
        "ed": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
    }


KEYS = make_keys()
OTHER_KEYS = make_keys()


def key_set(keys: dict[str, Key]) -> dict[str, Any]:
    """The public halves as a JWK set."""
    return {"keys": [{**key.as_dict(private=False), "kid": kid, "use": "sig"} for kid, key in keys.items()]}


def sign(claims: dict[str, Any], key: Key, header: dict[str, Any]) -> str:
    """A signed token."""
    return jwt.encode(header, claims, key, ALGORITHMS)


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A token with whatever stands where the signature would be."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def mac_signed(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token authenticated by HMAC-SHA256 under any bytes, such as those of a public key."""
    body = unsigned(header, claims).rpartition(".")[0]
    tag = hmac.new(secret, body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(tag).decode().rstrip('=')}"


class Issuer:
    """The server. `answers` has what it answers by path; `calls` what it was asked, with the body."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.calls: list[tuple[str, dict[str, list[str]]]] = []
        self.headers: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}"
        self.answers: dict[str, Answer | Callable[[BaseHTTPRequestHandler], None]] = {}
        self.publish()
        self.give(key_set(KEYS), "/keys")
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self, **changed: Any) -> None:
        """Show the discovery document, with these of its members changed (None: left out)."""
        document = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
        }
        shown = {name: value for name, value in {**document, **changed}.items() if value is not None}
        self.give(shown, "/.well-known/openid-configuration")

    def give(self, value: Any, path: str) -> None:
        """Answer JSON at a path from now on."""
        self.answers[path] = (200, {"content-type": "application/json"}, json.dumps(value).encode())

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Usual claims of a job's token, with these changed (None: left out)."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": "modelkeep", "sub": "repo:acme/churn:ref:refs/heads/main"}
        usual |= {"iat": now, "exp": now + 300, "repository": "acme/churn", "ref_protected": True}
        return {name: value for name, value in {**usual, **changed}.items() if value is not None}

    def token(self, alg: str = "RS256", kid: str = "rsa", **changed: Any) -> str:
        """A good token but for the claims that are changed."""
        return sign(self.claims(**changed), KEYS[kid], {"alg": alg, "kid": kid})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def answer(self) -> None:
                size = int(self.headers.get("content-length", 0))
                form = parse_qs(self.rfile.read(size).decode())
                path = urlsplit(self.path).path
                issuer.calls.append((path, form))
                issuer.headers.append({name.lower(): value for name, value in self.headers.items()})
                answer = issuer.answers.get(path, (404, {}, b""))
                if callable(answer):
                    answer(self)
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
