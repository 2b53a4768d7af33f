"""The issuers whose signed tokens are exchanged for ours, and who people are at the provider that they sign in at."""

import json
from typing import Any

from modelkeep.access import Permission, link_login, people, workload
from modelkeep.core.errors import Forbidden
from modelkeep.db import Tx
from modelkeep.faces.native.messages import Cursor, PageSize
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Mode, Operation


class TrustIssuer(Request):
    """An issuer to trust: tokens of `issuer`, made for `audience`, that have these claims, speak for `service`.

    A claim is an exact value, or a beginning that ends in `:*` or `/*`. `keys` is the issuer's JWK set, as text, where
    this server cannot fetch it. `workspaces` and `verbs` are what the short tokens are limited to.
    """

    name: str
    issuer: str
    audience: str
    service: str
    claims: dict[str, str]
    keys: str | None = None
    workspaces: list[str] | None = None
    verbs: list[str] | None = None


class ListIssuers(Request):
    """A page of the trusted issuers."""

    limit: PageSize = 100
    cursor: Cursor = ""


class OneIssuer(Request):
    """A call about a trusted issuer."""

    name: str


class LinkLogin(Request):
    """Who a person is at an identity provider: the issuer's address, and what it calls them (`sub`)."""

    name: str
    issuer: str
    subject: str


class IssuerAnswer(Answer):
    """A trusted issuer."""

    name: str
    issuer: str
    audience: str
    service: str
    claims: dict[str, str]
    has_own_keys: bool
    created_at: int
    workspaces: list[str] | None = None
    verbs: list[str] | None = None


class IssuerPage(Answer):
    """A page of trusted issuers by name."""

    items: list[IssuerAnswer]
    next_cursor: str | None = None


def trust_issuer(tx: Tx, request: TrustIssuer) -> IssuerAnswer:
    """Trust an issuer."""
    new = workload.NewIssuer(
        request.name,
        request.issuer,
        request.audience,
        request.service,
        request.claims,
        request.keys,
        request.workspaces,
        request.verbs,
    )
    return _answer(workload.trust_issuer(tx, new))


def list_issuers(tx: Tx, request: ListIssuers) -> IssuerPage:
    """Trusted issuers by name."""
    after = read_cursor(request.cursor, str)[0] if request.cursor else ""
    found = workload.list_issuers(tx, after, request.limit + 1)
    page = found[: request.limit]
    more = write_cursor(page[-1].name) if len(found) > len(page) else None
    return IssuerPage(items=[_answer(row) for row in page], next_cursor=more)


def show_issuer(tx: Tx, request: OneIssuer) -> IssuerAnswer:
    """A trusted issuer."""
    return _answer(workload.get_issuer(tx, request.name))


def drop_issuer(tx: Tx, request: OneIssuer) -> None:
    """Trust an issuer no more."""
    workload.drop_issuer(tx, request.name)


def link_person(tx: Tx, request: LinkLogin) -> None:
    """Let somebody sign in through the provider as the person that they already are here."""
    if tx.actor.is_narrowed:
        raise Forbidden("This token is limited, and who signs in through a provider is not; use another.")
    link_login(tx, people.get_user(tx, request.name), request.issuer, request.subject)


def _answer(row: Any) -> IssuerAnswer:
    return IssuerAnswer(
        name=row.name,
        issuer=row.issuer,
        audience=row.audience,
        service=row.service or "",
        claims=json.loads(row.claims),
        has_own_keys=row.jwks is not None,
        created_at=row.created_at,
        workspaces=None if row.workspaces is None else json.loads(row.workspaces),
        verbs=None if row.verbs is None else json.loads(row.verbs),
    )


OPERATIONS: list[Operation] = [
    Operation(
        "issuers.trust",
        NATIVE,
        routes("POST", "issuers"),
        TrustIssuer,
        trust_issuer,
        Mode.WRITE,
        Permission.TOKEN_MANAGE,
        "Trust an issuer: exchange its signed tokens for short ones of a service",
        IssuerAnswer,
        status=201,
    ),
    Operation(
        "issuers.list",
        NATIVE,
        routes("GET", "issuers"),
        ListIssuers,
        list_issuers,
        Mode.READ,
        Permission.USER_READ,
        "The trusted issuers",
        IssuerPage,
    ),
    Operation(
        "issuers.show",
        NATIVE,
        routes("GET", "issuers/{name}"),
        OneIssuer,
        show_issuer,
        Mode.QUICK,
        Permission.USER_READ,
        "A trusted issuer",
        IssuerAnswer,
    ),
    Operation(
        "issuers.drop",
        NATIVE,
        routes("DELETE", "issuers/{name}"),
        OneIssuer,
        drop_issuer,
        Mode.WRITE,
        Permission.TOKEN_MANAGE,
        "Trust an issuer no more",
        status=204,
    ),
    Operation(
        "logins.link",
        NATIVE,
        routes("POST", "users/{name}/logins"),
        LinkLogin,
        link_person,
        Mode.WRITE,
        Permission.USER_MANAGE,
        "Let somebody sign in through the identity provider as this person",
        status=204,
    ),
]
