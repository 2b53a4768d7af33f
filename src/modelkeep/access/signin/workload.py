"""Workload identity: a signed token of an issuer that is trusted, exchanged for a short one of ours.

What runs somewhere else (a CI job, a pod) is given a token by its platform that says what it is. An administrator has
said which claims make it which service here, and what that is limited to; so nobody has to keep a secret.
"""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from modelkeep.access import people
from modelkeep.access import store as workspace_store
from modelkeep.access.rules import Verb
from modelkeep.access.signin import issuer_store as store
from modelkeep.access.signin import tokens
from modelkeep.access.signin.claims import check_patterns, fitting
from modelkeep.access.signin.issuer_events import IssuerDropped, IssuerTrusted, WorkloadTokenIssued
from modelkeep.access.signin.outbound import place_of
from modelkeep.access.signin.providers import Providers
from modelkeep.access.signin.signed_tokens import (
    BadToken,
    KeyRing,
    audiences,
    check_times,
    read_keys,
    said_issuer,
    verified_claims,
)
from modelkeep.access.signin.token_text import NewToken
from modelkeep.core.errors import AlreadyExists, InvalidInput, NotFound, Unauthenticated
from modelkeep.core.names import check_length
from modelkeep.db import Tx

TOKEN_S = 15 * 60
# Tokens of CI jobs hold for minutes, those of pods for hours; what holds longer is a password.
LONGEST_S = 24 * 60 * 60
_LONGEST_ADDRESS = 500
_LONGEST_KEYS = 100_000
_PRIVATE = frozenset({"d", "k", "p", "q"})

_log = logging.getLogger("modelkeep.signin")


@dataclass(frozen=True, slots=True)
class NewIssuer:
    """An issuer to trust, for one service. `keys` is its JWK set where the server cannot fetch it; None fetches it."""

    name: str
    issuer: str
    audience: str
    service: str
    claims: Mapping[str, str]
    keys: str | None = None
    workspaces: Sequence[str] | None = None
    verbs: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A token that is taken: by which trust, for which service, who it is at the issuer, and which claims decided."""

    trust_id: str
    service_id: str
    service: str
    subject: str
    claims: dict[str, str]


def trust_issuer(tx: Tx, new: NewIssuer) -> Any:
    """Trust an issuer, for tokens that may do no more than the one that the caller uses.

    Raises InvalidInput, NotFound (the service), AlreadyExists (the name), Forbidden.
    """
    people.check_name(new.name)
    new = _narrowed(tx, new)
    _check_issuer(new)
    _check_limits(tx, new)
    service = people.get_user(tx, new.service, people.SERVICE)
    row: dict[str, Any] = {"id": f"i-{secrets.token_hex(8)}", "name": new.name, "issuer": new.issuer}
    row |= {"audience": new.audience, "jwks": new.keys, "claims": json.dumps(dict(new.claims)), "user_id": service.id}
    limits = {"workspaces": _sorted(new.workspaces), "verbs": _sorted(new.verbs)}
    texts = {key: None if given is None else json.dumps(given) for key, given in limits.items()}
    if not store.insert(tx, {**row, **texts, "created_at": tx.now}):
        raise AlreadyExists(f"An issuer named '{new.name}' is trusted already.", "name")
    said = (row["id"], new.name, new.issuer, new.audience, new.keys is not None, dict(new.claims))
    tx.emit(IssuerTrusted(*said, service.id, service.name, **limits))  # type: ignore[arg-type]
    return get_issuer(tx, new.name)


def _narrowed(tx: Tx, new: NewIssuer) -> NewIssuer:
    """The same within what the caller's token is limited to: or it would make itself others that may do more."""
    workspaces = tokens.within("workspaces", new.workspaces, tx.actor.workspaces)
    return replace(new, workspaces=workspaces, verbs=tokens.within("verbs", new.verbs, tx.actor.verbs))


def get_issuer(tx: Tx, name: str) -> Any:
    """A trusted issuer by the name that it has here. Raises NotFound."""
    found = store.named(tx, name)
    if found is None:
        raise NotFound(f"No issuer named '{name[:80]}' is trusted.")
    return found


def list_issuers(tx: Tx, after: str, limit: int) -> list[Any]:
    """Trusted issuers by name, behind this one."""
    return store.page(tx, after, limit)


def drop_issuer(tx: Tx, name: str) -> None:
    """Trust an issuer no more. Raises NotFound."""
    row = get_issuer(tx, name)
    if store.remove(tx, row.id):
        tx.emit(IssuerDropped(row.id, row.name, row.issuer))


def issuer_in(text: str) -> str:
    """Who a token says it comes from. Raises Unauthenticated."""
    try:
        return said_issuer(text)
    except BadToken as error:
        raise _refused("?", error) from error


def trusts_of(tx: Tx, issuer: str) -> list[Any]:
    """For what an issuer is trusted. Raises Unauthenticated where it is not."""
    found = store.of_issuer(tx, issuer)
    if not found:
        raise _refused("?", BadToken("its issuer is not trusted"))
    return found


def judge(providers: Providers, trusts: Sequence[Any], text: str, now: int, wanted: str = "") -> Judged:
    """Which of an issuer's trusts takes a token; `wanted` is the name of the one, where several would.

    Calls the issuer where its keys are not known. Raises Unauthenticated, Unavailable.
    """
    problem = BadToken("no trust of this issuer has the name that is asked for")
    taken: dict[str, Judged] = {}
    for row in (trust for trust in trusts if wanted in {"", trust.name}):
        try:
            taken[row.name] = _judged(providers, row, text, now)
        except BadToken as error:
            problem = error
    if not taken:
        raise _refused(trusts[0].issuer, problem) from problem
    if len(taken) > 1:
        raise InvalidInput(f"Several trusts take this token: {', '.join(sorted(taken))}. Name one.", "trust")
    return next(iter(taken.values()))


def issue(tx: Tx, judged: Judged) -> tuple[NewToken, int]:
    """A short token for the service that a trusted token speaks for, and when it ends. Raises Unauthenticated."""
    row = store.by_id(tx, judged.trust_id)
    service = people.user(tx, row.user_id) if row is not None else None
    if row is None or service is None or not people.is_enabled(tx, service):
        raise _refused(row.issuer if row else "?", BadToken("its trust or its service is gone"))
    expires_at = tx.now + TOKEN_S * 1000
    new = tokens.make_token_for(
        tx,
        service,
        name=f"workload {row.name}",
        kind=tokens.WORKLOAD,
        expires_at=expires_at,
        workspaces=None if row.workspaces is None else json.loads(row.workspaces),
        verbs=None if row.verbs is None else json.loads(row.verbs),
    )
    said = (row.id, row.name, row.issuer, judged.subject, new.id, service.id)
    tx.emit(WorkloadTokenIssued(*said, judged.claims))
    return new, expires_at


def _judged(providers: Providers, row: Any, text: str, now: int) -> Judged:
    """What one trust makes of a token. Raises BadToken."""
    claims = _verified(providers, row, text)
    if claims.get("iss") != row.issuer:
        raise BadToken("it is of another issuer")
    if row.audience not in audiences(claims):
        raise BadToken(f"its audience is not {row.audience}")
    check_times(claims, now, LONGEST_S)
    patterns = json.loads(row.claims)
    decided = fitting(claims, patterns)
    if decided is None:
        raise BadToken(f"its claims ({', '.join(sorted(patterns))}) are not those of {row.name}")
    return Judged(row.id, row.user_id, row.service or "", str(claims.get("sub", ""))[:255].replace("\x00", ""), decided)


def _verified(providers: Providers, row: Any, text: str) -> dict[str, Any]:
    if row.jwks is not None:
        return verified_claims(text, _ring(row.jwks))
    return providers.verify(row.issuer, lambda ring: verified_claims(text, ring))


def _refused(issuer: str, why: BadToken) -> Unauthenticated:
    """One refusal for all reasons; the reason is in the server's log."""
    _log.warning("workload token refused", extra={"fields": {"issuer": issuer, "problem": str(why)}})
    return Unauthenticated("This token is not accepted; the server's log says why.")


def _check_issuer(new: NewIssuer) -> None:
    if len(new.issuer) > _LONGEST_ADDRESS or place_of(new.issuer) is None or "?" in new.issuer:
        raise InvalidInput("`issuer` is the https address that its tokens name as `iss`.", "issuer")
    check_length("audience", new.audience, _LONGEST_ADDRESS)
    if not new.audience.strip():
        raise InvalidInput("`audience` is what the tokens must be made for; choose this server's address.", "audience")
    check_patterns(new.claims)
    if new.keys is not None:
        _check_keys(new.keys)


def _check_keys(text: str) -> None:
    """Refuse keys that are none, or that nobody should have given away. Raises InvalidInput."""
    check_length("keys", text, _LONGEST_KEYS)
    if not _ring(text).keys:
        raise InvalidInput("`keys` is the issuer's JWK set; this has no RSA, P-256 or Ed25519 key for signing.", "keys")
    if any(_PRIVATE & entry.keys() for entry in msgspec.json.decode(text)["keys"] if isinstance(entry, dict)):
        raise InvalidInput("`keys` has a private key. It is not kept; make the issuer a new one.", "keys")


def _ring(text: str) -> KeyRing:
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    return read_keys(document) if isinstance(document, dict) else KeyRing(())


def _check_limits(tx: Tx, new: NewIssuer) -> None:
    for verb in new.verbs or ():
        if verb not in Verb.__members__.values():
            raise InvalidInput(f"'{verb[:40]}' is no verb; it is one of {', '.join(Verb)}.", "verbs")
    for workspace in new.workspaces or ():
        if workspace_store.workspace(tx, workspace) is None:
            raise NotFound(f"Workspace '{workspace[:80]}' not found")
    for field in ("workspaces", "verbs"):
        if getattr(new, field) is not None and not getattr(new, field):
            raise InvalidInput(f"Without any {field} the service could do nothing; leave it out for all.", field)


def _sorted(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else sorted(set(values))
