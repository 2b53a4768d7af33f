"""Makes what a test needs before it can state its claim: models, versions, experiments, runs, logged models."""

import uuid
from typing import Any

from faces.mlflow.wire import Wire

ELSEWHERE = "s3://elsewhere/model"


def unused(prefix: str = "it") -> str:
    """A name that nothing on the server has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def path_of(artifact_uri: str) -> str:
    """The path in the artifact proxy that an `mlflow-artifacts:` URI names."""
    return artifact_uri.removeprefix("mlflow-artifacts:").lstrip("/")


class Build:
    """Every method makes one thing over the wire and gives its identity or its record."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def model(self, name: str = "", **fields: Any) -> str:
        """A registered model; its name."""
        record = self.wire.post("registered-models/create", name=name or unused("model"), **fields).ok()
        return record["registered_model"]["name"]

    def prompt(self, name: str = "") -> str:
        """A registered model that is a prompt; its name."""
        return self.model(name or unused("prompt"), tags=[{"key": "mlflow.prompt.is_prompt", "value": "true"}])

    def version(self, name: str, source: str = ELSEWHERE, **fields: Any) -> dict[str, Any]:
        """A version of a registered model; its record."""
        return self.wire.post("model-versions/create", name=name, source=source, **fields).ok()["model_version"]

    def staged(self, name: str, stage: str) -> str:
        """A version that stands in a stage; its number."""
        number = self.version(name)["version"]
        self.wire.post("model-versions/transition-stage", name=name, version=number, stage=stage).ok()
        return number

    def experiment(self, name: str = "", **fields: Any) -> str:
        """An experiment; its id."""
        return self.wire.post("experiments/create", name=name or unused("experiment"), **fields).ok()["experiment_id"]

    def run(self, experiment_id: str = "0", **fields: Any) -> str:
        """A run; its id."""
        return self.started(experiment_id, **fields)["info"]["run_id"]

    def started(self, experiment_id: str = "0", **fields: Any) -> dict[str, Any]:
        """A run; its record."""
        fields.setdefault("start_time", 1_700_000_000_000)
        return self.wire.post("runs/create", experiment_id=experiment_id, **fields).ok()["run"]

    def logged_model(self, experiment_id: str = "0", **fields: Any) -> dict[str, Any]:
        """A logged model; the `info` of its record."""
        return self.wire.post("logged-models", experiment_id=experiment_id, **fields).ok()["model"]["info"]

    def artifacts_of(self, run_id: str) -> str:
        """The path in the artifact proxy under which a run's files lie."""
        return path_of(self.wire.get("runs/get", run_id=run_id).ok()["run"]["info"]["artifact_uri"])
