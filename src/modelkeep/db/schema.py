"""The shared metadata that slices declare their tables in, and the short words they declare them with."""

from typing import Any

from sqlalchemy import Column, MetaData

from modelkeep.db.dialect import blob, integer, real, text

metadata = MetaData()


def text_column(name: str, *rest: Any, **options: Any) -> Column[str]:
    """A text column, NOT NULL unless said."""
    return Column(name, text(), *rest, nullable=options.pop("nullable", False), **options)


def int_column(name: str, *rest: Any, **options: Any) -> Column[int]:
    """A 64-bit integer column, NOT NULL unless said. Times are milliseconds since the epoch, flags are 0 or 1."""
    return Column(name, integer(), *rest, nullable=options.pop("nullable", False), **options)


def real_column(name: str, *rest: Any, **options: Any) -> Column[float]:
    """A double column, NOT NULL unless said."""
    return Column(name, real(), *rest, nullable=options.pop("nullable", False), **options)


def blob_column(name: str, *rest: Any, **options: Any) -> Column[bytes]:
    """A column of raw bytes, NOT NULL unless said."""
    return Column(name, blob(), *rest, nullable=options.pop("nullable", False), **options)
