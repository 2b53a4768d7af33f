"""Models that cases of their own need, made over the wire before the measurement."""

from bench import wire
from bench.servers import Server


def create_model(server: Server, name: str, versions: int) -> None:
    """A registered model with that many versions."""
    wire.call(server, "POST", "registered-models/create", {"name": name})
    for number in range(1, versions + 1):
        payload = {"name": name, "source": f"s3://bench/{name}/{number}"}
        wire.call(server, "POST", "model-versions/create", payload)


def has_model(server: Server, name: str) -> bool:
    """Whether there is a registered model of that name."""
    found = wire.call(server, "GET", "registered-models/search", filter=f"name = '{name}'")
    return bool(found.get("registered_models"))


def set_alias(server: Server, name: str, alias: str, version: int) -> None:
    """Point an alias at a version."""
    payload = {"name": name, "alias": alias, "version": str(version)}
    wire.call(server, "POST", "registered-models/alias", payload)


def move(server: Server, name: str, version: int, stage: str) -> None:
    """Bring a version to a stage."""
    payload = {"name": name, "version": str(version), "stage": stage, "archive_existing_versions": False}
    wire.call(server, "POST", "model-versions/transition-stage", payload)


def create_run(server: Server, experiment: str) -> tuple[str, str]:
    """A run in a new experiment of that name: its id, and its artifact root as a path under the proxy."""
    number = wire.call(server, "POST", "experiments/create", {"name": experiment})["experiment_id"]
    run = wire.call(server, "POST", "runs/create", {"experiment_id": number, "start_time": 1_790_000_000_000})
    info = run["run"]["info"]
    return str(info["run_id"]), str(info["artifact_uri"]).removeprefix("mlflow-artifacts:").lstrip("/")
