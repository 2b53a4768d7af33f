"""The founding journey with the newest client of the 2.x line, run by its own Python from `.venv-mlflow2`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from faces.mlflow.build import unused
from faces.mlflow.served import Served

HERE = Path(__file__).parent
PYTHON = HERE.parents[2] / ".venv-mlflow2" / "bin" / "python"


@pytest.fixture(scope="module")
def journey(server: Served) -> dict[str, Any]:
    """What the journey saw."""
    told = {
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    token = {"MLFLOW_TRACKING_TOKEN": server.token} if server.token else {}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    done = subprocess.run(
        [PYTHON, HERE / "journey.py", unused("churn")],
        env=inherited | told | token,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_client_is_of_the_2_line(journey: dict[str, Any]):
    """The journey was made by a 2.x client."""
    assert journey["client"].startswith("2.")


def test_every_uri_loads_the_model(journey: dict[str, Any]):
    """A model loaded by number, latest, stage in any case, alias or run predicts what the local one does."""
    assert set(journey["predictions"].values()) == {True}
    assert len(journey["predictions"]) == 7


def test_the_files_are_the_runs_artifacts(journey: dict[str, Any]):
    """A 2.x client's model lies in its run, and the run's tag tells where."""
    assert {"model/MLmodel", "model/model.pkl"} <= set(journey["files"])
    assert journey["history"] == "model"
    assert journey["champion"]["source"] == journey["artifact_uri"] + "/model"
    assert journey["champion"]["run_id"] == journey["run_id"]


def test_a_run_is_registered_by_its_uri(journey: dict[str, Any]):
    """register_model of `runs:/.../model` makes version 1 of a new model."""
    assert journey["registered"][0].endswith("-again")
    assert journey["registered"][1] == "1"


def test_stages_archive_what_stood_there(journey: dict[str, Any]):
    """The second version in production archives the first."""
    assert journey["stages"] == {"1": "Archived", "2": "Production"}


def test_descriptions_tags_and_aliases_read_back(journey: dict[str, Any]):
    """What was written to the version is found behind its alias."""
    champion = journey["champion"]
    assert (champion["version"], champion["description"], champion["tag"]) == ("2", "better", "approved")
    assert champion["aliases"] == ["champion"]


def test_searches_find_models_versions_and_runs(journey: dict[str, Any]):
    """Models are found by name, versions by run, runs by metric and parameter."""
    found = journey["search"]
    assert len(found["models"]) == 1
    assert sorted(found["by run"]) == ["1", "2"]
    assert found["runs"] == 2
    assert found["latest"] == {"Archived": "1", "Production": "2"}


def test_copies_stay_and_deleted_things_go(journey: dict[str, Any]):
    """A copy names its source; a deleted version takes its alias along; a deleted model is not found."""
    assert journey["copied"] == ["1", "models:/NAME/2"]
    assert journey["aliases left"] == {}
    assert journey["models left"] == ["NAME-again", "NAME-copy"]
