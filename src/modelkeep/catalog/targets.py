"""What a request is about: the models and experiments behind the names, ids, paths and URIs in it.

Each function looks up what stands behind one of them and answers with what is asked of it, for the decision; with
nothing where nothing is there, which is the use case's to say.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from modelkeep import artifacts, models, runs
from modelkeep.access import SERVER, Asked, Kind, Target, Verb, workspace_exists, workspace_target
from modelkeep.artifacts import LoggedModel as LoggedModelSource
from modelkeep.artifacts import Run as RunSource
from modelkeep.artifacts import Stored, Version, parse_source
from modelkeep.core.errors import DomainError, InvalidInput, NotFound
from modelkeep.core.types import NOWHERE
from modelkeep.db import Tx

_DEFAULT_EXPERIMENT = "0"


def model(tx: Tx, name: str, *, verb: Verb | None = None, alias: str = "") -> list[Asked]:
    """The model in use under this name."""
    try:
        row = models.get_model(tx, name)
    except DomainError:
        return []
    return [Asked(Target(Kind.MODEL, row.id, row.name, tx.workspace, alias), verb)]


def with_others(found: list[Asked], others: Callable[[], list[Asked]]) -> list[Asked]:
    """A request's subject and what else it asks of other things, which are only looked for where the subject is."""
    return [*found, *others()] if found else [Asked(workspace_target(NOWHERE), absent=True)]


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
    try:
        view = runs.get_experiment(tx, experiment_id or _DEFAULT_EXPERIMENT)
    except DomainError:
        return []
    return [_experiment(tx, view.id, view.name, verb)]


def experiment_named(tx: Tx, name: str) -> list[Asked]:
    """The experiment with this name."""
    try:
        view = runs.get_experiment_by_name(tx, name)
    except DomainError:
        return []
    return [_experiment(tx, view.id, view.name, None)]


def run(tx: Tx, run_id: str, *, verb: Verb | None = None) -> list[Asked]:
    """The experiment of a run."""
    head = runs.run_head(tx, run_id)
    return experiment(tx, str(head.experiment_id), verb=verb) if head is not None else []


def logged_model(tx: Tx, model_id: str, *, verb: Verb | None = None) -> list[Asked]:
    """The experiment of a logged model."""
    head = runs.logged_model_head(tx, model_id)
    return experiment(tx, str(head.experiment_id), verb=verb) if head is not None else []


def path(tx: Tx, segments: tuple[str, ...], *, verb: Verb | None = None) -> list[Asked]:
    """What a path in the artifact namespace belongs to."""
    owner = artifacts.owner_of(tx, segments)
    if owner is None:
        return []
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
    """A push, which is its maker's alone. Raises NotFound for that of somebody else, as for none."""
    if artifacts.push_maker(tx, push_id) not in (None, tx.actor.name):
        raise artifacts.no_push(push_id)
    return []


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
    view = _experiment_view(tx, name)
    return Target(Kind.EXPERIMENT, str(view.id), view.name, tx.workspace)


def with_name(tx: Tx, target: Target) -> Target:
    """A model or experiment of which only the id is known, with its name; as it is where that is not to be found."""
    if target.kind is Kind.MODEL:
        return replace(target, name=models.model_names(tx, [target.id]).get(target.id, ""))
    if target.kind is Kind.EXPERIMENT and target.workspace == tx.workspace:
        return next((one.target for one in experiment(tx, target.id)), target)
    return target


def _experiment_view(tx: Tx, text: str) -> Any:
    if text.isascii() and text.isdigit():
        try:
            return runs.get_experiment(tx, text)
        except DomainError:  # then it may be the name of one
            return runs.get_experiment_by_name(tx, text)
    return runs.get_experiment_by_name(tx, text)


def referred(tx: Tx, asked: list[Asked], look: Callable[[], object]) -> list[Asked]:
    """What a request refers to beside its subject; `look` raises what such a reference to nothing is refused with."""
    return [replace(one, missing=_absence(tx, look)) for one in asked]


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


def _experiment(tx: Tx, experiment_id: int, name: str, verb: Verb | None) -> Asked:
    return Asked(Target(Kind.EXPERIMENT, str(experiment_id), name, tx.workspace), verb)


def _absence(tx: Tx, look: Callable[[], object]) -> DomainError:
    """What a look at something raises where it is not there."""
    caller = tx.caller
    tx.caller = replace(caller, workspace=NOWHERE)
    try:
        look()
    except DomainError as error:
        return error
    finally:
        tx.caller = caller
    return NotFound("What this refers to is not there.")
