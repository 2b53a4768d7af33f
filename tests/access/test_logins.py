"""People of an identity provider and services of trusted issuers, on both databases."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from issuer import KEYS, Issuer, key_set
from modelkeep.access import ANY, Providers, assignments, link_login, people, person_of, roles, workload
from modelkeep.access.signin.outbound import Outbound
from modelkeep.config import OidcSettings
from modelkeep.core.errors import Conflict, DomainError, Forbidden, InvalidInput, Unauthenticated
from models.registry import Registry, opened

IDP = OidcSettings("https://idp.example", "modelkeep", groups=(("theirs", "ours"), ("others", "second")))


@pytest.fixture
def registry(database_url: str) -> Iterator[Registry]:
    """A registry on an empty database, once on SQLite and once on PostgreSQL."""
    yield from opened(database_url)


def said(subject: str = "s-1", **claims: Any) -> dict[str, Any]:
    """What the provider says of somebody."""
    return {"sub": subject, "preferred_username": "ann", **claims}


def test_a_person_is_made_once_and_found_by_subject(registry: Registry) -> None:
    """The first word of the provider makes a person; later ones find them, whatever name they have there by then."""
    ann, _ = registry.do(person_of, IDP, said())
    assert (ann.name, ann.kind, ann.password_hash) == ("ann", "person", None)
    again, _ = registry.do(person_of, IDP, said(preferred_username="anna"))
    assert (again.id, again.name) == (ann.id, "ann")
    with pytest.raises(Conflict):
        registry.do(person_of, IDP, said("s-2"))
    other = OidcSettings("https://other.example", "modelkeep")
    with pytest.raises(Conflict):
        registry.do(person_of, other, said())


def test_nobody_comes_in_as_the_first_administrator(registry: Registry) -> None:
    """Whoever a provider calls `admin` is made under another name or not at all: once the first administrator is gone,
    recovery would give them all that one had.
    """
    with pytest.raises(Forbidden):
        registry.do(person_of, IDP, said(preferred_username="Admin"))
    verified = said(preferred_username="admin", email="a@b.example", email_verified=True)
    assert registry.do(person_of, IDP, verified)[0].name == "a@b.example"


def test_groups_go_by_the_mapping_and_are_replaced(registry: Registry) -> None:
    """Only mapped groups that there are count, and each word replaces the one before."""
    for name in ("ours", "second", "theirs"):
        registry.do(people.make_group, name)
    for given, expected in (
        (["theirs", "others", "x"], ["ours", "second"]),
        ("theirs", ["ours"]),
        ([1, None, {"a": 1}], []),
        (None, []),
    ):
        ann, _ = registry.do(person_of, IDP, said(groups=given))
        assert sorted(row.name for row in registry.see(people.groups_of, ann.id)) == expected


def test_the_last_administrator_stays_one_whatever_the_provider_says(registry: Registry) -> None:
    """Of a provider's word as little is left out as keeps somebody who administers the registry, and that is told; when
    somebody else does, the same word is followed.
    """
    for name in ("ours", "second", "theirs"):
        registry.do(people.make_group, name)
    registry.do(roles.prepare_roles)
    for principal in ("ours", "second"):
        registry.do(assignments.assign, assignments.NewAssignment(f"group/{principal}", "administrator", ANY))
    denied = assignments.NewAssignment("group/theirs", "administrator", ANY, effect="deny")
    plain = replace(IDP, groups=())

    def come(*groups: str) -> tuple[list[str], Any]:
        ann, kept = registry.do(person_of, plain, said(groups=list(groups)))
        told = (kept.groups, kept.refused) if kept else None
        return sorted(row.name for row in registry.see(people.groups_of, ann.id)), told

    assert come("ours", "second") == (["ours", "second"], None)
    assert come("ours") == (["ours"], None)
    for _ in range(2):
        assert come() == (["ours"], (["ours"], []))
    registry.do(assignments.assign, denied)
    assert come("second", "theirs") == (["ours"], (["ours"], ["second", "theirs"]))
    assert come("second") == (["second"], None)

    registry.do(assignments.make_administrator, registry.do(people.make_user, "bob").id)
    assert come() == ([], None)
    assert come("ours") == (["ours"], None)


def test_two_last_administrators_do_not_both_go(registry: Registry) -> None:
    """Of two who sign in at once, and whom the provider names in no group any more, one stays an administrator."""
    registry.do(roles.prepare_roles)
    registry.do(people.make_group, "ours")
    registry.do(assignments.assign, assignments.NewAssignment("group/ours", "administrator", ANY))
    both = [said(f"s-{name}", preferred_username=name) for name in ("ann", "bob")]
    for _ in range(4):
        for claims in both:
            registry.do(person_of, IDP, claims | {"groups": ["theirs"]})
        start = threading.Barrier(2)

        def come(claims: dict[str, Any], start: threading.Barrier = start) -> None:
            start.wait()
            registry.do(person_of, IDP, claims)

        threads = [threading.Thread(target=come, args=(claims,)) for claims in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(registry.see(people.members_of, "ours", "", 10)) == 1


def test_who_signs_in_in_two_tabs_is_one_person(registry: Registry) -> None:
    """Two first sign-ins at the same moment make one person; at worst one of them is asked to try again."""
    found: list[object] = []

    def sign_in() -> None:
        try:
            found.append(registry.do(person_of, IDP, said())[0].id)
        except DomainError as error:
            found.append(error.code)

    threads = [threading.Thread(target=sign_in) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ann = registry.see(people.find_user, "ann")
    assert set(found) <= {ann.id, "conflict"}
    assert registry.do(person_of, IDP, said())[0].id == ann.id


def test_links_are_to_people_and_stay(registry: Registry) -> None:
    """A login is linked to one person; services have none; a deleted person's login is free again."""
    ann, bob = (registry.do(people.make_user, name) for name in ("ann", "bob"))
    service = registry.do(people.make_user, "ci", "service", owner=ann)
    registry.do(link_login, ann, IDP.issuer, "s-9")
    registry.do(link_login, ann, IDP.issuer, "s-9")
    with pytest.raises(Conflict):
        registry.do(link_login, bob, IDP.issuer, "s-9")
    with pytest.raises(InvalidInput):
        registry.do(link_login, service, IDP.issuer, "s-8")
    assert [event.kind for event in registry.events].count("login.linked") == 1
    registry.do(people.disable_user, ann)
    with pytest.raises(Forbidden):
        registry.do(person_of, IDP, said("s-9"))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer on loopback."""
    with Issuer() as running:
        yield running


def test_a_trusted_token_is_exchanged_on_both_databases(registry: Registry, issuer: Issuer) -> None:
    """From trust to token: the trust is stored as it was given, and ends with itself."""
    owner = registry.do(people.make_user, "ann")
    registry.do(people.make_user, "ci", "service", owner=owner)
    given = workload.NewIssuer(
        "forge", issuer.url, "modelkeep", "ci", {"repository": "acme/*"}, json.dumps(key_set(KEYS)), verbs=["read"]
    )
    registry.do(workload.trust_issuer, given)
    text = issuer.token("ES256", "ec")
    trusts, now = registry.see(lambda tx: (workload.trusts_of(tx, workload.issuer_in(text)), tx.now))
    judged = workload.judge(Providers(Outbound()), trusts, text, now)
    assert (judged.service, judged.claims) == ("ci", {"repository": "acme/churn"})
    new, expires_at = registry.do(workload.issue, judged)
    assert new.text.startswith("mk_")
    assert expires_at >= now + workload.TOKEN_S * 1000
    assert [event.kind for event in registry.events][-2:] == ["token.made", "workload_token.issued"]
    registry.do(workload.drop_issuer, "forge")
    with pytest.raises(Unauthenticated):
        registry.do(workload.issue, judged)
    with pytest.raises(Unauthenticated):
        registry.see(workload.trusts_of, issuer.url)
