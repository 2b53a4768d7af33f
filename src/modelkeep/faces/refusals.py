"""What was refused comes into the audit log: from the edge where every refusal becomes an answer.

A refusal that says so is written down before it is answered. One that says that a thing is not there is written down
later, or the time that it takes would tell that it is there.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from modelkeep import audit
from modelkeep.access import Kind, Refused, Target, Verb, decide, workspace_exists, workspace_target
from modelkeep.app import Admitted, App
from modelkeep.core.errors import DomainError, Forbidden, NotFound, TooManyAttempts, Unauthenticated, Unavailable
from modelkeep.core.types import Caller
from modelkeep.db import Tx
from modelkeep.faces.admission import UNSAID, is_free
from modelkeep.faces.operations import Operation, Public, Signed

_NO_DECISION = (Unavailable, TooManyAttempts)
_log = logging.getLogger("modelkeep")


@dataclass(frozen=True, slots=True)
class Tried:
    """What somebody known wanted to do."""

    operation: Operation
    admitted: Admitted
    request: Any


class Refusals:
    """Writes down what is refused."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def note(
        self, error: DomainError, address: str, caller: Caller | None, tried: Tried | None, operation: str
    ) -> None:
        """Write down a refusal, if it is one of what the caller may. `caller` is None where nobody is known."""
        if isinstance(error, Unauthenticated) or (isinstance(error, Forbidden) and caller is None):
            self._app.unknown_callers.count(address)
        elif isinstance(error, Forbidden) and caller is not None:
            verb, target = _refused(error, caller, tried)
            await _logged(self._write(caller, operation, verb, target, error.message))
        elif isinstance(error, NotFound) and tried is None and caller is not None:
            await self._note_workspace(caller, operation, error.message)
        elif tried is not None and not isinstance(error, _NO_DECISION) and not _is_free(tried):
            await self._note_hidden(tried, error.code)

    async def note_unsaid(self, tried: Tried | None) -> None:
        """Write down what was hidden from a request that was answered as if it had found nothing to do."""
        if tried is not None and tried.operation.name in UNSAID and not _is_free(tried):
            await self._note_hidden(tried, "unsaid")

    async def _write(self, caller: Caller, operation: str, verb: str, target: Target, message: str) -> None:
        said, place = (operation, verb, audit.resource_of(target), message), target.workspace
        await self._app.write(caller, lambda tx: audit.note_refusal(tx, *said, hidden=False, place=place))

    async def _note_hidden(self, tried: Tried, code: str) -> None:
        # Not the message, which may repeat what the request said.
        await self._later(tried.admitted.caller, tried.operation.name, code, lambda tx: _hidden(tx, tried))

    async def _note_workspace(self, caller: Caller, operation: str, code: str) -> None:
        """Somebody wanted into a workspace that they are no member of."""
        await self._later(caller, operation, code, lambda tx: _hidden_workspace(tx, caller.workspace))

    async def _later(
        self, caller: Caller, operation: str, code: str, find: Callable[[Tx], audit.Hidden | None]
    ) -> None:
        if not self._app.hidden_refusals.add(audit.Suspect(caller, operation, code, find)):
            await asyncio.to_thread(self._app.hidden_refusals.write, self._app.database)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    """The refusal stands whether or not it can be written down."""
    try:
        await work
    except DomainError as error:
        _log.error("a refusal could not be written down", extra={"fields": {"problem": error.message}})


def _is_free(tried: Tried) -> bool:
    return is_free(tried.operation, tried.admitted, tried.request)


def _refused(error: Forbidden, caller: Caller, tried: Tried | None) -> tuple[str, Target]:
    if isinstance(error, Refused):
        return error.verb, error.target
    return (_verb(tried.operation) or "" if tried else ""), workspace_target(caller.workspace)


def _hidden(tx: Tx, tried: Tried) -> audit.Hidden | None:
    """The first thing that the request is about and the caller may not do this to."""
    verb, about = _verb(tried.operation), tried.operation.about
    if verb is None or about is None:
        return None
    try:
        asked = list(about(tx, tried.request))
    except DomainError:
        return None
    for one in asked:
        wanted = one.verb or verb
        if one.absent:
            return (wanted, one.hides, "") if one.hides else None
        decision, wanted = decide(tried.admitted.rights, wanted, one.target)
        if not decision.allowed:
            is_there = one.target.kind is not Kind.WORKSPACE or workspace_exists(tx, one.target.name)
            return (wanted, audit.resource_of(one.target), one.target.workspace) if is_there else None
    return None


def _hidden_workspace(tx: Tx, name: str) -> audit.Hidden | None:
    return (Verb.READ, audit.resource_of(workspace_target(name)), name) if workspace_exists(tx, name) else None


def _verb(operation: Operation) -> Verb | None:
    permission = operation.permission.permission if isinstance(operation.permission, Signed) else operation.permission
    return None if isinstance(permission, Public) else permission.verb
