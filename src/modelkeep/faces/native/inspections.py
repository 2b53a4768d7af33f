"""Inspections on the native API: whether a version is safe to load, why not, what it is made of, and who acts on it."""

import msgspec

from modelkeep import catalog, inspection
from modelkeep.access import Permission
from modelkeep.core.errors import Conflict
from modelkeep.db import Tx
from modelkeep.faces.native.versions import OneVersion
from modelkeep.faces.native.wire import NATIVE, Answer, Request, routes
from modelkeep.faces.operations import Mode, Operation
from modelkeep.inspection import RULE_SET, Contents, DownloadPolicy, Finding


class InspectionAnswer(Answer):
    """What is known of a version's files.

    `state` is `external` (the files are not held here), `reclaimed` (they are not any more), `pending` (they wait to be
    judged; a verdict that is there is of earlier) or `done`. `verdict` is `safe`, `unsafe`, `unverified` (it cannot be
    told) or `error` (the inspection failed, and nothing was found out), by the rules `rule_set`; `current_rule_set` are
    today's. It is of exactly the files that `digest` names.
    """

    name: str
    version: int
    state: str
    current_rule_set: int
    digest: str | None = None
    verdict: str | None = None
    rule_set: int | None = None
    inspected_at: int | None = None
    milliseconds: int | None = None
    findings: list[Finding] = msgspec.field(default_factory=list)
    contents: Contents | None = None


class OnePolicy(Request):
    """A workspace's download policy."""

    name: str


class SetPolicy(Request):
    """What a workspace refuses to give out: versions judged `unsafe`, and those without a verdict.

    The latter (`refuse_unjudged`) wait to be inspected, or their inspection failed.
    """

    name: str
    refuse_unsafe: bool
    refuse_unjudged: bool = False


class PolicyAnswer(Answer, omit_defaults=False):
    """What a workspace refuses to give out."""

    workspace: str
    refuse_unsafe: bool
    refuse_unjudged: bool


def show_inspection(tx: Tx, request: OneVersion) -> InspectionAnswer:
    """What is known of a version's files."""
    return _answer(tx, catalog.get_any_version(tx, request.name, request.version))


def inspect_again(tx: Tx, request: OneVersion) -> InspectionAnswer:
    """Have a version's files judged again."""
    view = catalog.get_any_version(tx, request.name, request.version)
    if view.digest is None:
        raise Conflict(f"Version {view.version} of '{view.name}' is external: the registry does not hold its files.")
    if view.reclaimed_at is not None:
        raise Conflict(f"Version {view.version} of '{view.name}' was reclaimed: its files are not kept any more.")
    inspection.ask_again(tx, view.digest)
    return _answer(tx, view)


def _answer(tx: Tx, view: catalog.VersionView) -> InspectionAnswer:
    answer = InspectionAnswer(name=view.name, version=view.version, state="external", current_rule_set=RULE_SET)
    if view.digest is None:
        return answer
    found = inspection.get_inspection(tx, view.digest)
    answer.digest = view.digest
    answer.state = "reclaimed" if view.reclaimed_at is not None else "pending" if found.is_pending else "done"
    answer.verdict = found.verdict.value if found.verdict else None
    answer.rule_set = found.rule_set
    answer.inspected_at = found.inspected_at
    answer.milliseconds = found.milliseconds
    answer.findings = list(found.findings)
    answer.contents = found.contents
    return answer


def show_policy(tx: Tx, request: OnePolicy) -> PolicyAnswer:
    """A workspace's download policy."""
    return _policy_answer(request.name, inspection.get_download_policy(tx, request.name))


def set_policy(tx: Tx, request: SetPolicy) -> PolicyAnswer:
    """Set a workspace's download policy."""
    policy = DownloadPolicy(request.refuse_unsafe, request.refuse_unjudged)
    inspection.set_download_policy(tx, request.name, policy)
    return _policy_answer(request.name, policy)


def _policy_answer(workspace: str, policy: DownloadPolicy) -> PolicyAnswer:
    return PolicyAnswer(workspace=workspace, refuse_unsafe=policy.refuse_unsafe, refuse_unjudged=policy.refuse_unjudged)


_INSPECTION = "models/{name}/versions/{version}/inspection"
_POLICY = "workspaces/{name}/download-policy"

OPERATIONS: list[Operation] = [
    Operation(
        "versions.inspection",
        NATIVE,
        routes("GET", _INSPECTION),
        OneVersion,
        show_inspection,
        Mode.READ,
        Permission.MODEL_READ,
        "Whether a version is safe to load, why not, and what it is made of",
        InspectionAnswer,
    ),
    Operation(
        "versions.inspect",
        NATIVE,
        routes("POST", _INSPECTION),
        OneVersion,
        inspect_again,
        Mode.WRITE,
        Permission.VERSION_INSPECT,
        "Have a version's files judged again",
        InspectionAnswer,
        status=202,
    ),
    Operation(
        "workspaces.download_policy",
        NATIVE,
        routes("GET", _POLICY),
        OnePolicy,
        show_policy,
        Mode.QUICK,
        Permission.WORKSPACE_READ,
        "Whether a workspace gives out versions that were judged unsafe, or were not judged",
        PolicyAnswer,
    ),
    Operation(
        "workspaces.set_download_policy",
        NATIVE,
        routes("PUT", _POLICY),
        SetPolicy,
        set_policy,
        Mode.WRITE,
        Permission.WORKSPACE_MANAGE,
        "Let a workspace refuse to give out versions that were judged unsafe, or were not judged",
        PolicyAnswer,
    ),
]
