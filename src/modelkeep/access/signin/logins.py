"""The person behind a provider's word: made at the first sign-in, found again by issuer and subject, never by name."""

from collections.abc import Mapping
from typing import Any

from modelkeep.access import people
from modelkeep.access.grants.assignments import is_administered
from modelkeep.access.people.events import GroupsOfUserKept
from modelkeep.access.people.rules import FIRST_ADMINISTRATOR
from modelkeep.access.signin import oidc_store as store
from modelkeep.access.signin.session_events import LoginLinked
from modelkeep.config import OidcSettings
from modelkeep.core.errors import AlreadyExists, Conflict, Forbidden, InvalidInput
from modelkeep.db import Tx

_MOST_GROUPS = 1000


def person_of(tx: Tx, settings: OidcSettings, claims: Mapping[str, Any]) -> tuple[Any, GroupsOfUserKept | None]:
    """The row of whom the claims name, in the groups that they name and no others of this issuer's; and what of that
    was left out, since it would have left nobody who administers the registry.

    Raises Forbidden for somebody who may not come in, and Conflict where their name belongs to somebody else.
    """
    email = _verified_email(claims)
    if settings.domains and email.rpartition("@")[2] not in settings.domains:
        raise Forbidden("Only people with a verified email address of these domains come in: " + _listed(settings))
    person = store.user_of(tx, settings.issuer, claims["sub"]) or _made(tx, settings.issuer, claims, email)
    if not people.is_enabled(tx, person):
        raise Forbidden("This account is disabled.")
    kept = people.set_groups_of(tx, person.id, settings.issuer, _groups(settings, claims), is_administered)
    return person, kept


def link_login(tx: Tx, person: Any, issuer: str, subject: str) -> None:
    """Let whom the issuer calls `subject` sign in as this person. Raises Conflict if that is somebody else already."""
    if person.kind != people.PERSON:
        raise InvalidInput(f"'{person.name}' is a service; only people sign in through a provider.", "name")
    people.lock_user(tx, person)
    if store.link(tx, issuer, subject, person.id):
        tx.emit(LoginLinked(person.id, issuer, subject))
        return
    known = store.user_of(tx, issuer, subject)
    if known is None or known.id != person.id:
        raise Conflict(f"That subject is '{known.name if known else '?'}' already.")


def _made(tx: Tx, issuer: str, claims: Mapping[str, Any], email: str) -> Any:
    """A new person of a name that was free, linked to what the issuer calls them."""
    name = _name(claims, email)
    try:
        person = people.make_user(tx, name, display_name=_display_name(claims))
    except AlreadyExists as error:
        # The same sign-in may have been quicker in another tab.
        known = store.user_of(tx, issuer, claims["sub"])
        if known is not None:
            return known
        raise Conflict(
            f"The name '{name}' belongs to somebody else here. If that is you, an administrator can link the two: "
            f"modelkeep admin issuer link {name} --issuer {issuer} --subject {claims['sub']}"
        ) from error
    link_login(tx, person, issuer, claims["sub"])
    return person


def _name(claims: Mapping[str, Any], email: str) -> str:
    """The first that can be a name here: the preferred name, the verified email address."""
    preferred = claims.get("preferred_username")
    for given in (preferred, email):
        name = given.lower() if isinstance(given, str) else ""
        # What looks like an address must be one that the issuer verified. Who is called as the first administrator was,
        # who may be gone, would be made one at the next recovery.
        if _can_be(name) and name != FIRST_ADMINISTRATOR and ("@" not in name or name == email):
            return name
    raise Forbidden(
        "The identity provider gives no name that can be used here: preferred_username, or a verified email address, "
        "of 1 to 64 of a-z 0-9 . _ @ -"
    )


def _can_be(name: str) -> bool:
    try:
        people.check_name(name)
    except InvalidInput:
        return False
    return True


def _verified_email(claims: Mapping[str, Any]) -> str:
    email = claims.get("email")
    return email.lower() if isinstance(email, str) and claims.get("email_verified") is True else ""


def _display_name(claims: Mapping[str, Any]) -> str | None:
    name = claims.get("name")
    return name[:200].replace("\x00", "") if isinstance(name, str) and name.strip() else None


def _groups(settings: OidcSettings, claims: Mapping[str, Any]) -> set[str]:
    """Our names of the groups that the claims name. Without a mapping they have the same names."""
    given = claims.get(settings.groups_claim)
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    texts = [name for name in names[:_MOST_GROUPS] if isinstance(name, str)]
    if not settings.groups:
        return {name for name in texts if "\x00" not in name}
    return {ours for theirs, ours in settings.groups if theirs in texts}


def _listed(settings: OidcSettings) -> str:
    return ", ".join(settings.domains)
