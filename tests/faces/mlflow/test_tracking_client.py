"""Tracking through the client: runs, metrics, batches, datasets, autologging, evaluation, deleting and restoring."""

import math
from collections.abc import Callable
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import RestException
from mlflow.tracking import MlflowClient
from sklearn.linear_model import LogisticRegression

from faces.mlflow.conftest import Trained


def test_a_run_keeps_what_is_logged(client: MlflowClient):
    """Parameters, metrics, tags and the end of a run are read back."""
    with mlflow.start_run(run_name="blue", description="why", tags={"k": "v"}) as run:
        mlflow.log_params({"depth": 3, "kind": "tree"})
        mlflow.log_metrics({"acc": 0.5, "loss": 1.5}, step=2)
        mlflow.set_tags({"team": "risk"})
    read = client.get_run(run.info.run_id)
    assert read.data.params == {"depth": "3", "kind": "tree"}
    assert read.data.metrics == {"acc": 0.5, "loss": 1.5}
    assert (read.data.tags["k"], read.data.tags["team"], read.data.tags["mlflow.note.content"]) == ("v", "risk", "why")
    assert (read.info.run_name, read.info.status) == ("blue", "FINISHED")
    assert read.info.end_time >= read.info.start_time


def test_a_run_that_raises_is_failed(client: MlflowClient):
    """An error inside the block ends the run as FAILED."""
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        1 / 0  # noqa: B018
    assert client.get_run(run.info.run_id).info.status == "FAILED"


def test_a_run_is_resumed(client: MlflowClient):
    """A finished run can be opened again by its id."""
    with mlflow.start_run() as run:
        mlflow.log_param("a", 1)
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_param("b", 2)
    read = client.get_run(run.info.run_id)
    assert read.data.params == {"a": "1", "b": "2"}
    assert read.info.status == "FINISHED"


def test_child_runs_name_their_parent(client: MlflowClient):
    """A nested run is found by its parent."""
    with mlflow.start_run() as parent, mlflow.start_run(nested=True) as child:
        pass
    assert client.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id


def test_the_history_of_a_metric_is_whole(client: MlflowClient):
    """All points of a metric come back with their steps, and the run shows the last."""
    with mlflow.start_run() as run:
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(20)]
    assert client.get_run(run.info.run_id).data.metrics["loss"] == 1 / 20


def test_special_values_are_metrics(client: MlflowClient):
    """NaN stays NaN, and infinities become the largest numbers."""
    with mlflow.start_run() as run:
        mlflow.log_metrics({"nan": math.nan, "inf": math.inf, "ninf": -math.inf})
    metrics = client.get_run(run.info.run_id).data.metrics
    assert math.isnan(metrics["nan"])
    assert (metrics["inf"], metrics["ninf"]) == (1.7976931348623157e308, -1.7976931348623157e308)


def test_a_large_batch_is_logged_in_one_call(client: MlflowClient):
    """A thousand entries go in one batch."""
    run = client.create_run("0").info.run_id
    metrics = [Metric(f"m{number % 10}", number, number, number) for number in range(850)]
    params = [Param(f"p{number}", str(number)) for number in range(80)]
    client.log_batch(run, metrics, params, [RunTag(f"t{number}", "x") for number in range(70)])
    data = client.get_run(run).data
    assert (data.metrics["m9"], len(data.params)) == (849, 80)
    assert sum(key.startswith("t") for key in data.tags) == 70


def test_a_changed_parameter_is_refused(client: MlflowClient):
    """A parameter cannot be logged with another value."""
    with mlflow.start_run():
        mlflow.log_param("a", 1)
        with pytest.raises(mlflow.MlflowException, match="Changing param values is not allowed"):
            mlflow.log_param("a", 2)


def test_asynchronous_logging_arrives(client: MlflowClient):
    """What is logged in the background is there once it was waited for."""
    with mlflow.start_run() as run:
        mlflow.log_metric("m", 1.0, synchronous=False).wait()
        mlflow.log_params({"a": 1}, synchronous=False).wait()
    data = client.get_run(run.info.run_id).data
    assert (data.metrics, data.params) == ({"m": 1.0}, {"a": "1"})


def test_a_dataset_is_noted_as_an_input(client: MlflowClient):
    """log_input keeps name, digest, schema and context of a dataset."""
    dataset = mlflow.data.from_pandas(pd.DataFrame({"x": [1, 2], "y": [0, 1]}), name="toy", targets="y")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training", tags={"k": "v"})
    (noted,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert (noted.dataset.name, noted.dataset.digest) == ("toy", dataset.digest)
    assert {tag.key: tag.value for tag in noted.tags} == {"mlflow.data.context": "training", "k": "v"}
    found = mlflow.search_runs(filter_string="dataset.name = 'toy' AND dataset.context = 'training'")
    assert list(found.run_id) == [run.info.run_id]


def test_autolog_records_training(client: MlflowClient, trained: Trained):
    """With autologging on, a fit leaves a run with parameters, metrics, datasets and a model."""
    mlflow.autolog(log_input_examples=False, extra_tags={"by": "autolog"})
    try:
        LogisticRegression(max_iter=300, C=0.5).fit(trained.rows, trained.answers)
    finally:
        mlflow.autolog(disable=True)
    run = mlflow.last_active_run()
    read = client.get_run(run.info.run_id)
    assert (read.data.params["C"], read.info.status, read.data.tags["by"]) == ("0.5", "FINISHED", "autolog")
    assert "training_accuracy_score" in read.data.metrics
    assert read.inputs.dataset_inputs[0].tags[0].value == "train"
    (output,) = read.outputs.model_outputs
    assert client.get_logged_model(output.model_id).source_run_id == run.info.run_id


def test_evaluate_records_metrics_of_a_registered_model(
    client: MlflowClient, trained: Trained, log_trained: Callable[..., Any], name: str
):
    """mlflow.models.evaluate of a registered version leaves its metrics and tables on the run."""
    log_trained(registered_model_name=name)
    data = trained.rows.assign(kind=trained.answers)
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(
            f"models:/{name}/1",
            data,
            targets="kind",
            model_type="classifier",
            evaluator_config={"log_explainer": False, "log_model_explainability": False},
        )
    assert result.metrics["accuracy_score"] == 1.0
    assert client.get_run(run.info.run_id).data.metrics["accuracy_score"] == 1.0
    assert client.list_artifacts(run.info.run_id)


def test_runs_are_deleted_and_restored(client: MlflowClient, name: str):
    """A deleted run is found among the deleted ones only, until it is restored."""
    experiment = client.create_experiment(name)
    run = client.create_run(experiment).info.run_id

    def found(view: int) -> list[str]:
        return [each.info.run_id for each in client.search_runs([experiment], run_view_type=view)]

    client.delete_run(run)
    assert (found(ViewType.ACTIVE_ONLY), found(ViewType.DELETED_ONLY), found(ViewType.ALL)) == ([], [run], [run])
    client.restore_run(run)
    assert (found(ViewType.ACTIVE_ONLY), found(ViewType.DELETED_ONLY)) == ([run], [])


def test_experiments_are_deleted_and_restored(client: MlflowClient, name: str):
    """A deleted experiment takes its runs along and keeps its name; restoring brings all back."""
    experiment = client.create_experiment(name, tags={"k": "v"})
    run = client.create_run(experiment).info.run_id
    client.delete_experiment(experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "deleted"
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    with pytest.raises(mlflow.MlflowException, match="deleted experiment"):
        mlflow.set_experiment(name)
    client.restore_experiment(experiment)
    assert client.get_run(run).info.lifecycle_stage == "active"
    assert client.get_experiment_by_name(name).tags["k"] == "v"


def test_experiments_are_renamed_and_tagged(client: MlflowClient, name: str):
    """An experiment takes a new name and tags."""
    experiment = client.create_experiment(name)
    client.rename_experiment(experiment, name + "-new")
    client.set_experiment_tag(experiment, "k", "v")
    read = client.get_experiment_by_name(name + "-new")
    assert (read.experiment_id, read.tags["k"]) == (experiment, "v")
    assert client.get_experiment_by_name(name) is None


def test_an_experiment_of_a_taken_name_is_refused(client: MlflowClient, name: str):
    """The client can tell an existing experiment from other failures."""
    client.create_experiment(name)
    with pytest.raises(RestException, match="RESOURCE_ALREADY_EXISTS"):
        client.create_experiment(name)


def test_an_unknown_run_is_refused_with_its_code(client: MlflowClient):
    """The client can tell a missing run from other failures."""
    with pytest.raises(RestException, match="RESOURCE_DOES_NOT_EXIST: Run with id=00000000"):
        client.get_run("0" * 32)
