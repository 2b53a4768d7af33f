"""What a request is about: the models and experiments behind the names, ids, paths and URIs in it.

Each function looks up what stands behind one of them and answers with what is asked of it, for the decision; with
nothing where nothing is there, which is the use case's to say.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from modelkeep import artifacts, models, runs
from modelkeep.access import SERVER, Asked, Kind, Target, Verb, workspace_exists, workspace_target
from modelkeep.artifacts import LoggedModel as LoggedModelSource
from modelkeep.artifacts import Run as RunSource
from modelkeep.artifacts import Stored, Version, parse_source
from modelkeep.core.errors import DomainError, InvalidInput
from modelkeep.core.types import NOWHERE
from modelkeep.db import Tx

T = TypeVar("T")

_DEFAULT_EXPERIMENT = "0"


def model(tx: Tx, name: str, *, verb: Verb | None = None, alias: str = "") -> list[Asked]:
    """The model in use under this name."""
    try:
        row = models.get_model(tx, name)
    except DomainError:
        return []
    return [Asked(Target(Kind.MODEL, row.id, row.name, tx.workspace, alias), verb)]


def with_others(found: list[Asked], others: Callable[[], Iterable[Asked]]) -> Iterator[Asked]:
    """A request's subject and what else it asks of other things, which are only looked for where the subject is and
    the decision about it has let the request through.
    """
    if not found:
        yield Asked(workspace_target(NOWHERE), absent=True)
        return
    yield from found
    yield from others()


def retired_model(tx: Tx, reference: str) -> list[Asked]:
    """The retired model of this id, or the last retired of this name."""
    row = models.find_retired(tx, reference)
    return [Asked(Target(Kind.MODEL, row.id, row.name, tx.workspace))] if row is not None else []


def new_model(tx: Tx, name: str) -> list[Asked]:
    """A model that is to be made under this name, or to take it."""
    return [Asked(Target(Kind.MODEL, "", name, tx.workspace), Verb.REGISTER, creates=True)]


def model_or_new(tx: Tx, name: str) -> list[Asked]:
    """The model under this name, or the one to be made; whichever it is, who may not register is told the same."""
    found = model(tx, name)
    return [replace(one, creates=True) for one in found] or new_model(tx, name)


def new_experiment(tx: Tx, name: str) -> list[Asked]:
    """An experiment that is to be made under this name, or to take it."""
    return [Asked(Target(Kind.EXPERIMENT, "", name, tx.workspace), Verb.REGISTER, creates=True)]


def experiment(tx: Tx, experiment_id: str | None, *, verb: Verb | None = None) -> list[Asked]:
    """The experiment with this id."""
    return _on_experiment(tx, _experiment(tx, experiment_id or _DEFAULT_EXPERIMENT), verb)


def experiment_named(tx: Tx, name: str) -> list[Asked]:
    """The experiment with this name."""
    return _on_experiment(tx, _experiment_named(tx, name))


def run(tx: Tx, run_id: str, *, verb: Verb | None = None) -> list[Asked]:
    """The experiment of a run."""
    return _on_experiment(tx, runs.experiment_of_run(tx, run_id), verb)


def logged_model(tx: Tx, model_id: str, *, verb: Verb | None = None) -> list[Asked]:
    """The experiment of a logged model."""
    return _on_experiment(tx, runs.experiment_of_logged_model(tx, model_id), verb)


def path(tx: Tx, segments: tuple[str, ...], *, verb: Verb | None = None) -> list[Asked]:
    """What a path in the artifact namespace belongs to."""
    owner = artifacts.owner_of(tx, segments)
    if owner is None:
        return run(tx, "")  # nothing; but looked for, as it is where somebody's files are
    kind, _, rest = owner.partition("/")
    if kind == "run":
        return run(tx, rest, verb=verb)
    if kind == "logged-model":
        return logged_model(tx, rest, verb=verb)
    if kind == "version":
        model_id = rest.partition("/")[0]
        name = models.model_names(tx, [model_id]).get(model_id, "")
        return [Asked(Target(Kind.MODEL, model_id, name, tx.workspace), verb)]
    return push(tx, rest)


def push(tx: Tx, push_id: str) -> list[Asked]:
    """A push, which is its maker's alone: that of somebody else is not there."""
    if artifacts.push_maker(tx, push_id) in (None, tx.actor.id):
        return []
    return [Asked(workspace_target(NOWHERE), absent=True, hides=f"push/{push_id}")]


def upload(tx: Tx, upload_id: str) -> list[Asked]:
    """What the file of an upload in parts goes to."""
    try:
        found = artifacts.get_upload(tx, upload_id)
    except DomainError:
        return []
    return path(tx, artifacts.parse_path(found.path))


def source(tx: Tx, uri: str) -> list[Asked]:
    """What a version's source refers to, whose files it would serve from then on: they have to be downloadable."""
    try:
        parsed = parse_source(uri)
    except DomainError:
        return []
    return referred(tx, _of_source(tx, parsed), lambda: models.resolve_source(tx, uri))


def files_of(tx: Tx, uri: str) -> list[Asked]:
    """What the files behind a URI belong to."""
    try:
        return _of_source(tx, parse_source(uri))
    except DomainError:
        return []


def resource(tx: Tx, text: str, alias: str = "") -> Target | None:
    """`model/NAME`, `experiment/NAME`, `workspace/NAME` or `server`; None where there is none. Raises InvalidInput."""
    kind, _, name = text.partition("/")
    if text == "server":
        return SERVER
    if kind == Kind.WORKSPACE and name:
        return workspace_target(name) if workspace_exists(tx, name) else None
    if kind == Kind.MODEL and name:
        return next((one.target for one in model(tx, name, alias=alias)), None)
    if kind == Kind.EXPERIMENT and name:
        return next((one.target for one in experiment_named(tx, name)), None)
    raise InvalidInput("A resource is model/NAME, experiment/NAME, workspace/NAME or server.", "resource")


def thing(tx: Tx, kind: str, name: str) -> Target:
    """The model of this name, or the experiment of this id or name. Raises NotFound as for one that is not there."""
    if kind == Kind.MODEL:
        row = models.get_model(tx, name)
        return Target(Kind.MODEL, row.id, row.name, tx.workspace)
    is_number = name.isascii() and name.isdigit()
    found = (_experiment(tx, name) if is_number else None) or runs.get_experiment_by_name(tx, name)
    return Target(Kind.EXPERIMENT, str(found.id), found.name, tx.workspace)


def with_name(tx: Tx, target: Target) -> Target:
    """A model or experiment of which only the id is known, with its name; as it is where that is not to be found."""
    if target.kind is Kind.MODEL:
        return replace(target, name=models.model_names(tx, [target.id]).get(target.id, ""))
    if target.kind is Kind.EXPERIMENT:
        found = _at(tx, target.workspace, lambda: experiment(tx, target.id))
        return next((one.target for one in found), target)
    return target


def referred(tx: Tx, asked: list[Asked], look: Callable[[], object]) -> list[Asked]:
    """What a request refers to beside its subject; `look` raises what such a reference to nothing is refused with, if
    it is.
    """
    if not asked:
        return []
    missing = _absence(tx, look)
    return [replace(one, missing=missing, optional=missing is None) for one in asked]


def _of_source(tx: Tx, parsed: object) -> list[Asked]:
    match parsed:
        case Stored():
            return path(tx, parsed.segments, verb=Verb.DOWNLOAD) if not parsed.host else []
        case Version():
            return model(tx, parsed.name, verb=Verb.DOWNLOAD)
        case LoggedModelSource():
            return logged_model(tx, parsed.model_id, verb=Verb.DOWNLOAD)
        case RunSource():
            return run(tx, parsed.run_id, verb=Verb.DOWNLOAD)
    return []


def _experiment(tx: Tx, experiment_id: str) -> runs.ExperimentHead | None:
    try:
        return runs.find_experiment(tx, experiment_id)
    except DomainError:
        return None


def _experiment_named(tx: Tx, name: str) -> runs.ExperimentHead | None:
    try:
        return runs.find_experiment_named(tx, name)
    except DomainError:
        return None


def _on_experiment(tx: Tx, found: runs.ExperimentHead | None, verb: Verb | None = None) -> list[Asked]:
    if found is None:
        return []
    return [Asked(Target(Kind.EXPERIMENT, str(found.id), found.name, tx.workspace), verb)]


def _absence(tx: Tx, look: Callable[[], object]) -> DomainError | None:
    """What a look at something raises where it is not there; None where that is as good."""
    try:
        _at(tx, NOWHERE, look)
    except DomainError as error:
        return error
    return None


def _at(tx: Tx, workspace: str, look: Callable[[], T]) -> T:
    """What a look finds in a workspace that is not at hand."""
    caller = tx.caller
    tx.caller = replace(caller, workspace=workspace)
    try:
        return look()
    finally:
        tx.caller = caller
