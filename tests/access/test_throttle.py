"""Attempts to sign in: counted before anything is hashed, by every process, and forgiven in the end."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, update

from access.registry import prepared
from modelkeep import tables
from modelkeep.access.signin.throttle import (
    Attempt,
    Patience,
    begin_attempt,
    forget_sign_in_failures,
    site_of,
    succeeded,
)
from modelkeep.bootstrap import open_database
from modelkeep.core.errors import TooManyAttempts
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Prepared, Tx

FREE = 5
# The time of every attempt: the waits of a second begin and end where a test says, however busy the machine is.
STANDS_STILL = 1_800_000_000_000
FAILURES = tables.access.sign_in_failures
# As if so many milliseconds had gone by.
AGE = Prepared(
    update(FAILURES).values(
        last_at=FAILURES.c.last_at - bindparam("by", type_=FAILURES.c.last_at.type),
        wait_until=FAILURES.c.wait_until - bindparam("by", type_=FAILURES.c.last_at.type),
    )
)


def then(tx: Tx) -> Tx:
    """The same transaction, at the time that stands still."""
    tx.now = STANDS_STILL
    return tx


def attempt(database: Database, name: str = "ann", address: str = "192.0.2.1") -> Attempt:
    """An attempt that is not known to have gone well."""
    return database.write_now(SYSTEM, lambda tx: begin_attempt(then(tx), name, address))


def succeed(database: Database, one: Attempt) -> bool:
    """Take an attempt back that went well; whether it was the first from there in a long while."""
    return database.write_now(SYSTEM, lambda tx: succeeded(then(tx), one))


def forget(database: Database) -> None:
    """Throw away what no longer counts."""
    database.write_now(SYSTEM, lambda tx: forget_sign_in_failures(then(tx)))


def fail(database: Database, times: int, name: str = "ann", address: str = "192.0.2.1") -> None:
    """So many attempts that go wrong, with no time lost between them."""
    for _ in range(times):
        attempt(database, name, address)
        pass_time(database, 60_000)


def pass_time(database: Database, milliseconds: int) -> None:
    """Let time pass for all that is known of attempts."""
    database.write_now(SYSTEM, lambda tx: tx.run(AGE, by=milliseconds))


def refused_for(database: Database, name: str = "ann", address: str = "192.0.2.1") -> int:
    """For how many seconds nothing is tried."""
    with pytest.raises(TooManyAttempts) as refused:
        attempt(database, name, address)
    return refused.value.retry_after_s


def test_waiting_begins_after_five_failures_and_doubles(registry: Database) -> None:
    """Five attempts are free; after each later one the wait is twice as long, up to a quarter of an hour."""
    for _ in range(FREE):
        attempt(registry)
    waits = []
    for _ in range(14):
        waits.append(refused_for(registry))
        pass_time(registry, waits[-1] * 1000)
        attempt(registry)
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-3:] == [900, 900, 900]


def test_what_is_refused_is_not_counted(registry: Database) -> None:
    """However often somebody tries during a wait, it does not become longer: the account is never lost for good."""
    for _ in range(FREE):
        attempt(registry)
    assert {refused_for(registry) for _ in range(50)} == {1}
    pass_time(registry, 1_000)
    assert attempt(registry).failures == FREE + 1


def test_failures_elsewhere_are_no_failures_here(registry: Database) -> None:
    """Somebody who guesses from one address keeps nobody at another address from the same account."""
    fail(registry, 10)
    attempt(registry)
    refused_for(registry)
    assert attempt(registry, address="192.0.2.2").failures == 1


def test_success_takes_everything_back(registry: Database) -> None:
    """After the right password, the next wrong ones are free again."""
    fail(registry, FREE - 1)
    one = attempt(registry)
    pass_time(registry, 1_000)
    succeed(registry, one)
    assert attempt(registry).failures == 1


def test_an_address_is_slowed_down_for_all_accounts(registry: Database) -> None:
    """Who tries one password for each of many accounts is slowed down after a hundred; other addresses are not."""
    for number in range(100):
        attempt(registry, f"user{number}")
    assert refused_for(registry, "another") == 1
    attempt(registry, "another", "192.0.2.2")


def test_where_somebody_signed_in_before_others_do_not_slow_them_down(registry: Database) -> None:
    """From an address known for an account, what others there do to other accounts does not count, and what they do to
    this one costs half a minute at most.
    """
    known = attempt(registry)
    assert succeed(registry, known) is True
    for number in range(100):
        attempt(registry, f"user{number}")
    assert refused_for(registry, "another") == 1

    again = attempt(registry)
    assert succeed(registry, again) is False
    fail(registry, 30)
    attempt(registry)
    assert refused_for(registry) <= 30


def test_what_was_long_ago_is_forgotten(registry: Database) -> None:
    """After a quiet hour failures count no more, and a chore throws them away; known addresses stay for 90 days."""
    known = attempt(registry, "ben")
    succeed(registry, known)
    fail(registry, 10)
    pass_time(registry, 60 * 60 * 1000 + 1)
    assert attempt(registry).failures == 1
    pass_time(registry, 60 * 60 * 1000 + 1)
    forget(registry)
    assert keys(registry) == ["known"]
    pass_time(registry, 90 * 24 * 60 * 60 * 1000)
    forget(registry)
    assert keys(registry) == []


def keys(database: Database) -> list[str]:
    """What kinds of keys are kept."""
    rows = database.read_now(SYSTEM, lambda tx: tx.rows(Prepared(FAILURES.select())))
    return sorted(row.key.partition("/")[0] for row in rows)


def test_a_name_that_is_a_password_is_not_kept(registry: Database) -> None:
    """What was typed as a name stands nowhere in the table: it may have been a password."""
    attempt(registry, "my secret password")
    rows = registry.read_now(SYSTEM, lambda tx: tx.rows(Prepared(FAILURES.select())))
    assert "secret" not in str(rows)


def test_attempts_at_once_are_all_counted(registry: Database) -> None:
    """Twenty at the same moment get no more than the five free attempts between them."""
    outcomes: list[bool] = []

    def try_once() -> None:
        try:
            attempt(registry)
            outcomes.append(True)
        except TooManyAttempts:
            outcomes.append(False)

    threads = [threading.Thread(target=try_once) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(outcomes), outcomes.count(True)) == (20, FREE)


def test_failures_hold_for_every_process(fresh_postgres: Callable[[], str]) -> None:
    """What one server counted is known to another on the same database."""
    url = fresh_postgres()
    with prepared(url) as first:
        second = open_database(url, ())
        for _ in range(FREE):
            attempt(first)
        assert refused_for(second) == 1
        second.close()


def test_failures_are_known_after_a_restart(database_url: str) -> None:
    """What was counted before a database was closed counts afterwards."""
    with prepared(database_url) as database:
        fail(database, FREE + 5)
        attempt(database)
    again = open_database(database_url, ())
    assert refused_for(again) > 30
    again.close()


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", "unknown"),
        ("testclient", "unknown"),
        ("192.0.2.1, 10.0.0.1", "unknown"),
    ],
)
def test_a_subscriber_counts_as_one_address(address: str, site: str) -> None:
    """All addresses of an IPv6 network count as one, and an IPv4 address is one however it is written."""
    assert site_of(address) == site


@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(1, 3600))
def test_no_wait_is_without_end(failures: int, free: int, most: int) -> None:
    """Whatever the number of failures, a wait is between nothing and its limit, and never shrinks."""
    patience = Patience(free, most)
    assert 0 <= patience.wait_s(failures) <= patience.wait_s(failures + 1) <= most
    assert (patience.wait_s(failures) == 0) == (failures < free)
