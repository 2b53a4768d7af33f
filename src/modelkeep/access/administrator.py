"""The administrator that every registry has: made at the first start, and again for whoever holds the database."""

from typing import Any

from modelkeep.access import people, store
from modelkeep.access.grants.assignments import make_administrator
from modelkeep.access.people.rules import FIRST_ADMINISTRATOR
from modelkeep.access.signin import token_store
from modelkeep.access.signin.events import TokensRevoked
from modelkeep.access.signin.token_text import NewToken
from modelkeep.access.signin.tokens import make_token_for
from modelkeep.core.types import DEFAULT_WORKSPACE
from modelkeep.db import Tx


def administrator(tx: Tx) -> Any:
    """The person `admin`, made where there is none of that name, and let in again where disabled."""
    found = people.find_user(tx, FIRST_ADMINISTRATOR)
    if found is None:
        found = people.make_user(tx, FIRST_ADMINISTRATOR)
    else:
        people.enable_user(tx, found)
    make_administrator(tx, found.id)
    return people.user(tx, found.id)


def make_first_token(tx: Tx) -> NewToken | None:
    """The administrator's token of a new registry; None if any token was ever made.

    The default workspace must be there: its lock makes servers that start at the same moment count one after the other.
    """
    store.lock_workspace(tx, DEFAULT_WORKSPACE)
    if token_store.count_tokens(tx):
        return None
    return make_token_for(tx, administrator(tx), name="first start")


def replace_administrator_token(tx: Tx, *, revoke_others: bool = False) -> NewToken:
    """A further administrator token, for somebody with access to the database who lost the first or saw it leak."""
    if revoke_others and (revoked := token_store.revoke_since(tx, 0, "")):
        tx.emit(TokensRevoked(revoked, 0, ""))
    return make_token_for(tx, administrator(tx), name="recovery")


def adopt_token_owners(tx: Tx) -> dict[str, str]:
    """Make users of those whom tokens of an older registry were made for; their ids by their names.

    Done again, it changes nothing. The default workspace must be there.
    """
    if not token_store.names_without_user(tx):
        return {}
    store.lock_workspace(tx, DEFAULT_WORKSPACE)
    adopted = {}
    for name in token_store.names_without_user(tx):
        user = administrator(tx) if name == FIRST_ADMINISTRATOR else _owner_named(tx, name)
        token_store.adopt(tx, name, user.id)
        adopted[name] = str(user.id)
    return adopted


def _owner_named(tx: Tx, name: str) -> Any:
    """Whom an older registry made tokens for: there, everybody who signed in might do everything."""
    user = people.find_user(tx, name) or people.make_user(tx, name)
    make_administrator(tx, user.id)
    return user
