"""YAML of plain values, with few aliases, and the tags of a document without making anything of it."""

import re
from collections.abc import Iterator
from typing import Any

import yaml  # type: ignore[import-untyped]

from modelkeep.scanner.sources import OverLimit

_MOST_ALIASES = 100
_LONGEST = 1 << 20
_DEEPEST = 200
NotYaml = yaml.YAMLError


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > _MOST_ALIASES:
                raise OverLimit("the YAML repeats itself too often")
        return super().compose_node(parent, index)


def _check_size(text: str) -> None:
    """The parser takes a time that grows with the square of how deep brackets lie in one another."""
    if len(text) > _LONGEST:
        raise OverLimit("the YAML is too long")
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        if depth > _DEEPEST:
            raise OverLimit("the YAML is too deep")


def load_yaml(text: str) -> Any:
    """A document of plain values. Raises NotYaml, OverLimit."""
    _check_size(text)
    loader = _PlainLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def tags(text: str) -> Iterator[str]:
    """Every tag up to where the text is no YAML any more, its abbreviations resolved. Raises OverLimit."""
    _check_size(text)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            tag = getattr(event, "tag", None)
            if isinstance(tag, str):
                yield tag
    except yaml.YAMLError:
        return
