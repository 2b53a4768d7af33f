"""Logged models through the client: logging, reading, searching, tagging, and their links to runs and versions."""

from collections.abc import Callable
from typing import Any

import mlflow
import pytest
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import RestException
from mlflow.tracking import MlflowClient

from faces.mlflow.conftest import Trained


def test_a_logged_model_reads_back(client: MlflowClient, log_trained: Callable[..., Any]):
    """A logged model is ready and names its run, its experiment and its files."""
    info = log_trained("clf", params={"max_iter": 500}, tags={"k": "v"})
    model = mlflow.get_logged_model(info.model_id)
    assert (model.name, model.status, model.source_run_id) == ("clf", LoggedModelStatus.READY, info.run_id)
    assert (model.params["max_iter"], model.tags["k"]) == ("500", "v")
    assert model.artifact_location == f"mlflow-artifacts:/{model.experiment_id}/models/{model.model_id}/artifacts"
    assert client.get_run(info.run_id).outputs.model_outputs[0].model_id == info.model_id


def test_metrics_of_a_run_are_linked_to_its_model(client: MlflowClient, trained: Trained):
    """Metrics logged before and after the model are shown by the model."""
    with mlflow.start_run():
        mlflow.log_metric("before", 0.1)
        info = mlflow.sklearn.log_model(trained.model, name="m", pip_requirements=["scikit-learn"])
        mlflow.log_metric("after", 0.2, model_id=info.model_id)
    metrics = {metric.key: metric.value for metric in mlflow.get_logged_model(info.model_id).metrics}
    assert metrics == {"before": 0.1, "after": 0.2}


def test_search_finds_models_by_name_parameter_and_metric(client: MlflowClient, trained: Trained):
    """search_logged_models filters by attributes, parameters and metrics and orders by a metric."""
    for name, score in (("one", 0.1), ("two", 0.2)):
        model = mlflow.create_external_model(name=name, params={"size": name}, model_type="hosted")
        mlflow.log_metric("score", score, model_id=model.model_id)

    def found(**asked: Any) -> list[str]:
        return [each.name for each in mlflow.search_logged_models(output_format="list", **asked)]

    assert found(filter_string="name = 'one' AND params.size = 'one'") == ["one"]
    assert found(filter_string="metrics.score > 0.15") == ["two"]
    assert found(order_by=[{"field_name": "metrics.score", "ascending": True}]) == ["one", "two"]
    assert found(filter_string="model_type = 'hosted'", max_results=1) == ["two"]


def test_search_gives_a_table(client: MlflowClient):
    """Without a format the result is a table with a row for each model."""
    mlflow.create_external_model(name="one")
    assert list(mlflow.search_logged_models().name) == ["one"]


def test_tags_of_a_logged_model_change(client: MlflowClient):
    """Tags are set and deleted, and deleting an absent one is refused."""
    model = mlflow.create_external_model(name="one", tags={"a": "1"}).model_id
    mlflow.set_logged_model_tags(model, {"b": "2"})
    mlflow.delete_logged_model_tag(model, "a")
    tags = mlflow.get_logged_model(model).tags
    assert "a" not in tags
    assert tags["b"] == "2"
    with pytest.raises(RestException, match="No tag with key 'a' found for model with ID"):
        mlflow.delete_logged_model_tag(model, "a")


def test_parameters_are_added_later(client: MlflowClient):
    """A logged model takes parameters after its creation."""
    model = mlflow.initialize_logged_model(name="one", params={"a": "1"}).model_id
    mlflow.log_model_params({"b": "2"}, model_id=model)
    mlflow.finalize_logged_model(model, "READY")
    read = mlflow.get_logged_model(model)
    assert (read.params, read.status) == ({"a": "1", "b": "2"}, LoggedModelStatus.READY)


def test_an_active_model_takes_the_metrics(client: MlflowClient):
    """set_active_model makes or finds the model that later metrics belong to."""
    model = mlflow.set_active_model(name="active")
    with mlflow.start_run():
        mlflow.log_metric("m", 0.5)
    mlflow.clear_active_model()
    assert mlflow.get_logged_model(model.model_id).metrics[0].value == 0.5


def test_a_deleted_logged_model_is_gone(client: MlflowClient, log_trained: Callable[..., Any]):
    """After deletion neither get nor search finds the model."""
    info = log_trained()
    client.delete_logged_model(info.model_id)
    with pytest.raises(RestException, match=f"Logged model with ID '{info.model_id}' not found"):
        mlflow.get_logged_model(info.model_id)
    assert mlflow.search_logged_models(output_format="list") == []


def test_a_registered_logged_model_shows_its_versions(client: MlflowClient, log_trained: Callable[..., Any], name: str):
    """The logged model's tag and the version's model id lead to each other."""
    info = log_trained(registered_model_name=name)
    assert f'"name": "{name}"' in mlflow.get_logged_model(info.model_id).tags["mlflow.modelVersions"]
    version = client.get_model_version(name, "1")
    assert (version.run_id, version.source) == (info.run_id, f"models:/{info.model_id}")


def test_a_model_logged_outside_a_run_loads(client: MlflowClient, trained: Trained, name: str):
    """log_model without a run makes a logged model that registers and loads."""
    info = mlflow.sklearn.log_model(
        trained.model, name="m", pip_requirements=["scikit-learn"], registered_model_name=name
    )
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
    assert list(loaded.predict(trained.rows)) == trained.answers
    assert loaded.metadata.model_id == info.model_id


def test_a_model_with_signature_and_example_keeps_them(client: MlflowClient, trained: Trained):
    """Signature and input example are read back from the stored files."""
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            trained.model, name="m", pip_requirements=["scikit-learn"], input_example=trained.rows.head(2)
        )
    loaded = mlflow.pyfunc.load_model(info.model_uri)
    assert loaded.metadata.signature == info.signature
    assert len(loaded.input_example) == 2
