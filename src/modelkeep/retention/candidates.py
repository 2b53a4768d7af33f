"""What may be reclaimed now, and why: versions by rule or retirement, and what was deleted long ago."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelkeep.artifacts import sole_sizes
from modelkeep.db import Tx
from modelkeep.retention import store
from modelkeep.retention.rules import DAY_MS, KEEP_ALL, RESTORE_DAYS, Rule, Standing, why_reclaimable
from modelkeep.retention.service import rule_of

_PAGE = 1000
_MODELS = 50


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for: how long deleted things keep their files (None: always), and whether automatic rules only."""

    restore_days: int | None = RESTORE_DAYS
    automatic_only: bool = False


class Candidate(NamedTuple):
    """A version whose files may go. `frees` is what that brings: the bytes that nothing else names."""

    model_id: str
    name: str
    version: int
    digest: str
    size: int
    reason: str
    frees: int = 0


class LeftBehind(NamedTuple):
    """A run (`owner` is `run/<id>`) or logged model (`logged-model/<id>`) that was deleted long ago and has files."""

    owner: str
    id: str
    name: str
    files: int
    size: int
    reason: str


def version_candidates(tx: Tx, terms: Terms, after: tuple[str, int], most: int) -> list[Candidate]:
    """Versions of the workspace whose files may go, by model id and number, at most so many after that one."""
    found: list[Candidate] = []
    for candidate in _candidates(tx, terms, after):
        found.append(candidate)
        if len(found) == most:
            break
    frees = sole_sizes(tx, sorted({one.digest for one in found})) if found else {}
    return [one._replace(frees=frees.get(one.digest, 0)) for one in found]


def still_candidates(tx: Tx, terms: Terms, model_id: str, numbers: Sequence[int]) -> list[Candidate]:
    """Those of these versions of a model that may go now; with the model's row held that stays so."""
    rules, wanted = _rules(tx, terms), set(numbers)
    rows = [row for row in store.standings(tx, [model_id]) if row.version in wanted]
    return [one for row in rows if (one := _judged(row, rules, terms, tx.now)) is not None]


def left_behind(tx: Tx, terms: Terms, after: str, most: int) -> list[LeftBehind]:
    """Runs and logged models that were deleted long ago and have files, by owner, at most so many after that one."""
    if terms.restore_days is None:
        return []
    before = tx.now - terms.restore_days * DAY_MS
    reason = f"deleted more than {terms.restore_days} days ago"
    rows = store.deleted_with_files(tx, before, after, most)
    return [LeftBehind(row.owner, row.id, row.name, int(row.files), int(row.size), reason) for row in rows]


def _candidates(tx: Tx, terms: Terms, after: tuple[str, int]) -> Iterator[Candidate]:
    rules = _rules(tx, terms)
    rows = _all_behind(tx, after) if rules else _retired_behind(tx, terms, after)
    for row in rows:
        if candidate := _judged(row, rules, terms, tx.now):
            yield candidate


def _all_behind(tx: Tx, after: tuple[str, int]) -> Iterator[Any]:
    """Every version whose files are kept, behind this one: a rule is about all versions of a model."""
    first = after[0]
    while model_ids := store.models_with_files(tx, first, _MODELS):
        for row in store.standings(tx, model_ids):
            if (row.model_id, row.version) > after:
                yield row
        first = model_ids[-1] + "0"  # the least that is greater


def _retired_behind(tx: Tx, terms: Terms, after: tuple[str, int]) -> Iterator[Any]:
    """The versions that were retired long enough ago: without a rule, no other may go."""
    if terms.restore_days is None:
        return
    while rows := store.retired(tx, tx.now - terms.restore_days * DAY_MS, after, _PAGE):
        yield from rows
        after = rows[-1].model_id, rows[-1].version


def _rules(tx: Tx, terms: Terms) -> Mapping[str, Rule]:
    """Rules by model id; the workspace's own under the empty one. A rule that is not asked for keeps everything."""
    rules = {row.model_id: rule_of(row) for row in store.rules_of(tx, tx.workspace)}
    if terms.automatic_only:
        rules = {model_id: rule if rule.automatic else KEEP_ALL for model_id, rule in rules.items()}
    return rules


def _judged(row: Any, rules: Mapping[str, Rule], terms: Terms, now: int) -> Candidate | None:
    rule = rules.get(row.model_id) or rules.get("", KEEP_ALL)
    standing = Standing(row.rank, row.created_at, row.retired_at, bool(row.placed), bool(row.held))
    reason = why_reclaimable(rule, standing, now, terms.restore_days)
    if reason is None:
        return None
    return Candidate(row.model_id, row.name, row.version, row.digest, row.size, reason)


def reclaimable_size(tx: Tx) -> int:
    """The bytes of everything in the workspace that may go now, as clients see them."""
    before = tx.now - RESTORE_DAYS * DAY_MS
    by_rule = store.size_outside_rules(tx) if store.rules_of(tx, tx.workspace) else 0
    return by_rule + store.retired_size(tx, before) + store.deleted_size(tx, before)
