"""Audit: the record of what was done, by whom."""

from modelkeep.audit.service import entries, record

__all__ = ["entries", "record"]
