"""Who may do what, as a table: every kind of caller, every operation, every way to call it (AZ-02, AZ-03)."""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping

import pytest

from security.access_matrix import TABLE, asked, decisions, first_route, letter, written
from security.furniture import furnish
from security.governed import CALLERS, Asked, Governed
from security.raw import Reply
from security.table import OPERATIONS, ROUTES

# Thousands of requests: minutes on a machine that is busy with other things.
pytestmark = pytest.mark.timeout(1200)
# One of each kind of decision.
SOME = ("anonymous", "no role", "viewer", "contributor", "viewer, clf denied", "administrator")
OTHER_ROUTES = [route for route in ROUTES if route not in [first_route(one) for one in OPERATIONS]]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """The furnished registry with all its callers, which keeps nothing of what they do."""
    with Governed.start(tmp_path_factory.mktemp("governed") / "data") as registry:
        furnish(registry)
        registry.keep_nothing()
        yield registry


@pytest.fixture(scope="module")
def expected() -> dict[str, list[str]]:
    """The letters of the checked-in table by operation."""
    lines = (line.split() for line in TABLE.read_text().splitlines())
    return {line[0]: line[2:] for line in lines if len(line) == len(CALLERS) + 2}


def content(registry: Governed) -> set[str]:
    """All rows of the database."""
    with sqlite3.connect(f"file:{registry.app.settings.data}/modelkeep.db?mode=ro", uri=True) as database:
        return set(database.iterdump())


def test_AZ_02_every_operation_decides_about_every_caller_as_the_table_says(registry: Governed) -> None:
    """The table of who may do what is exactly as it was read and checked in; whoever is refused has changed nothing."""
    before = content(registry)
    assert written(decisions(registry)) == TABLE.read_text(), "python -m security.access_matrix shows the difference"
    changed = {line.split(" ")[2] for line in content(registry) ^ before}
    assert changed <= {'"audit_refusals"', '"sign_in_failures"'}


def test_AZ_02_every_operation_has_a_caller_who_gets_through(expected: dict[str, list[str]]) -> None:
    """No row is all refusals: each request is a good one, so that a refusal is about who asks, not about what."""
    assert set(expected) == {operation.name for operation in OPERATIONS}
    refused = {name for name, letters in expected.items() if not {*letters} - {"U", "F", "N"}}
    # A push is its maker's alone, and nobody here signed in with a browser or at a provider.
    assert refused == {"pushes.show", "pushes.files", "sessions.show", "sign_in.oidc"}


def test_AZ_03_every_alias_of_a_route_decides_the_same(registry: Governed, expected: dict[str, list[str]]) -> None:
    """`/api` and `/ajax-api`, GET and POST, and HEAD for every GET: the same decision as on the first route."""
    columns = [[*CALLERS].index(who) for who in SOME]
    wrong = []
    for route in OTHER_ROUTES:
        found = [*map(letter, registry.wire.call_all([asked(registry, route, who) for who in SOME]))]
        if found != [expected[route.operation.name][at] for at in columns]:
            wrong.append((str(route), found))
    assert wrong == []


@pytest.mark.parametrize("spelling", ["doubled", "leading", "encoded", "trailing", "upper", "parameter"])
def test_AZ_03_other_spellings_of_an_address_decide_the_same_or_lead_nowhere(
    registry: Governed, expected: dict[str, list[str]], spelling: str
) -> None:
    """Slashes doubled, letters encoded, a slash behind, capitals or a `;parameter`: never a way around a refusal."""
    who = "viewer, clf denied"
    spelled = {"doubled": doubled, "leading": leading, "encoded": encoded, "upper": str.upper}
    spelled |= {"trailing": lambda path: f"{path}/", "parameter": lambda path: f"{path};x=1"}
    several = [asked(registry, first_route(one), who) for one in OPERATIONS]
    again = [respelled(request, spelled[spelling]) for request in several]
    at = [*CALLERS].index(who)
    for operation, reply in zip(OPERATIONS, registry.wire.call_all(again), strict=True):
        assert letter(reply) in {expected[operation.name][at], "N", "U", "400"}, (operation.name, spelling, reply)
        assert letter(reply) != "A" or expected[operation.name][at] == "A", (operation.name, spelling, reply)


def respelled(request: Asked, spell: Callable[[str], str]) -> Asked:
    """The same request, with its path spelled in another way."""
    path, mark, query = request.target.partition("?")
    return Asked(request.method, spell(path) + mark + query, request.body, request.headers, request.token)


def doubled(path: str) -> str:
    """Each slash twice."""
    return path.replace("/", "//")


def leading(path: str) -> str:
    """Another slash in front."""
    return f"/{path}"


def encoded(path: str) -> str:
    """A letter of each segment percent-encoded."""
    return "/".join(f"%{ord(part[0]):02x}{part[1:]}" if part and part[0] != "%" else part for part in path.split("/"))


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_AZ_03_no_header_changes_the_method(registry: Governed, header: str) -> None:
    """A GET that claims to be another method is a GET, and so reads at most."""
    for route in ROUTES:
        if route.method in {"GET", "HEAD"}:
            continue
        request = asked(registry, route, "viewer")
        named = [(header.encode(), route.method.encode()), *request.headers]
        as_get = registry.wire.call("GET", request.target, request.body, named, token=request.token)
        plain = registry.wire.call("GET", request.target, request.body, request.headers, token=request.token)
        assert (as_get.status, len(as_get.body)) == (plain.status, len(plain.body)), str(route)


@pytest.mark.parametrize("method", ["get", "Post", "OPTIONS", "TRACE", "PROPFIND", "X"])
def test_AZ_03_methods_that_nothing_has_lead_nowhere(registry: Governed, method: str) -> None:
    """A method in other letters, or one that no operation has, is not answered as another is."""
    for route in ROUTES:
        request = asked(registry, route, "administrator")
        reply = registry.wire.call(method, request.target, request.body, request.headers, token=request.token)
        assert reply.status in {400, 403, 404, 405}, (str(route), reply)


# What each of these callers may not know of, and what never was in its place.
HIDDEN = {
    "contributor to clf": ("run_id", "model_id", "experiment_id", "experiment_name", "old_id"),
    "viewer, clf denied": ("name", "clf_id"),
    "no role": ("run_id", "model_id", "experiment_id", "experiment_name", "old_id", "name", "clf_id", "gone_id"),
}
NEVER = {
    "run_id": "0123456789abcdef0123456789abcdef",
    "model_id": "m-0123456789abcdef0123456789abcdef",
    "experiment_id": "987654321",
    "old_id": "987654322",
    "experiment_name": "never",
    "name": "xyz",
    "clf_id": "0123456789abcdef0123456789abcdef",
    "gone_id": "fedcba9876543210fedcba9876543210",
}
NEW_NAMES = {"registered_models.create", "models.create", "mlflow.experiments.create"}
# To delete a file that is not there is fine, and an upload is first told from one for another path: what these tell of
# is a path that holds an id of 128 random bits, which nobody guesses.
SAY_MORE = {"artifacts.delete", "artifacts.complete_parts", "artifacts.abort_parts"}


@pytest.mark.parametrize("who", HIDDEN)
def test_AZ_04_what_is_hidden_is_answered_as_what_never_was(registry: Governed, who: str) -> None:
    """On every route, an id or name that a caller may not know of gets the status and words of one that never was."""
    swap = {str(registry.made[name]): NEVER[name] for name in HIDDEN[who]}
    wrong = []
    for route in ROUTES:
        here, never = asked(registry, route, who), asked(registry, route, who, swap=swap)
        if route.operation.name in NEW_NAMES | SAY_MORE or (here.target, here.body) == (never.target, never.body):
            continue
        hidden, absent = registry.wire.call_all([here, never])
        if words(hidden, swap) != words(absent, swap):
            wrong.append((str(route), words(hidden, swap), words(absent, swap)))
    assert wrong == []


def words(reply: Reply, swap: Mapping[str, str]) -> tuple[int, str]:
    """Status and body without the request's id and without the ids and names that were asked for."""
    text = reply.body.decode().replace(reply.headers["x-request-id"], "")
    for name in sorted((*swap, *swap.values()), key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", "*", text)
    return reply.status, text


def test_AZ_02_a_refusal_names_what_is_missing_and_who_can_grant_it(registry: Governed) -> None:
    """A 403 says which verb on what the caller lacks, why, and who could give it to them."""
    route = next(one for one in ROUTES if one.operation.name == "models.retire")
    request = asked(registry, route, "viewer")
    said = registry.wire.call_all([request])[0].refused(403)["detail"]
    assert said.startswith(
        "viewer lacks the permission 'delete' on model 'clf' (workspace 'default'): no role allows it"
    )
    assert "can grant it" in said
