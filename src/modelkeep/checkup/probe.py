"""A job that does nothing: whether it is done tells whether any worker is alive."""

from modelkeep.core.types import Caller
from modelkeep.db import Tx
from modelkeep.db.jobs import queue

PROBE = "probe"
KEY = "checkup"


def answer_probe(_app: object, _caller: Caller, _job: object) -> None:
    """Handler: that it was called is all."""


def send_probe(tx: Tx) -> None:
    """Ask whoever works."""
    queue(tx, PROBE, KEY)
