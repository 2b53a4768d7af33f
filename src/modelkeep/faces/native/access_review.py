"""Why something is allowed or not, what somebody may do, and who may do what on a thing, on the native API."""

from typing import Any

from modelkeep.access import SERVER, Grant, Kind, Permission, Target, Verb, people, review
from modelkeep.catalog import targets
from modelkeep.core.errors import InvalidInput, NotFound
from modelkeep.core.types import NOWHERE
from modelkeep.db import Tx
from modelkeep.faces.about_access import explained_target
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation


class ExplainAccess(Request):
    """Whether somebody (the caller, unless named) may do a verb on a resource: `model/NAME`, `experiment/NAME`,
    `workspace/NAME` or `server`; `alias` is the alias of a model that would move. Of a model or experiment that is not
    there, the answer says what would hold for one of that name.
    """

    verb: str
    resource: str
    user: str = ""
    alias: str = ""


class EffectiveAccess(Request):
    """All that somebody (the caller, unless named) was given."""

    user: str = ""


class ReviewAccess(Request):
    """A page of who may do what on a resource."""

    resource: str
    limit: PageSize = 100
    cursor: Cursor = ""


class GrantAnswer(Answer):
    """Something that is allowed or denied, and where that comes from: words, and the id of an assignment."""

    effect: str
    verbs: list[str]
    workspace: str
    kind: str
    pattern: str
    aliases: str
    because: str
    assignment_id: int | None = None


class ExplanationAnswer(Answer):
    """A decision: the reason in words, the grant that decided, and who can grant what is missing.

    `can_sign_in` is false for somebody disabled: then nothing is let through, whatever roles say. `exists` is false
    where there is no such thing as far as the caller may know; roles on single things do not count then.
    """

    user: str
    verb: str
    resource: str
    allowed: bool
    because: str
    can_sign_in: bool
    exists: bool
    grant: GrantAnswer | None = None
    who_can_grant: list[str] | None = None


class EffectiveAnswer(Answer):
    """What somebody was given, themselves, through groups or by sharing."""

    user: str
    can_sign_in: bool
    grants: list[GrantAnswer]


class HolderAnswer(Answer):
    """Somebody who may do something on a thing: each verb, and what allows it."""

    id: str
    name: str
    kind: str
    verbs: dict[str, str]


class HolderPage(Answer):
    """A page of those who may do something on a thing, by name."""

    items: list[HolderAnswer]
    next_cursor: str | None = None


def explain_access(tx: Tx, request: ExplainAccess) -> ExplanationAnswer:
    """Why somebody may do something or not."""
    verb, target = _verb(request.verb), explained_target(tx, request.resource, request.alias)
    if target is None or tx.workspace == NOWHERE:
        raise _not_found(request.resource)
    user = _user(tx, request.user)
    found = review.explain(tx, user.id, verb, target)
    decision = found.decision
    return ExplanationAnswer(
        user=user.name,
        verb=verb,
        resource=request.resource,
        allowed=decision.allowed,
        because=decision.because,
        can_sign_in=people.is_enabled(tx, user),
        exists=target == SERVER or target.kind is Kind.WORKSPACE or bool(target.id),
        grant=_grant(decision.grant) if decision.grant is not None else None,
        who_can_grant=None if decision.allowed else found.who_can_grant,
    )


def effective_access(tx: Tx, request: EffectiveAccess) -> EffectiveAnswer:
    """What somebody may do, and where it comes from."""
    user = _user(tx, request.user)
    grants = [_grant(one) for one in review.grants_of(tx, user.id)]
    return EffectiveAnswer(user=user.name, can_sign_in=people.is_enabled(tx, user), grants=grants)


def review_access(tx: Tx, request: ReviewAccess) -> HolderPage:
    """Who may do what on a thing, and why."""
    after = read_cursor(request.cursor, str)[0] if request.cursor else ""
    found = review.review(tx, _target(tx, request.resource), after, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].name) if len(found) > len(page) else None
    return HolderPage(items=[_holder(one) for one in page], next_cursor=more)


def _verb(text: str) -> Verb:
    if text not in set(Verb):
        raise InvalidInput(f"'verb' is one of {', '.join(Verb)}.", "verb")
    return Verb(text)


def _target(tx: Tx, resource: str) -> Target:
    found = targets.resource(tx, resource)
    if found is None:
        raise _not_found(resource)
    return found


def _not_found(resource: str) -> NotFound:
    kind, _, name = resource.partition("/")
    return NotFound(f"{kind.capitalize()} '{name}' not found")


def _user(tx: Tx, name: str) -> Any:
    user = people.find_user(tx, name) if name else people.user(tx, tx.actor.id)
    if user is None and name:
        raise NotFound(f"No person or service has the name '{name[:80]}'.", "user")
    if user is None:
        raise InvalidInput("Nobody is signed in: name the 'user' that this is about.", "user")
    return user


def _grant(grant: Grant) -> GrantAnswer:
    return GrantAnswer(
        effect=grant.effect,
        verbs=sorted(grant.verbs),
        workspace=grant.workspace,
        kind=grant.kind,
        pattern=grant.pattern,
        aliases=grant.aliases,
        because=grant.because,
        assignment_id=grant.assignment or None,
    )


def _holder(one: review.Holder) -> HolderAnswer:
    verbs = {str(verb): because for verb, because in one.verbs.items()}
    return HolderAnswer(id=one.id, name=one.name, kind=one.kind, verbs=verbs)


def _operation(name: str, request: Any, run: Any, summary: str, answer: Any) -> Operation:
    path = routes("GET", f"access/{name}")
    return Operation(f"access.{name}", NATIVE, path, request, run, Mode.READ, Permission.ROLE_READ, summary, answer)


OPERATIONS: list[Operation] = [
    _operation("explain", ExplainAccess, explain_access, "Why somebody may do something or not", ExplanationAnswer),
    _operation("effective", EffectiveAccess, effective_access, "What somebody may do, and why", EffectiveAnswer),
    _operation("review", ReviewAccess, review_access, "Who may do what on a thing, and why", HolderPage),
]
