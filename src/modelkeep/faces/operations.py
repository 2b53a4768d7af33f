"""The operation: one thing a caller can do, and all that the server must know to offer it.

Every route, permission, size limit and line of the OpenAPI document comes from the operations that the faces list.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from msgspec import Struct

from modelkeep.access import Asked, Permission
from modelkeep.app import App
from modelkeep.core.errors import DomainError
from modelkeep.core.types import Caller, Piece
from modelkeep.db import Tx

_JSON_BODY = 8 * 1024 * 1024


class Mode(Enum):
    """How an operation's use case is run."""

    QUICK = "quick"  # one or two look-ups by key
    READ = "read"
    WRITE = "write"
    STREAM = "stream"  # an Exchange: bytes in or out beside the use cases
    STEPS = "steps"  # an Exchange whose JSON body was read: several use cases, and work between them


class Public(Enum):
    """Marks the few operations that ask for no permission."""

    PUBLIC = "public"


PUBLIC = Public.PUBLIC


@dataclass(frozen=True, slots=True)
class Signed:
    """Marks the few operations that take a signed link in place of a token; who made it needs the permission."""

    permission: Permission

    def __str__(self) -> str:
        return str(self.permission)


class NoInput(Struct):
    """An operation that takes nothing."""


class Body(Protocol):
    """An answer's bytes that are produced piece by piece; `size` is None where only their end will tell."""

    @property
    def size(self) -> int | None: ...

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The pieces, in order."""

    def close(self) -> None:
        """Let go of what they are read from; called once, whatever happened."""


@dataclass(slots=True)
class Reply:
    """An answer in HTTP's terms."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes | Body = b""


@dataclass(slots=True)
class Exchange:
    """What an operation in `Mode.STREAM` or `STEPS` works with. `headers` have lower-case names."""

    app: App
    caller: Caller
    request: Any
    method: str
    headers: Mapping[bytes, bytes]
    body: AsyncIterator[Piece]


class Face(Protocol):
    """How a wire writes requests, answers and refusals."""

    name: str

    def parse(self, operation: "Operation", fields: dict[str, Any], body: bytes, headers: Mapping[bytes, bytes]) -> Any:
        """The operation's typed request from path and query fields and the body; `InvalidInput` if it is none."""

    def render(self, operation: "Operation", result: Any) -> Reply:
        """The answer of a use case."""

    def refuse(self, error: DomainError, request_id: str) -> Reply:
        """A refusal."""

    def fail(self, request_id: str) -> Reply:
        """An error of ours: nothing but the request id, which the log explains."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a caller can do.

    `about` tells what a request is about, which `faces.about` has for each. `run` is `(tx, request) -> answer`, or for
    `Mode.STREAM` and `STEPS` an async function of an Exchange. A route's path may have `{name}` for one segment and end
    in `{name:path}` for the rest. `rationed` says which of its requests an address may make only so many of.
    """

    name: str
    face: Face
    routes: tuple[tuple[str, str], ...]
    request: type[Struct]
    run: Callable[..., Any]
    mode: Mode
    permission: Permission | Public | Signed
    summary: str = ""
    answer: Any = None
    body_limit: int = _JSON_BODY
    status: int = 200
    about: Callable[[Tx, Any], Iterable[Asked]] | None = None
    rationed: Callable[[Any], bool] | None = None
