"""Audit: the record of what was done, by whom."""

from modelkeep.audit.service import history, record

__all__ = ["history", "record"]
