"""Retention: which files may go and when, what is held, and how that is done."""

from modelkeep.retention.candidates import (
    Candidate,
    LeftBehind,
    Terms,
    left_behind,
    reclaimable_size,
    version_candidates,
)
from modelkeep.retention.chores import CHORES, count_blobs, empty_old_trash, finish_deletions
from modelkeep.retention.events import HoldLifted, RuleDeleted, RuleSet, TreeReclaimed, VersionHeld, VersionReclaimed
from modelkeep.retention.reclaiming import (
    START,
    Place,
    Reclaimed,
    Step,
    apply_automatic_rules,
    begin_reclaiming,
    clear_tree,
    reclaim,
    release_versions,
)
from modelkeep.retention.rules import RESTORE_DAYS, TRASH_DAYS, Rule, check_days
from modelkeep.retention.service import (
    delete_model_rule,
    delete_workspace_rule,
    get_hold,
    hold_version,
    lift_hold,
    model_rule,
    set_model_rule,
    set_workspace_rule,
    workspace_rule,
)
from modelkeep.retention.usage import ModelUsage, largest_models

__all__ = [
    "CHORES",
    "RESTORE_DAYS",
    "START",
    "TRASH_DAYS",
    "Candidate",
    "HoldLifted",
    "LeftBehind",
    "ModelUsage",
    "Place",
    "Reclaimed",
    "Rule",
    "RuleDeleted",
    "RuleSet",
    "Step",
    "Terms",
    "TreeReclaimed",
    "VersionHeld",
    "VersionReclaimed",
    "apply_automatic_rules",
    "begin_reclaiming",
    "check_days",
    "clear_tree",
    "count_blobs",
    "delete_model_rule",
    "delete_workspace_rule",
    "empty_old_trash",
    "finish_deletions",
    "get_hold",
    "hold_version",
    "largest_models",
    "left_behind",
    "lift_hold",
    "model_rule",
    "reclaim",
    "reclaimable_size",
    "release_versions",
    "set_model_rule",
    "set_workspace_rule",
    "version_candidates",
    "workspace_rule",
]
