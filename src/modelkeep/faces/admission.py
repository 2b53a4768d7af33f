"""The decision about a request, in front of its use case and in the same transaction wherever there is one."""

from typing import Any

from modelkeep.access import Rights, Verb, permit, refusal, workspace_target
from modelkeep.app import Admitted
from modelkeep.core.errors import NotFound
from modelkeep.core.types import Caller
from modelkeep.db import Tx
from modelkeep.faces.about import BEYOND, listed, may_name_push
from modelkeep.faces.operations import Mode, Operation, Public, Signed

# What may be asked of other things than a request's subject, beside the operation's own verb.
_TO_READ = frozenset({Verb.READ, Verb.DOWNLOAD})
_TO_WRITE = _TO_READ | {Verb.REGISTER, Verb.EDIT}

# Deleting what is not there is fine, and so is a version of files that are not there yet: what is hidden is answered so
# too, and only the log tells.
DELETING = frozenset({"artifacts.delete"})
UNSAID = DELETING | {"model_versions.create", "versions.register"}


def is_free(operation: Operation, admitted: Admitted, request: Any) -> bool:
    """Whether the caller may do this to anything that the request could be about, so that nothing is looked up."""
    verb = _verb(operation)
    if verb is None:
        return not admitted.caller.actor.is_narrowed
    if operation.about in BEYOND or may_name_push(request):
        return False
    return all(admitted.rights.allows_all(one, admitted.caller.workspace) for one in _asked(verb))


def decided(tx: Tx, operation: Operation, rights: Rights, request: Any) -> bool:
    """Let a request through, or into a workspace that holds nothing (False). Raises what it is refused with."""
    verb = _verb(operation)
    if operation.about is None:
        return True
    if verb is None:
        # Everybody may do this who signed in, so it is asked for no right, but not with every token.
        operation.about(tx, request)
        return True
    if operation.about is listed:
        if not rights.allows_any(verb, tx.workspace):
            raise refusal(tx, verb, workspace_target(tx.workspace), "no role allows it on anything there")
        return True
    return permit(tx, rights, verb, operation.about(tx, request))


def run(tx: Tx, operation: Operation, rights: Rights, request: Any) -> Any:
    """Decide about a request and run its use case."""
    if decided(tx, operation, rights, request):
        return operation.run(tx, request)
    answer = operation.run(tx, request)
    if operation.mode is Mode.WRITE and operation.name not in DELETING:
        raise NotFound("What this is about is not there.")
    return answer


def stands(tx: Tx, operation: Operation, rights: Rights, request: Any) -> None:
    """Decide once more about a request whose body took its time. Raises what it is refused with."""
    if not decided(tx, operation, rights, request):
        raise NotFound("What this is about is not there.")


def caller_after(tx: Tx, operation: Operation, rights: Rights, request: Any) -> Caller:
    """The caller that a request which is not one transaction goes on as."""
    decided(tx, operation, rights, request)
    return tx.caller


def _verb(operation: Operation) -> Verb | None:
    permission = operation.permission
    if isinstance(permission, Signed):
        permission = permission.permission
    return None if isinstance(permission, Public) else permission.verb


def _asked(verb: Verb) -> frozenset[Verb]:
    return (_TO_READ if verb in _TO_READ else _TO_WRITE) | {verb}
