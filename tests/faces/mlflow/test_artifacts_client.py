"""Artifacts through the client: everything that can be logged, listed, downloaded and loaded back."""

from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pytest
from mlflow.entities import FileInfo
from mlflow.tracking import MlflowClient


def listed(entries: list[FileInfo]) -> dict[str, int | None]:
    """Paths and sizes of a listing; directories have none."""
    return {entry.path: entry.file_size for entry in entries}


def test_a_file_and_a_folder_are_logged_and_downloaded(client: MlflowClient, tmp_path: Path):
    """log_artifact and log_artifacts keep names, nesting and bytes."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.bin").write_bytes(bytes(range(256)))
    (tmp_path / "in" / "deep" / "b ü.txt").write_text("b")
    (tmp_path / "in" / "empty").touch()
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / "in" / "a.bin"))
        mlflow.log_artifacts(str(tmp_path / "in"), "folder")
    got = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="", dst_path=str(tmp_path)))
    assert (got / "a.bin").read_bytes() == (got / "folder" / "a.bin").read_bytes() == bytes(range(256))
    assert (got / "folder" / "deep" / "b ü.txt").read_text() == "b"
    assert (got / "folder" / "empty").read_bytes() == b""


def test_artifacts_are_listed(client: MlflowClient):
    """A listing tells files with their sizes from directories, at the root and below."""
    with mlflow.start_run() as run:
        mlflow.log_text("12345", "d/a.txt")
        mlflow.log_text("1", "b.txt")
    assert listed(client.list_artifacts(run.info.run_id)) == {"b.txt": 1, "d": None}
    assert listed(client.list_artifacts(run.info.run_id, "d")) == {"d/a.txt": 5}
    assert client.list_artifacts(run.info.run_id, "nope") == []


def test_texts_dictionaries_and_images_load_back(client: MlflowClient):
    """log_text, log_dict and log_image have loaders that give the same again."""
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    with mlflow.start_run() as run:
        mlflow.log_text("grüße", "t.txt")
        mlflow.log_dict({"a": [1, 2]}, "d.json")
        mlflow.log_image(pixels, "i.png")
    root = run.info.artifact_uri
    assert mlflow.artifacts.load_text(f"{root}/t.txt") == "grüße"
    assert mlflow.artifacts.load_dict(f"{root}/d.json") == {"a": [1, 2]}
    assert (np.asarray(mlflow.artifacts.load_image(f"{root}/i.png")) == pixels).all()


def test_a_figure_is_logged(client: MlflowClient, tmp_path: Path):
    """log_figure stores an image."""
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    with mlflow.start_run() as run:
        mlflow.log_figure(figure, "plots/line.png")
    plt.close(figure)
    got = client.download_artifacts(run.info.run_id, "plots/line.png", str(tmp_path))
    assert Path(got).read_bytes().startswith(b"\x89PNG")


def test_tables_grow(client: MlflowClient):
    """log_table appends to the stored table, which load_table reads back."""
    with mlflow.start_run() as run:
        for number in (1, 2):
            mlflow.log_table({"x": [number]}, "t.json")
    assert list(mlflow.load_table("t.json", run_ids=[run.info.run_id]).x) == [1, 2]


@pytest.mark.parametrize("scheme", ["runs:/{run}/d", "{root}/d"])
def test_a_folder_is_downloaded_by_uri(client: MlflowClient, scheme: str):
    """Both kinds of URI of a run's folder are understood."""
    with mlflow.start_run() as run:
        mlflow.log_text("1", "d/a.txt")
    uri = scheme.format(run=run.info.run_id, root=run.info.artifact_uri)
    assert (Path(mlflow.artifacts.download_artifacts(uri)) / "a.txt").read_text() == "1"


def test_an_absent_artifact_is_an_error(client: MlflowClient):
    """Downloading what is not there raises rather than giving an empty file."""
    with mlflow.start_run() as run:
        mlflow.log_text("1", "a.txt")
    with pytest.raises((mlflow.MlflowException, OSError)):
        mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="nope.txt")


def test_an_artifact_is_logged_again(client: MlflowClient):
    """The later content of a path of an open run is what is read."""
    with mlflow.start_run() as run:
        mlflow.log_text("first and longer", "a.txt")
        mlflow.log_text("second", "a.txt")
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/a.txt") == "second"


def test_a_larger_file_is_whole(client: MlflowClient, tmp_path: Path):
    """A file of some megabytes comes back to the byte."""
    data = np.random.default_rng(7).bytes(9_000_001)
    (tmp_path / "large.bin").write_bytes(data)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / "large.bin"))
    got = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="large.bin")
    assert Path(got).read_bytes() == data
