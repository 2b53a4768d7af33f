"""The table of operations as the tests walk it: every route, with the fields that it takes from path, query or body."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from modelkeep.faces.access_log import AccessLog
from modelkeep.faces.operations import Mode, Operation
from modelkeep.faces.table import all_operations

OPERATIONS = all_operations(AccessLog())


@dataclass(frozen=True)
class Route:
    """One way to call an operation."""

    operation: Operation
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def in_path(self) -> list[str]:
        """The fields that stand in the path."""
        return [part.strip("{}").removesuffix(":path") for part in self.path.split("/") if part.startswith("{")]

    @property
    def fields(self) -> dict[str, Any]:
        """All the fields of the request and their types."""
        return {one.encode_name: one.type for one in msgspec.structs.fields(self.operation.request)}

    @property
    def texts(self) -> list[str]:
        """The fields outside the path that can be text."""
        return [name for name, of in self.fields.items() if "str" in str(of) and name not in self.in_path]

    @property
    def takes_json(self) -> bool:
        """Whether the fields outside the path stand in a JSON body."""
        return self.method not in {"GET", "HEAD"} and self.operation.mode is not Mode.STREAM

    def target(self, values: dict[str, str], *, spelled: bool = False) -> str:
        """The path with its fields filled in, percent-encoded unless `spelled` already; `x` where none is given."""
        filled = []
        for part in self.path.split("/"):
            name = part.strip("{}").removesuffix(":path")
            text = values.get(name, "x") if part.startswith("{") else part
            filled.append(text if spelled or not part.startswith("{") else encoded(text))
        return "/".join(filled)

    def call(self, values: dict[str, Any]) -> tuple[str, str, bytes]:
        """Method, target and body of a call with these values in their places."""
        target = self.target({name: str(values[name]) for name in self.in_path if name in values})
        outside = {name: value for name, value in values.items() if name not in self.in_path and name in self.fields}
        if self.takes_json:
            return self.method, target, json.dumps(outside).encode()
        query = urlencode({k: v.encode(errors="surrogatepass") for k, v in outside.items() if isinstance(v, str)})
        return self.method, f"{target}?{query}" if query else target, b""


def encoded(text: str) -> str:
    """Percent-encoded whole; a lone surrogate becomes the bytes that no decoder takes."""
    return quote(text.encode(errors="surrogatepass"), safe="")


def routes() -> Iterator[Route]:
    """Every route of every operation, and HEAD wherever there is GET."""
    for operation in OPERATIONS:
        for method, path in operation.routes:
            yield Route(operation, method, path)
            if method == "GET":
                yield Route(operation, "HEAD", path)


ROUTES = list(routes())
