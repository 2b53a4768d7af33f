"""The one decision about a request: what it asks of which things, against what its caller may do.

A thing that the caller may not read is to them as if it were not there: the request goes on in a workspace that holds
nothing, so that its answer is that of an absent thing by construction. What they may read but not change is refused
with what is missing and who can give it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from modelkeep.access.grants.rights import who_may
from modelkeep.access.rules import Decision, Kind, Rights, Target, Verb
from modelkeep.core.errors import DomainError, Forbidden, NotFound
from modelkeep.core.types import NOWHERE
from modelkeep.db import Tx

_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks of a thing: the operation's own verb unless another is named.

    `creates` says that the thing is made if it is not there: then its absence hides nothing. `missing` is the refusal
    of a request that refers to a thing that is not there; `optional` lets such a request go on and find no files.
    `absent` says that nothing is there, whatever else is asked of other things: or what a request is refused with first
    would tell what is absent from what is hidden. `hides` names, for the record, what is there all the same.
    """

    target: Target
    verb: Verb | None = None
    creates: bool = False
    missing: DomainError | None = None
    absent: bool = False
    optional: bool = False
    hides: str = ""


class Refused(Forbidden):
    """Not allowed; `target` and `verb` are for the record."""

    def __init__(self, message: str, verb: Verb, target: Target) -> None:
        super().__init__(message)
        self.verb = verb
        self.target = target


def permit(tx: Tx, rights: Rights, verb: Verb, asked: Iterable[Asked]) -> bool:
    """Let a request through, or have it go on where nothing is (False). Raises Refused, or what a reference lacks."""
    looked = False
    for one in asked:
        looked = True
        if not one.absent and _is_allowed(tx, rights, one, one.verb or verb):
            continue
        if one.missing is not None:
            raise one.missing
        if one.optional:
            tx.caller = replace(tx.caller, finds_source=False)
            continue
        if one.target.kind is Kind.WORKSPACE and not one.absent:
            raise NotFound(f"Workspace '{one.target.name}' not found")
        return _nowhere(tx)
    if not looked:
        _decide_in_vain(rights, verb, tx.workspace)
    return True


def _decide_in_vain(rights: Rights, verb: Verb, workspace: str) -> None:
    """Take the time of a decision about something hidden, where nothing is."""
    nothing = Target(Kind.MODEL, "", "", workspace)
    rights.decide(verb, nothing)
    rights.decide(Verb.READ, nothing)


def _is_allowed(tx: Tx, rights: Rights, one: Asked, verb: Verb) -> bool:
    """Whether this is allowed; False where it is hidden. Raises Refused where it is known and not allowed."""
    decision, verb = decide(rights, verb, one.target)
    if not decision.allowed and (one.creates or _is_known(tx, rights, one.target)):
        raise refusal(tx, verb, one.target, decision.because)
    return decision.allowed


def decide(rights: Rights, verb: Verb, target: Target) -> tuple[Decision, Verb]:
    """The decision, and about which verb: READ where that is denied, whatever else is allowed. To who may not know of a
    thing it is not there to be changed, and its name not theirs to take.
    """
    decision = rights.decide(verb, target)
    if decision.allowed and verb is not Verb.READ and target.kind in (Kind.MODEL, Kind.EXPERIMENT):
        seen = rights.decide(Verb.READ, replace(target, alias=""))
        if seen.grant is not None and not seen.allowed:
            return seen, Verb.READ
    return decision, verb


def _nowhere(tx: Tx) -> bool:
    """Go on where nothing is."""
    tx.caller = replace(tx.caller, workspace=NOWHERE)
    return False


def refusal(tx: Tx, verb: Verb, target: Target, because: str) -> Refused:
    """What says which verb on what is missing, why, and who can give it."""
    names = who_may(tx, Verb.MANAGE, target, _MOST_NAMES + 1)
    more = ", ..." if len(names) > _MOST_NAMES else ""
    remedy = f"{', '.join(names[:_MOST_NAMES])}{more} can grant it" if names else "an administrator can grant it"
    return Refused(
        f"{tx.actor.name or 'The caller'} lacks the permission '{verb}' on {target}: {because}; {remedy}.", verb, target
    )


def _is_known(tx: Tx, rights: Rights, target: Target) -> bool:
    """Whether a refusal tells the caller nothing new: of the server, of a workspace of theirs, of what they may read.

    What belongs to no workspace, such as people and roles, is there also for who is nowhere: it is refused, not hidden.
    """
    if target.kind is Kind.SERVER:
        return True
    if target.kind is Kind.WORKSPACE:
        return target.name == tx.workspace or rights.is_member(target.name)
    return rights.decide(Verb.READ, target).allowed
