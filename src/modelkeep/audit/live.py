"""Verifies a log together with the journal's rows, from which its entries are made anew."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from modelkeep.audit.offline import Source, verify
from modelkeep.audit.signed import Report, read_heads, read_keys


class LiveLog(Source, Protocol):
    """A log that a server keeps, as it was at one moment: how long, signed how far, and how many rows had a place."""

    size: int
    signed: int
    placed: int
    end: int

    def checkpoints(self) -> Iterable[tuple[str, str]]:
        """All checkpoints that were signed until then, each with what it is called."""


def verify_live(log: LiveLog, key_texts: Sequence[str], outside: Sequence[tuple[str, str]]) -> Report:
    """Verify all of it, also by checkpoints from outside. Raises ValueError for what is no key."""
    report = Report()
    keys = read_keys("\n".join(key_texts))
    heads = read_heads(log.checkpoints(), keys, report, outside=False)
    heads += read_heads(outside, keys, report, outside=True)
    verify(log, log.size, heads, report)
    if log.end > log.size:
        report.add("added entry", f"the journal has rows up to place {log.end - 1}; the log has {log.size} entries")
    elif log.placed != log.size:
        report.add("missing entry", f"the journal has {log.placed} rows of the log's {log.size} entries")
    return report
