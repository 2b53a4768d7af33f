"""Stages and aliases: which there are and what may be done with them, as pure decisions."""

import re

from modelkeep.core.errors import InvalidInput
from modelkeep.core.names import check_length

NO_STAGE = "None"
ARCHIVED = "Archived"
STAGES = (NO_STAGE, "Staging", "Production", ARCHIVED)
LATEST = "latest"
MAX_ALIAS = 255

_ACTIVE = ["Staging", "Production"]
_CANONICAL = {stage.lower(): stage for stage in STAGES}
_ALIAS = re.compile(r"[\w\-]+")
_LIKE_A_VERSION = re.compile(r"[vV][0-9]+")


def canonical_stage(stage: str) -> str:
    """The stage as it is written, for a name in any case. Raises InvalidInput."""
    found = _CANONICAL.get(stage.lower())
    if found is None:
        raise InvalidInput(f"Invalid Model Version stage: {stage}. Value must be one of {', '.join(STAGES)}.", "stage")
    return found


def check_archiving(stage: str) -> None:
    """Refuse to archive the other versions of a stage that is not for use. Raises InvalidInput."""
    if stage not in _ACTIVE:
        raise InvalidInput(
            "Model version transition cannot archive existing model versions because "
            f"'{stage}' is not an Active stage. Valid stages are {_ACTIVE}",
            "archive_existing_versions",
        )


def check_alias(alias: str) -> None:
    """Refuse what cannot be the name of an alias. Raises InvalidInput."""
    if not alias:
        raise InvalidInput("Registered model alias name cannot be empty.", "alias")
    check_length("Registered model alias name", alias, MAX_ALIAS)
    if not _ALIAS.fullmatch(alias):
        raise InvalidInput(
            f"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-).",
            "alias",
        )


def check_new_alias(alias: str) -> None:
    """Refuse also what means something of its own: `latest` and `v<number>`. Raises InvalidInput."""
    check_alias(alias)
    if alias.lower() == LATEST:
        raise InvalidInput("'latest' alias name (case insensitive) is reserved.", "alias")
    if _LIKE_A_VERSION.fullmatch(alias):
        raise InvalidInput(f"Version alias name '{alias}' is reserved.", "alias")
