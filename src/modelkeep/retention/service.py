"""Retention rules of workspaces and models, and holds on versions."""

from dataclasses import asdict
from typing import Any

from modelkeep.access import get_workspace, lock_workspace
from modelkeep.core.errors import Conflict, NotFound
from modelkeep.db import Tx
from modelkeep.models import find_any_version, get_model, lock_any_model, lock_model, version_not_found
from modelkeep.retention import store
from modelkeep.retention.events import HoldLifted, RuleDeleted, RuleSet, VersionHeld
from modelkeep.retention.rules import Rule, check_reason, check_rule


def workspace_rule(tx: Tx, workspace: str) -> Rule:
    """The rule of a workspace. Raises NotFound without one, or without the workspace."""
    get_workspace(tx, workspace)
    return _found(
        store.rule(tx, workspace, ""), f"Workspace '{workspace}' has no retention rule: every version is kept."
    )


def set_workspace_rule(tx: Tx, workspace: str, rule: Rule) -> None:
    """Set or replace the rule of a workspace, for all its models without one of their own. Raises InvalidInput."""
    lock_workspace(tx, workspace)
    _set(tx, workspace, "", rule)


def delete_workspace_rule(tx: Tx, workspace: str) -> None:
    """Delete the rule of a workspace; an absent one is fine. Raises NotFound for the workspace."""
    lock_workspace(tx, workspace)
    _delete(tx, workspace, "")


def model_rule(tx: Tx, name: str) -> tuple[Rule, bool]:
    """The rule that holds for a model, and whether it is its own. Raises NotFound for the model, or without a rule."""
    model = get_model(tx, name)
    own = store.rule(tx, tx.workspace, model.id)
    row = own or store.rule(tx, tx.workspace, "")
    return _found(row, f"No retention rule holds for '{name}': every version is kept."), own is not None


def set_model_rule(tx: Tx, name: str, rule: Rule) -> None:
    """Set or replace a model's own rule, which takes the place of its workspace's. Raises InvalidInput, NotFound."""
    _set(tx, tx.workspace, lock_model(tx, name).id, rule)


def delete_model_rule(tx: Tx, name: str) -> None:
    """Delete a model's own rule: its workspace's holds again. An absent one is fine. Raises NotFound for the model."""
    _delete(tx, tx.workspace, lock_model(tx, name).id)


def hold_version(tx: Tx, reference: str, number: int, reason: str) -> None:
    """Keep a version's files until the hold is lifted, whatever rules say, retired or not.

    `reference` is the name of a model in use, or the id of a retired one. Raises InvalidInput without a reason,
    NotFound, Conflict where the registry has no files to keep.
    """
    check_reason(reason)
    model, version = _locked_version(tx, reference, number)
    if version.digest is None or version.reclaimed_at is not None:
        raise Conflict(f"The registry has no files of version {number} of '{version.name}' that could be held.")
    known = store.hold(tx, model.id, number)
    if known is None or known.reason != reason:
        store.set_hold(tx, model.id, number, reason)
        tx.emit(VersionHeld(model.id, version.name, number, reason, known.reason if known else None))


def lift_hold(tx: Tx, reference: str, number: int) -> None:
    """Hold a version no more; without a hold nothing happens. Raises NotFound for the version."""
    model, version = _locked_version(tx, reference, number)
    reason = store.delete_hold(tx, model.id, number)
    if reason is not None:
        tx.emit(HoldLifted(model.id, version.name, number, reason))


def get_hold(tx: Tx, reference: str, number: int) -> Any:
    """The hold on a version: its reason, by whom, since when. Raises NotFound, also without a hold."""
    version = _version(tx, reference, number)
    found = store.hold(tx, version.model_id, number)
    if found is None:
        raise NotFound(f"Version {number} of '{version.name}' is not held.", "version")
    return found


def _set(tx: Tx, workspace: str, model_id: str, rule: Rule) -> None:
    check_rule(rule)
    known = store.rule(tx, workspace, model_id)
    if known is not None and rule_of(known) == rule:
        return
    store.set_rule(tx, workspace, model_id, {**asdict(rule), "automatic": int(rule.automatic)})
    tx.emit(RuleSet(workspace, model_id, **asdict(rule), before=asdict(rule_of(known)) if known else None))


def _delete(tx: Tx, workspace: str, model_id: str) -> None:
    row = store.delete_rule(tx, workspace, model_id)
    if row is not None:
        tx.emit(RuleDeleted(workspace, model_id, asdict(rule_of(row))))


def rule_of(row: Any) -> Rule:
    """The rule in a row."""
    return Rule(row.keep_last, row.keep_days, bool(row.automatic))


def _found(row: Any | None, otherwise: str) -> Rule:
    if row is None:
        raise NotFound(otherwise)
    return rule_of(row)


def _version(tx: Tx, reference: str, number: int) -> Any:
    """A version of the model in use of that name, or of any model of that id."""
    try:
        model_id = get_model(tx, reference).id
    except NotFound:
        model_id = reference
    version = find_any_version(tx, model_id, number)
    if version is None or version.workspace != tx.workspace:
        raise version_not_found(reference, number)
    return version


def _locked_version(tx: Tx, reference: str, number: int) -> tuple[Any, Any]:
    """A model and one of its versions, the model's row held, as promotion and reclaiming do."""
    try:
        model = lock_model(tx, reference)
    except NotFound:
        model = lock_any_model(tx, reference)
        if model is None:
            raise
    version = find_any_version(tx, model.id, number)
    if version is None:
        raise version_not_found(reference, number)
    return model, version
