"""The code that a data scientist already has: train, log, register, load, stage. It must run unchanged."""

from collections.abc import Iterator
from dataclasses import dataclass

import mlflow
import pytest
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from faces.mlflow.conftest import Trained, connect, forget
from faces.mlflow.served import Served

CHURN, FRAUD = "customer-churn-predictor", "fraud-detection-model"


@dataclass(frozen=True)
class Journey:
    """What the script below leaves behind."""

    run_id: str
    model_id: str
    registered: ModelVersion


@pytest.fixture(scope="module")
def journey(server: Served, trained: Trained) -> Iterator[Journey]:
    """Two logged and registered models, a third registered from its run, stages and an alias."""
    with pytest.MonkeyPatch.context() as environment:
        client = connect(server, environment)
        train_and_log(trained, pip_requirements=["scikit-learn"])
        run_id, model_id = train_and_log(trained)
        registered = mlflow.register_model(f"runs:/{run_id}/model", FRAUD)
        for stage in ("Staging", "Production"):
            client.transition_model_version_stage(CHURN, "2", stage, archive_existing_versions=True)
        client.set_registered_model_alias(CHURN, "champion", "2")
        forget()
    yield Journey(run_id, model_id, registered)


def train_and_log(trained: Trained, **options: list[str]) -> tuple[str, str]:
    """What a training script does at its end; the ids of the run and of the logged model."""
    with mlflow.start_run() as run:
        mlflow.log_param("max_iter", 500)
        mlflow.log_metric("accuracy", 0.97)
        info = mlflow.sklearn.log_model(trained.model, "model", registered_model_name=CHURN, **options)
    return run.info.run_id, info.model_id


def test_logging_with_a_name_registers_versions_in_turn(journey: Journey, client: MlflowClient):
    """Each log_model with a registered name makes the next version, ready and linked to its run."""
    versions = client.search_model_versions(f"name='{CHURN}'")
    assert sorted((version.version, version.status) for version in versions) == [("1", "READY"), ("2", "READY")]
    assert client.get_model_version(CHURN, "2").run_id == journey.run_id


def test_the_run_holds_what_was_logged(journey: Journey, client: MlflowClient):
    """Parameter and metric are on the finished run."""
    run = client.get_run(journey.run_id)
    assert run.data.params == {"max_iter": "500"}
    assert run.data.metrics["accuracy"] == 0.97
    assert run.info.status == "FINISHED"


def test_a_run_is_registered_by_its_uri(journey: Journey, client: MlflowClient):
    """register_model of `runs:/.../model` makes version 1 of a model that did not exist."""
    assert (journey.registered.name, str(journey.registered.version)) == (FRAUD, "1")
    (found,) = client.search_model_versions(f"name='{FRAUD}'")
    assert found.run_id == journey.run_id


@pytest.mark.parametrize(
    "uri",
    [
        f"models:/{CHURN}/latest",
        f"models:/{CHURN}/Latest",
        f"models:/{CHURN}/1",
        f"models:/{CHURN}/2",
        f"models:/{CHURN}/Production",
        f"models:/{CHURN}/production",
        f"models:/{CHURN}/PRODUCTION",
        f"models:/{CHURN}@champion",
        f"models:/{CHURN}@latest",
        f"models:/{FRAUD}/1",
        "models:/{model_id}",
        "runs:/{run_id}/model",
    ],
)
def test_every_uri_loads_the_model(journey: Journey, client: MlflowClient, trained: Trained, uri: str):
    """A model loaded by any of its names predicts what the local one does."""
    loaded = mlflow.pyfunc.load_model(uri.format(run_id=journey.run_id, model_id=journey.model_id))
    assert list(loaded.predict(trained.rows)) == trained.answers


def test_the_loaded_model_is_the_same_estimator(journey: Journey, client: MlflowClient, trained: Trained):
    """The flavor's own loader gives the estimator back."""
    loaded = mlflow.sklearn.load_model(f"models:/{CHURN}/2")
    assert type(loaded) is type(trained.model)
    assert list(loaded.predict(trained.rows)) == trained.answers


def test_an_empty_stage_says_so(journey: Journey, client: MlflowClient):
    """Loading from a stage that holds nothing tells that no version is there."""
    with pytest.raises(mlflow.MlflowException, match="No versions of model with name"):
        mlflow.pyfunc.load_model(f"models:/{CHURN}/Staging")


def test_model_info_is_read_without_loading(journey: Journey, client: MlflowClient):
    """get_model_info reads the MLmodel file of a version."""
    info = mlflow.models.get_model_info(f"models:/{CHURN}@champion")
    assert "sklearn" in info.flavors
    assert info.model_id == journey.model_id


def test_the_model_knows_its_versions(journey: Journey, client: MlflowClient):
    """A registered model shows the newest version of each stage and its aliases."""
    model = client.get_registered_model(CHURN)
    assert {version.current_stage: version.version for version in model.latest_versions} == {
        "None": "1",
        "Production": "2",
    }
    assert model.aliases == {"champion": "2"}


@pytest.mark.beyond_mlflow
def test_versions_and_runs_say_who_made_them(journey: Journey, client: MlflowClient):
    """The caller's name is on the version and on the run, whatever the client claims to be."""
    assert client.get_model_version(CHURN, "2").user_id == "admin"
    assert client.get_run(journey.run_id).info.user_id == "admin"
