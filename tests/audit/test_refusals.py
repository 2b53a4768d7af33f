"""Refusals are entries: of somebody known each, of nobody known counted; nothing secret is in any entry."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.journal import Journal, Noted
from modelkeep import audit
from modelkeep.bootstrap import dispatch, open_database
from modelkeep.core.events import Event
from modelkeep.core.types import SYSTEM
from modelkeep.db import Tx
from security.governed import PASSWORD, Given, Governed

CANARY = "s3cr3t-c4n4ry-v4lu3"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Governed]:
    """A registry with a model, another workspace, and somebody who may read, and somebody who may nothing."""
    with Governed.start(tmp_path / "data") as registry:
        registry.native("POST", "models", name="clf")
        registry.native("POST", "workspaces", name="red")
        registry.callers["reader"] = registry.user("reader", given=[Given("viewer")])
        registry.callers["stranger"] = registry.user("stranger")
        yield registry


def ask(registry: Governed, who: str, method: str, path: str, **more: Any) -> int:
    """The status of a request of the native API."""
    return registry.send(method, f"/api/v1/{path}", token=registry.callers[who], **more).status


def refusals(registry: Governed) -> list[tuple[str, str, str, str, bool]]:
    """Who was refused which operation and verb on what, and whether that was hidden from them; oldest first."""
    found = entries(registry, outcome="refused", kind="access.refused")
    return [(one.actor, one.data["operation"], one.data["verb"], one.resource, one.data["hidden"]) for one in found]


def entries(registry: Governed, **chosen: Any) -> list[Any]:
    """Entries of all workspaces, oldest first."""
    selection = audit.Selection(everywhere=True, **chosen)
    rows = registry.app.database.read_now(SYSTEM, lambda tx: audit.search(tx, selection, 2**63 - 1, 1000))
    return [row._replace(data=json.loads(row.data)) for row in rows[::-1]]


def settle(registry: Governed) -> None:
    """Have the server write down what it does behind its answers."""
    registry.app.hidden_refusals.write(registry.app.database)


def test_who_may_not_is_told_so_and_written_down(registry: Governed) -> None:
    """A 403 is one entry that is there once it is answered: who, what, the verb that lacked, on what, why."""
    model = registry.native("GET", "models/clf")["id"]
    assert ask(registry, "reader", "DELETE", "models/clf") == 403
    assert refusals(registry) == [("reader", "models.retire", "delete", f"registered-model/{model}", False)]
    (entry,) = entries(registry, outcome="refused")
    assert entry.data["message"].startswith("reader lacks the permission 'delete' on model 'clf'")
    assert (entry.workspace, entry.address, entry.actor_method) == ("default", "127.0.0.1", "token")


def test_what_is_hidden_is_written_down_and_what_is_absent_is_not(registry: Governed) -> None:
    """A 404 for a thing that is there is an entry, one for a thing that is not is none; the answers are the same."""
    model = registry.native("GET", "models/clf")["id"]
    assert ask(registry, "stranger", "GET", "models/clf") == 404
    assert ask(registry, "stranger", "GET", "models/never") == 404
    settle(registry)
    assert refusals(registry) == [("stranger", "models.show", "read", f"registered-model/{model}", True)]


def test_only_so_many_hidden_refusals_wait_to_be_written(registry: Governed) -> None:
    """Whoever is refused faster than that is written down has the next one wait for it: memory does not grow."""
    for _ in range(1100):
        assert ask(registry, "stranger", "GET", "models/clf") == 404
    selection = audit.Selection(everywhere=True, outcome="refused", kind="access.refused")
    written = registry.app.database.read_now(SYSTEM, lambda tx: audit.search(tx, selection, 2**63 - 1, 2000))
    assert len(written) == 1000


def test_another_workspace_is_hidden_too(registry: Governed) -> None:
    """Whoever names a workspace that they are no member of is written down there, if there is such a one."""
    assert ask(registry, "reader", "GET", "models", workspace="red") == 404
    assert ask(registry, "reader", "GET", "models", workspace="never") == 404
    settle(registry)
    assert refusals(registry) == [("reader", "models.list", "read", "workspace/red", True)]
    assert entries(registry, outcome="refused")[0].workspace == "red"


def test_who_may_all_leaves_no_refusal(registry: Governed) -> None:
    """Mistakes of somebody who may do everything are no refusals."""
    assert registry.send("GET", "/api/v1/models/never").status == 404
    assert registry.send("POST", "/api/v1/models", {"name": "clf"}).status == 409
    settle(registry)
    assert entries(registry, outcome="refused") == []


def test_callers_without_a_credential_are_counted_in_one_entry(registry: Governed) -> None:
    """A hundred bad tokens of an address are one entry with their number once the minute is over, and none before."""
    for _ in range(100):
        assert registry.wire.call("GET", "/api/v1/models", token="mk_bad").status == 401
    registry.app.unknown_callers.write(registry.app.database)
    assert entries(registry, outcome="refused") == []
    registry.app.unknown_callers.write(registry.app.database, at_once=True)
    (entry,) = entries(registry, outcome="refused")
    assert (entry.kind, entry.resource, entry.data["count"]) == ("sign_in.refused", "address/127.0.0.1", 100)
    registry.app.unknown_callers.write(registry.app.database, at_once=True)
    assert len(entries(registry, outcome="refused")) == 1


def test_addresses_are_counted_apart_and_only_so_many_of_them(journal: Journal) -> None:
    """Each address has its own count; what comes from more addresses than are kept is counted together."""
    now = [0.0]
    callers = audit.UnknownCallers(lambda: now[0])
    for number in range(10_002):
        callers.count(f"10.0.{number // 256}.{number % 256}")
    callers.count("10.0.0.0")
    now[0] = 59.9
    callers.write(journal.database)
    assert journal.see(audit.last_entry) == 0
    now[0] = 60.0
    callers.write(journal.database)
    rows = journal.see(audit.search, audit.Selection(kind="sign_in.refused"), 2**63 - 1, 20_000)
    counts = {row.resource: json.loads(row.data)["count"] for row in rows}
    assert (len(counts), counts["address/10.0.0.0"], counts["address/elsewhere"]) == (10_001, 2, 2)


def test_a_wrong_password_is_a_refusal(registry: Governed) -> None:
    """A sign-in with a wrong password is an entry whose outcome is refused, without the password."""
    assert registry.send("POST", "/api/v1/sign-in", {"name": "reader", "password": CANARY}).status == 401
    (entry,) = entries(registry, kind="sign_in")
    assert (entry.kind, entry.outcome, entry.resource[:7]) == ("sign_in.failed", "refused", "user/un")


def test_AL_08_no_secret_is_in_the_log(registry: Governed) -> None:
    """Tokens, passwords and what was sent in their place are in no column of any entry."""
    registry.native("POST", "users", name="new", password=f"{CANARY} correct horse")
    token = registry.native("POST", "tokens", owner="new", name="theirs")["token"]
    for guess in (f"{CANARY}-token", f"mk_{CANARY}"):
        registry.wire.call("GET", "/api/v1/models", token=guess)
    registry.send("POST", "/api/v1/sign-in", {"name": "new", "password": f"{CANARY} wrong"})
    registry.send("POST", "/api/v1/sign-in", {"name": CANARY, "password": "x"})
    registry.wire.call("GET", f"/api/v1/models?token={CANARY}", token=registry.token)
    ask(registry, "stranger", "DELETE", "users/new")
    settle(registry)
    registry.app.unknown_callers.write(registry.app.database, at_once=True)
    whole = str(entries(registry))
    assert len(entries(registry)) > 10
    for secret in (CANARY, token, registry.token, PASSWORD):
        assert secret not in whole


def test_AL_03_no_entry_no_change(database_url: str, journal: Journal) -> None:
    """Where the entry of a change cannot be written, the change did not happen."""

    def failing(tx: Tx, event: Event) -> None:
        dispatch(tx, event)
        raise OSError("the log is full")

    journal.close()
    journal.database = open_database(database_url, (failing,))
    with pytest.raises(OSError, match="the log is full"):
        journal.database.write_now(SYSTEM, lambda tx: tx.emit(Noted("n")))
    assert journal.see(audit.last_entry) == 0


def test_the_reason_of_a_change_is_kept(registry: Governed) -> None:
    """What the header X-Modelkeep-Reason says is in the entry, in any script."""
    reason = "ticket 7, für Ann"
    headers = [(b"x-modelkeep-reason", reason.encode()), (b"content-type", b"application/json")]
    assert registry.wire.call("POST", "/api/v1/models", b'{"name":"new"}', headers, token=registry.token).status == 201
    assert entries(registry)[-1].reason == reason
