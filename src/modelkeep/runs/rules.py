"""What experiments, runs and their records may be: pure checks, and the texts of refusals that clients match on."""

import json
import math
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from modelkeep.core.errors import AlreadyExists, InvalidInput, NotFound
from modelkeep.core.names import check_key, check_length, cut, invalid_value, missing_value

ACTIVE = "active"
DELETED = "deleted"
DEFAULT_EXPERIMENT = "Default"
RUN_NAME_TAG = "mlflow.runName"
MODEL_HISTORY_TAG = "mlflow.log-model.history"
DATASET_CONTEXT_TAG = "mlflow.data.context"

MAX_NAME_CHARS = 500
MAX_EXPERIMENT_TAG_CHARS = 5_000
MAX_PARAM_CHARS = 6_000
MAX_RUN_TAG_CHARS = 8_000
MAX_USER_CHARS = 256
# In bytes, so that a logged model's metric, with its key, always fits into an index of PostgreSQL.
_MAX_DATASET_NAME_BYTES = 1_200
_MAX_BATCH = {"metrics": 1_000, "params": 100, "tags": 100}
_MAX_BATCH_TOGETHER = 1_000
_DATASET_LIMITS = {
    "name": 500,
    "digest": 36,
    "source_type": 500,
    "source": 65_535,
    "schema": 1_048_575,
    "profile": 16_777_215,
}
_MAX_INPUT_TAG_KEY_CHARS = 255
_MAX_INPUT_TAG_CHARS = 500

STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_LARGEST_DOUBLE = 1.7976931348623157e308
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_ADJECTIVES = re.findall(
    r"\w+",
    "able amber bold brave bright brisk calm clear clever crisp deft eager early fair fleet gentle glad grand "
    "humble keen kind light lively loyal lucid mellow merry mild neat nimble noble patient placid proud quick quiet "
    "rapid ready serene sharp silent sleek smart smooth solid steady stout sunny swift tidy vivid warm wise",
)
_NOUNS = re.findall(
    r"\w+",
    "alder badger bear beaver birch bison cedar colt condor crane crow deer dove eagle elk elm falcon fern finch "
    "fir fox gecko goose hare hawk hazel heron ibis iris jay kite lark lily lynx maple marten mole moose newt oak orca "
    "osprey otter owl pine puffin quail raven robin salmon seal stork swan tern trout vole willow wolf yew",
)


class Entry(Protocol):
    """A key and a value that a client sent."""

    @property
    def key(self) -> str | None: ...

    @property
    def value(self) -> str | None: ...


class LoggedMetric(Protocol):
    """A metric point that a client sent."""

    @property
    def key(self) -> str | None: ...

    @property
    def value(self) -> float | None: ...

    @property
    def timestamp(self) -> int | None: ...

    @property
    def step(self) -> int | None: ...

    @property
    def model_id(self) -> str | None: ...

    @property
    def dataset_name(self) -> str | None: ...

    @property
    def dataset_digest(self) -> str | None: ...


class Dataset(Protocol):
    """A dataset that a client describes."""

    @property
    def name(self) -> str | None: ...

    @property
    def digest(self) -> str | None: ...

    @property
    def source_type(self) -> str | None: ...

    @property
    def source(self) -> str | None: ...

    @property
    def schema(self) -> str | None: ...

    @property
    def profile(self) -> str | None: ...


def experiment_number(text: str) -> int:
    """An experiment's id as a number. InvalidInput if it is none, NotFound if no experiment can have it."""
    if not _NUMBER.fullmatch(text):
        raise InvalidInput(f"Invalid experiment ID '{text}'. Experiment ID must be a valid integer.", "experiment_id")
    if len(text) > 18:
        raise no_experiment(text)
    return int(text)


def no_experiment(experiment_id: str | int) -> NotFound:
    """The refusal where there is no such experiment."""
    return NotFound(f"No Experiment with id={experiment_id} exists", "experiment_id")


def no_experiment_named(name: str) -> NotFound:
    """The refusal where no experiment has the name."""
    return NotFound(f"Could not find experiment with name '{name}'", "experiment_name")


def experiment_exists(name: str) -> AlreadyExists:
    """The refusal of a taken name."""
    return AlreadyExists(
        f"Experiment(name={name}) already exists. A deleted one keeps its name: restore it, or use another name.",
        "name",
    )


def not_active(kind: str, identity: str | int) -> InvalidInput:
    """The refusal of a change to something deleted."""
    return InvalidInput(f"The {kind} {identity} must be in the 'active' state. Current state is deleted.", f"{kind}_id")


def no_run(run_id: str) -> NotFound:
    """The refusal where there is no such run."""
    return NotFound(f"Run with id={run_id} not found", "run_id")


def check_experiment_name(name: str, parameter: str = "name") -> None:
    """Refuse an empty name, or one of more than 500 characters. Raises InvalidInput."""
    if not name:
        raise missing_value(parameter)
    check_length(parameter, name, MAX_NAME_CHARS)


def check_run_id(run_id: str) -> None:
    """Refuse what no run's id can be. Raises InvalidInput."""
    if not _RUN_ID.fullmatch(run_id):
        raise invalid_value("run_id", run_id[:300])


def status_name(status: str) -> str:
    """A run's status by name or number. Raises InvalidInput."""
    name = STATUSES.get(int(status)) if status.isascii() and status.isdigit() and len(status) < 3 else status
    if name not in STATUSES.values():
        raise invalid_value("status", status[:100], f"It must be one of {', '.join(STATUSES.values())}.")
    return str(name)


def experiment_tags(tags: Iterable[Entry]) -> dict[str, str]:
    """Checked tags of an experiment; the last of a repeated key counts. Raises InvalidInput."""
    checked = {}
    for tag in tags:
        check_key(tag.key)
        check_length("value", tag.value or "", MAX_EXPERIMENT_TAG_CHARS)
        checked[tag.key or ""] = tag.value or ""
    return checked


def run_tags(tags: Iterable[Entry], path: str = "tags[{}].key") -> dict[str, str]:
    """Checked tags of a run, long values cut; the last of a repeated key counts. Raises InvalidInput."""
    checked = {}
    for index, tag in enumerate(tags):
        parameter = path.format(index)
        check_key(tag.key, parameter, parameter)
        checked[tag.key or ""] = cut("value", tag.value or "", MAX_RUN_TAG_CHARS)
    if RUN_NAME_TAG in checked:
        check_length("run_name", checked[RUN_NAME_TAG], MAX_NAME_CHARS)
    return checked


def run_params(params: Sequence[Entry], path: str = "params[{}].key") -> dict[str, str]:
    """Checked parameters, long values cut. Raises InvalidInput, also for a key that is there twice."""
    checked = {}
    for index, param in enumerate(params):
        check_key(param.key, path.format(index), "Param key")
        checked[param.key or ""] = cut("value", param.value or "", MAX_PARAM_CHARS)
    if len(checked) < len(params):
        twice = sorted(key or "" for key, count in Counter(param.key for param in params).items() if count > 1)
        raise InvalidInput(
            f"Duplicate parameter keys have been submitted: {twice}. "
            "Please ensure the request contains only one param value per param key.",
            "params",
        )
    return checked


def check_batch(metrics: int, params: int, tags: int) -> None:
    """Refuse more entries than one batch takes. Raises InvalidInput."""
    for kind, count in (("metrics", metrics), ("params", params), ("tags", tags)):
        _check_count(kind, count, _MAX_BATCH[kind])
    _check_count("metrics, params, and tags", metrics + params + tags, _MAX_BATCH_TOGETHER)


def _check_count(kind: str, count: int, limit: int) -> None:
    if count > limit:
        raise InvalidInput(
            f"A batch logging request can contain at most {limit} {kind}. Got {count} {kind}. "
            f"Please split up {kind} across multiple requests and try again."
        )


def metric_refusal(metric: LoggedMetric, prefix: str) -> InvalidInput:
    """Why a point without a value or a possible time is refused; `prefix` is where it stands, as `metrics[0].`."""
    for name in ("value", "timestamp"):
        if getattr(metric, name) is None:
            return missing_value(prefix + name)
    why = f"metric '{metric.key}' (value={metric.value}). Timestamp must be a nonnegative long (64-bit integer)"
    return invalid_value(prefix + "timestamp", metric.timestamp, why)


def check_metric_dataset(name: str | None, digest: str | None) -> None:
    """Refuse the name and digest of a metric's dataset where they are too long. Raises InvalidInput."""
    check_length("dataset_name", name or "", _DATASET_LIMITS["name"])
    check_length("dataset_digest", digest or "", _DATASET_LIMITS["digest"])
    if len((name or "").encode()) > _MAX_DATASET_NAME_BYTES:
        text = f"'dataset_name' exceeds the maximum length of {_MAX_DATASET_NAME_BYTES} bytes"
        raise InvalidInput(text, "dataset_name")


def storable(value: float) -> tuple[float, int]:
    """A metric's value as stored: NaN is 0 and a flag, an infinity the largest double of its sign."""
    if math.isfinite(value):
        return value, 0
    return (0.0, 1) if math.isnan(value) else (math.copysign(_LARGEST_DOUBLE, value), 0)


def changed_param(run_id: str, changes: Sequence[tuple[str, str, str]]) -> InvalidInput:
    """The refusal of another value for a parameter; a change is (key, old value, new value)."""
    key, old, new = changes[0]
    return InvalidInput(
        f"Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' "
        f"for run ID='{run_id}'. Attempted logging new value '{new}'.",
        "value",
    )


def changed_params(run_id: str, changes: Sequence[tuple[str, str, str]]) -> InvalidInput:
    """The refusal of other values for parameters in a batch."""
    told = [{"key": key, "old_value": old, "new_value": new} for key, old, new in changes]
    return InvalidInput(
        f"Changing param values is not allowed. Params were already logged='{told}' for run ID='{run_id}'.", "params"
    )


def new_run_name(given: str | None, tags: dict[str, str]) -> str:
    """A new run's name: the argument, or the tag `mlflow.runName`, or a random one. InvalidInput if the two differ."""
    tagged = tags.get(RUN_NAME_TAG)
    if given and tagged and given != tagged:
        raise InvalidInput(
            f"Both 'run_name' argument and '{RUN_NAME_TAG}' tag are specified, but with different values "
            f"(run_name='{given}', {RUN_NAME_TAG}='{tagged}').",
            "run_name",
        )
    check_length("run_name", given or "", MAX_NAME_CHARS)
    return given or tagged or random_run_name()


def random_run_name() -> str:
    """A name such as `calm-heron-417`."""
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{secrets.randbelow(1000)}"


def check_dataset(dataset: Dataset) -> None:
    """Refuse a dataset without a name, digest or source, or with a part that is too long. Raises InvalidInput."""
    for part, limit in _DATASET_LIMITS.items():
        value = getattr(dataset, part)
        if not value and part in ("name", "digest", "source_type", "source"):
            raise missing_value(f"dataset.{part}")
        check_length(part, value or "", limit)


def input_tags(tags: Iterable[Entry]) -> dict[str, str]:
    """Checked tags of a run's use of a dataset. Raises InvalidInput."""
    checked = {}
    for tag in tags:
        if not tag.key:
            raise missing_value("key")
        check_length("key", tag.key, _MAX_INPUT_TAG_KEY_CHARS)
        check_length("value", tag.value or "", _MAX_INPUT_TAG_CHARS)
        checked[tag.key] = tag.value or ""
    return checked


def sample_steps(steps_of_runs: dict[str, list[int]], limit: int) -> list[int]:
    """About `limit` steps, evenly spread over the ascending steps of all runs, with each run's first and last step."""
    every = sorted({step for steps in steps_of_runs.values() for step in steps})
    if len(every) <= limit:
        return every
    spread = {every[round(index * (len(every) - 1) / max(limit - 1, 1))] for index in range(limit)}
    ends = {step for steps in steps_of_runs.values() if steps for step in (steps[0], steps[-1])}
    return sorted(spread | ends)


def listed_in(text: str) -> list[Any]:
    """The members of a JSON list in a tag. Clients can write such tags too: what is no list counts as an empty one."""
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return listed if isinstance(listed, list) else []
