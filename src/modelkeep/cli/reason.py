"""Why a command changes what it changes, as `modelkeep --reason` says it: told to the server with every call."""

from contextvars import ContextVar

reason: ContextVar[str] = ContextVar("reason", default="")
