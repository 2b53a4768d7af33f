"""A browser, as far as signing in is concerned: it keeps cookies, and says where a request comes from."""

from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

SESSION = "__Host-modelkeep"
FLOW = "__Host-modelkeep-sign-in"


class Browser:
    """One browser's dealings with one server. `cookies` may be looked at and changed by tests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def send(self, method: str, target: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        """Send exactly these headers, and the cookies; keep the cookies that come."""
        given = dict(headers or {})
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self._client.request(method, target, headers=given, **body)
        for cookie in answer.headers.get_list("set-cookie"):
            self._keep(cookie)
        return answer

    def go(self, target: str, *, site: str = "same-origin") -> httpx.Response:
        """Open a page, by a click on a page of that site."""
        return self.send("GET", target, {"sec-fetch-site": site, "sec-fetch-mode": "navigate"})

    def call(self, method: str, target: str, fields: Any = None) -> httpx.Response:
        """What a page of ours calls, with all that such a page sends along."""
        headers = {"origin": self.url, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
        if SESSION in self.cookies and method != "GET":
            headers["x-csrf-token"] = self.csrf_token()
        return self.send(method, target, headers, **({} if fields is None else {"json": fields}))

    def csrf_token(self) -> str:
        """What the pages of a signed-in browser send along; empty once it is signed out."""
        return str(self.send("GET", "/api/v1/me/session").json().get("csrf_token", ""))

    def sign_in(self, name: str, password: str) -> httpx.Response:
        """Sign in with name and password."""
        return self.call("POST", "/api/v1/sign-in", {"name": name, "password": password})

    def sign_in_at(self, subject: str, next_path: str = "/") -> httpx.Response:
        """Sign in through the provider as this subject; the answer to coming back."""
        return self.come_back(self.approved(self.start(next_path), subject))

    def start(self, next_path: str = "/") -> str:
        """Begin to sign in; the provider's address that the browser is sent to."""
        sent = self.send("GET", "/oidc/start", {"sec-fetch-site": "same-origin"}, params={"next": next_path})
        assert sent.status_code == 303, sent.text
        return str(sent.headers["location"])

    def approved(self, address: str, subject: str) -> str:
        """Fill in the provider's form; the address of ours that it sends the browser back to."""
        sent = httpx.post(address, data={"sub": subject}, trust_env=False)
        assert sent.status_code == 302, sent.text
        return str(sent.headers["location"])

    def come_back(self, address: str) -> httpx.Response:
        """Follow the provider's redirect."""
        parts = urlsplit(address)
        return self.go(f"{parts.path}?{parts.query}", site="cross-site")

    def me(self) -> httpx.Response:
        """Who the server takes us for."""
        return self.send("GET", "/api/v1/me")

    def _keep(self, cookie: str) -> None:
        name, _, rest = cookie.partition("=")
        value, *attributes = (part.strip() for part in rest.split(";"))
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes), cookie
        assert not any(attribute.lower().startswith("domain") for attribute in attributes), cookie
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value
