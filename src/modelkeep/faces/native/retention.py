"""Retention on the native API: rules of workspaces and models, and holds on versions."""

from typing import Any

from modelkeep import retention
from modelkeep.access import Permission
from modelkeep.db import Tx
from modelkeep.faces.native.messages import VersionNumber
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Mode, Operation
from modelkeep.retention import Rule


class OneWorkspaceRule(Request):
    """A call about the rule of the workspace of that name."""

    name: str


class OneModelRule(Request):
    """A call about the rule of the model of that name."""

    name: str


class PutWorkspaceRule(Request):
    """How many versions in use of each model are kept, how long, or both; and whether the server sees to it itself."""

    name: str
    keep_last: int | None = None
    keep_days: int | None = None
    automatic: bool = False


class PutModelRule(Request):
    """The same for one model, in place of its workspace's rule."""

    name: str
    keep_last: int | None = None
    keep_days: int | None = None
    automatic: bool = False


class OneHold(Request):
    """A call about the hold on a version. `name` is a model in use, or the id of a retired one."""

    name: str
    version: VersionNumber


class PutHold(Request):
    """Why a version's files are to be kept, whatever rules say."""

    name: str
    version: VersionNumber
    reason: str


class RuleAnswer(Answer):
    """A retention rule, and whose it is: the `workspace`'s or the `model`'s own."""

    of: str
    automatic: bool
    keep_last: int | None = None
    keep_days: int | None = None


class HoldAnswer(Answer):
    """A hold: why, by whom, and since when in milliseconds."""

    version: int
    reason: str
    held_by: str
    held_at: int


def show_workspace_rule(tx: Tx, request: OneWorkspaceRule) -> RuleAnswer:
    """The rule of a workspace."""
    return _rule_answer("workspace", retention.workspace_rule(tx, request.name))


def put_workspace_rule(tx: Tx, request: PutWorkspaceRule) -> RuleAnswer:
    """Set the rule of a workspace."""
    rule = Rule(request.keep_last, request.keep_days, request.automatic)
    retention.set_workspace_rule(tx, request.name, rule)
    return _rule_answer("workspace", rule)


def delete_workspace_rule(tx: Tx, request: OneWorkspaceRule) -> None:
    """Delete the rule of a workspace."""
    retention.delete_workspace_rule(tx, request.name)


def show_model_rule(tx: Tx, request: OneModelRule) -> RuleAnswer:
    """The rule that holds for a model."""
    rule, own = retention.model_rule(tx, request.name)
    return _rule_answer("model" if own else "workspace", rule)


def put_model_rule(tx: Tx, request: PutModelRule) -> RuleAnswer:
    """Set a model's own rule."""
    rule = Rule(request.keep_last, request.keep_days, request.automatic)
    retention.set_model_rule(tx, request.name, rule)
    return _rule_answer("model", rule)


def delete_model_rule(tx: Tx, request: OneModelRule) -> None:
    """Delete a model's own rule."""
    retention.delete_model_rule(tx, request.name)


def show_hold(tx: Tx, request: OneHold) -> HoldAnswer:
    """The hold on a version."""
    return _hold_answer(retention.get_hold(tx, request.name, request.version))


def put_hold(tx: Tx, request: PutHold) -> HoldAnswer:
    """Hold a version."""
    retention.hold_version(tx, request.name, request.version, request.reason)
    return _hold_answer(retention.get_hold(tx, request.name, request.version))


def lift_hold(tx: Tx, request: OneHold) -> None:
    """Lift a hold."""
    retention.lift_hold(tx, request.name, request.version)


def _rule_answer(of: str, rule: Rule) -> RuleAnswer:
    return RuleAnswer(of=of, automatic=rule.automatic, keep_last=rule.keep_last, keep_days=rule.keep_days)


def _hold_answer(row: Any) -> HoldAnswer:
    return HoldAnswer(version=row.version, reason=row.reason, held_by=row.held_by, held_at=row.held_at)


_OF_WORKSPACE, _OF_MODEL = "workspaces/{name}/retention", "models/{name}/retention"
_HOLD = "models/{name}/versions/{version}/hold"
_MANAGE = Permission.STORAGE_MANAGE


def _operation(
    name: str, method: str, path: str, request: Any, run: Any, summary: str, answer: Any = None
) -> Operation:
    mode, permission = (Mode.READ, Permission.MODEL_READ) if method == "GET" else (Mode.WRITE, _MANAGE)
    status = 204 if method == "DELETE" else 200
    return Operation(name, NATIVE, routes(method, path), request, run, mode, permission, summary, answer, status=status)


OPERATIONS: list[Operation] = [
    _operation(
        "retention.show_of_workspace",
        "GET",
        _OF_WORKSPACE,
        OneWorkspaceRule,
        show_workspace_rule,
        "Which versions a workspace keeps",
        RuleAnswer,
    ),
    _operation(
        "retention.set_of_workspace",
        "PUT",
        _OF_WORKSPACE,
        PutWorkspaceRule,
        put_workspace_rule,
        "Say which versions a workspace keeps",
        RuleAnswer,
    ),
    _operation(
        "retention.delete_of_workspace",
        "DELETE",
        _OF_WORKSPACE,
        OneWorkspaceRule,
        delete_workspace_rule,
        "Keep every version of a workspace",
    ),
    _operation(
        "retention.show_of_model",
        "GET",
        _OF_MODEL,
        OneModelRule,
        show_model_rule,
        "Which versions of a model are kept",
        RuleAnswer,
    ),
    _operation(
        "retention.set_of_model",
        "PUT",
        _OF_MODEL,
        PutModelRule,
        put_model_rule,
        "Say which versions of a model are kept",
        RuleAnswer,
    ),
    _operation(
        "retention.delete_of_model",
        "DELETE",
        _OF_MODEL,
        OneModelRule,
        delete_model_rule,
        "Let the workspace's rule hold for a model",
    ),
    _operation("holds.show", "GET", _HOLD, OneHold, show_hold, "Why a version is held", HoldAnswer),
    _operation("holds.set", "PUT", _HOLD, PutHold, put_hold, "Keep a version's files whatever rules say", HoldAnswer),
    _operation("holds.lift", "DELETE", _HOLD, OneHold, lift_hold, "Hold a version no more"),
]
