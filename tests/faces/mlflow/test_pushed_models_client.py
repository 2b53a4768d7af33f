"""Folders and the stock client: what was pushed it loads, what it logged can be pulled, byte for byte."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from cli.terminal import files_in
from faces.mlflow.conftest import Trained
from faces.mlflow.served import Served
from servers import PROGRAM, clean_environment

pytestmark = pytest.mark.beyond_mlflow


@pytest.fixture
def modelkeep(server: Served, tmp_path: Path) -> Callable[..., str]:
    """Runs a command of Modelkeep; what it prints."""
    variables = {"MODELKEEP_CACHE": str(tmp_path / "cache"), "MLFLOW_TRACKING_URI": server.url}
    environment = clean_environment(variables | {"MLFLOW_TRACKING_TOKEN": server.token or ""})

    def run(*arguments: str | Path) -> str:
        command = [str(PROGRAM), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done
        return done.stdout

    return run


def test_a_pushed_model_is_loaded(
    client: MlflowClient, trained: Trained, modelkeep: Callable[..., str], tmp_path: Path, name: str
) -> None:
    """A model saved to a folder, pushed and aliased predicts through `load_model` what the model itself says."""
    mlflow.sklearn.save_model(trained.model, tmp_path / "model", pip_requirements=["scikit-learn"])
    modelkeep("push", tmp_path / "model", "--model", name, "--create", "--alias", "champion")
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert list(loaded.predict(trained.rows)) == trained.answers
    version = client.get_model_version(name, "1")
    assert (version.status, version.source.startswith("mlflow-artifacts:/")) == ("READY", True)


def test_a_pushed_version_downloads_and_copies_like_any_other(
    client: MlflowClient, modelkeep: Callable[..., str], tmp_path: Path, name: str
) -> None:
    """The stock client downloads a pushed folder and copies the version to another model, with the same files."""
    (tmp_path / "folder" / "in").mkdir(parents=True)
    (tmp_path / "folder" / "in" / "plain.txt").write_text("no MLmodel here")
    modelkeep("push", tmp_path / "folder", "--model", name, "--create")
    downloaded = mlflow.artifacts.download_artifacts(f"models:/{name}/1", dst_path=str(tmp_path / "downloaded"))
    copied = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    modelkeep("pull", f"models:/{name}-copy/{copied.version}", tmp_path / "pulled")
    assert files_in(tmp_path / "pulled") == files_in(tmp_path / "folder")
    found = {path: content for path, content in files_in(Path(downloaded)).items() if path != "registered_model_meta"}
    assert found == files_in(tmp_path / "folder")


def test_a_logged_model_is_pulled(
    log_trained: Callable[..., Any], trained: Trained, modelkeep: Callable[..., str], tmp_path: Path, name: str
) -> None:
    """What `log_model` registered is pulled by name, by logged model and by run, and loads from the folder."""
    logged = log_trained(registered_model_name=name)
    for number, uri in enumerate((f"models:/{name}/1", f"models:/{logged.model_id}")):
        modelkeep("pull", uri, tmp_path / f"pulled-{number}")
    assert files_in(tmp_path / "pulled-0") == files_in(tmp_path / "pulled-1")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "pulled-0"))
    assert list(loaded.predict(trained.rows)) == trained.answers
