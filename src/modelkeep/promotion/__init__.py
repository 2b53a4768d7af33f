"""Promotion: the only way a stage or an alias of a version changes."""

from modelkeep.promotion.events import AliasDeleted, AliasSet, PlacementEvent, VersionMoved
from modelkeep.promotion.rules import LATEST, NO_STAGE, STAGES, canonical_stage, check_alias
from modelkeep.promotion.service import delete_alias, move, place_new_version, remove_placement, set_alias

__all__ = [
    "LATEST",
    "NO_STAGE",
    "STAGES",
    "AliasDeleted",
    "AliasSet",
    "PlacementEvent",
    "VersionMoved",
    "canonical_stage",
    "check_alias",
    "delete_alias",
    "move",
    "place_new_version",
    "remove_placement",
    "set_alias",
]
