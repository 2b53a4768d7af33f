"""What an entry says was there before is what the entry before it made, on either database, whoever else writes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from access.registry import facts, prepared
from modelkeep import artifacts, audit, inspection, retention, runs
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Tx
from modelkeep.inspection import DownloadPolicy
from modelkeep.retention import Rule
from runs.tracking import Entry

WRITERS, ROUNDS = 4, 12


@pytest.fixture
def registry(database_url: str) -> Iterator[Database]:
    """A prepared database."""
    with prepared(database_url) as database:
        yield database


def quota(tx: Tx, number: int) -> None:
    artifacts.set_quota(tx, "default", number)


def lifted_quota(tx: Tx, number: int) -> None:
    if number % 3:
        artifacts.set_quota(tx, "default", number)
    else:
        artifacts.lift_quota(tx, "default")


def rule(tx: Tx, number: int) -> None:
    retention.set_workspace_rule(tx, "default", Rule(keep_last=number))


def policy(tx: Tx, number: int) -> None:
    inspection.set_download_policy(tx, "default", DownloadPolicy(bool(number % 2), bool(number // 2 % 2)))


def tag(tx: Tx, number: int) -> None:
    runs.set_experiment_tag(tx, "0", Entry("k", str(number)))


def after(data: dict[str, Any], before: Any) -> Any:
    """What is there after an entry, in the form that it has in a `before`."""
    if isinstance(before, dict):
        return {name: data[name] for name in before}
    return data.get("size") if "size" in data else data.get("value")


KINDS: dict[str, tuple[Callable[[Tx, int], None], str]] = {
    "quota": (quota, "quota."),
    "lifted-quota": (lifted_quota, "quota."),
    "rule": (rule, "retention_rule."),
    "policy": (policy, "download_policy."),
    "tag": (tag, "experiment.tag_set"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_before_is_what_the_entry_before_made(registry: Database, kind: str) -> None:
    """Of settings that several change at once, each entry's `before` is what its forerunner in the journal set."""
    change, beginning = KINDS[kind]

    def write(number: int) -> None:
        registry.write_now(SYSTEM, lambda tx: change(tx, number))

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(1, WRITERS * ROUNDS + 1)))
    told = [data for name, _, data in facts(registry) if name.startswith(beginning)]
    assert len(told) >= WRITERS
    for earlier, later in pairwise(told):
        assert after(earlier, later["before"]) == later["before"], (earlier, later)


def test_whether_downloads_are_audited_is_told_once_for_each_change(registry: Database) -> None:
    """Of many who say the same at once, one changes something and is an entry."""

    def write(_number: int) -> None:
        registry.write_now(SYSTEM, lambda tx: audit.set_audits_downloads(tx, "default", audited=True))

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(WRITERS * ROUNDS)))
    assert [name for name, _, _ in facts(registry) if name == "workspace.downloads_audited"] == [
        "workspace.downloads_audited"
    ]


def test_the_first_value_of_a_tag_has_nothing_before(registry: Database) -> None:
    """Setting a tag tells the value that it had; none at first, and nothing at all where it stays the same."""
    for value in ("1", "1", "2"):
        registry.write_now(SYSTEM, lambda tx, value=value: runs.set_experiment_tag(tx, "0", Entry("k", value)))  # type: ignore[misc]
    told = [(data["value"], data["before"]) for name, _, data in facts(registry) if name == "experiment.tag_set"]
    assert told == [("1", None), ("2", "1")]
