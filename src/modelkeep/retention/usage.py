"""Which models hold how much of a workspace."""

import json
from typing import NamedTuple

from modelkeep.db import Tx
from modelkeep.retention import store

_LARGEST = 2**63 - 1


class ModelUsage(NamedTuple):
    """What a model's versions hold: all their files, and the distinct bytes among them."""

    model_id: str
    name: str
    versions: int
    files: int
    size: int
    stored: int


def largest_models(tx: Tx, after: tuple[int, str] | None, most: int) -> list[ModelUsage]:
    """Models by the bytes of their versions, the largest first, at most so many after that (bytes, model id)."""
    below, model_id = after or (_LARGEST, "")
    rows = store.largest_models(tx, below, model_id, most)
    stored = store.stored_of(tx, json.dumps([row.model_id for row in rows])) if rows else {}
    return [
        ModelUsage(row.model_id, row.name, int(row.versions), int(row.files), int(row.size), stored[row.model_id])
        for row in rows
    ]
