"""From method and path to an operation, by a tree of path segments."""

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from modelkeep.core.errors import InvalidInput
from modelkeep.faces.operations import Operation

# A query in which nothing is encoded.
_PLAIN_QUERY = re.compile(rb"[\w.~:/=&-]*", re.ASCII)


class _Node:
    __slots__ = ("children", "methods", "parameter", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: dict[str, tuple[Operation, tuple[str, ...]]] = {}
        self.rest: dict[str, tuple[Operation, tuple[str, ...]]] = {}


class Router:
    """All operations, findable. HEAD is answered wherever GET is."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        self._plain: dict[tuple[str, str], Operation] = {}
        for operation in operations:
            for method, path in operation.routes:
                self._add(method, path, operation)
                if method == "GET":
                    self._add("HEAD", path, operation)

    def find(self, method: str, raw_path: bytes) -> tuple[Operation, dict[str, str]] | None:
        """The operation and its path fields. `InvalidInput` where the path is not valid UTF-8.

        The path is split before it is decoded, and decoded once, so an encoded slash never separates segments.
        Repeated slashes count as one.
        """
        plain = self._plain.get((method, raw_path.decode("latin-1")))
        if plain is not None:
            return plain, {}
        segments = [decode(part) for part in raw_path.split(b"/") if part]
        return self._walk(method, segments, trailing_slash=raw_path.endswith(b"/"))

    def _walk(
        self, method: str, segments: list[str], *, trailing_slash: bool
    ) -> tuple[Operation, dict[str, str]] | None:
        node = self._root
        values: list[str] = []
        found: tuple[tuple[Operation, tuple[str, ...]], list[str]] | None = None
        for position, segment in enumerate(segments):
            if method in node.rest:
                found = node.rest[method], [*values, "/".join(segments[position:])]
            child = node.children.get(segment)
            if child is None:
                child = node.parameter
                if child is None:
                    break
                values.append(segment)
            node = child
        else:
            if method in node.methods and not trailing_slash:
                found = node.methods[method], values
        if found is None:
            return None
        (operation, names), given = found
        return operation, dict(zip(names, given, strict=True))

    def _add(self, method: str, path: str, operation: Operation) -> None:
        if "{" not in path:
            if (method, path) in self._plain:
                raise ValueError(f"{method} {path} has two operations")
            self._plain[method, path] = operation
        node = self._root
        names: list[str] = []
        for segment in path.strip("/").split("/"):
            if segment.endswith(":path}"):
                node.rest[method] = operation, (*names, segment[1:-6])
                return
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node = node.parameter or _Node()
            else:
                node = node.children.setdefault(segment, _Node())
        node.methods[method] = operation, tuple(names)


def decode(text: bytes) -> str:
    """Percent-decode once; `InvalidInput` where the result is not UTF-8, or holds a NUL, which cannot be stored."""
    raw = unquote_to_bytes(text) if b"%" in text else text
    if b"\x00" in raw:
        raise InvalidInput("Invalid path: the address holds a NUL character.")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("Invalid path: it is not valid UTF-8.") from error


def query_fields(raw: bytes) -> dict[str, list[str]]:
    """The query string's fields, each with all its values, decoded once."""
    fields: dict[str, list[str]] = {}
    decoded = bytes.decode if _PLAIN_QUERY.fullmatch(raw) else _form_decode
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            fields.setdefault(decoded(name), []).append(decoded(value))
    return fields


def _form_decode(text: bytes) -> str:
    return decode(text.replace(b"+", b" "))
