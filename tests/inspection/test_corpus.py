"""No hostile model is called safe, and no benign one is called anything else."""

import hashlib
from pathlib import Path

import pytest

from inspection.benign import benign, mlflow_model
from inspection.hostile import UNVERIFIED, hostile
from inspection.scans import scanned
from modelkeep.scanner import Verdict, verdict_of

HOSTILE = hostile()
BENIGN = benign()


def told(name: str, files: dict[str, bytes]) -> tuple[str, Verdict, list[tuple[str, str, str]]]:
    """The verdict with what it rests on, for a failure's report."""
    report = scanned(files)
    return name, verdict_of(report.findings), [(one.rule, one.place, one.text) for one in report.findings]


def test_the_corpus_is_large_and_its_models_differ() -> None:
    """There are at least sixty hostile models and forty benign ones, no two the same."""
    for models, least in ((HOSTILE, 60), (BENIGN, 40)):
        seen = {hashlib.sha256(repr(sorted(files.items())).encode()).digest() for files in models.values()}
        assert len(seen) == len(models) >= least
    assert HOSTILE.keys() >= UNVERIFIED


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_model_is_not_safe(name: str) -> None:
    """It is told to be unsafe, or, where that cannot be known, unverified; never safe, and never by a failure."""
    verdict = told(name, HOSTILE[name])
    assert verdict[1] is (Verdict.UNVERIFIED if name in UNVERIFIED else Verdict.UNSAFE), verdict


@pytest.mark.parametrize("name", sorted(BENIGN))
def test_a_benign_model_is_safe(name: str) -> None:
    """Nothing is said against it."""
    verdict = told(name, BENIGN[name])
    assert verdict[1:] == (Verdict.SAFE, []), verdict


def test_a_model_folder_of_mlflow_is_safe(tmp_path: Path) -> None:
    """Nothing is said against what MLflow's own flavor writes, environment files included."""
    assert told("mlflow", mlflow_model(tmp_path / "model"))[1:] == (Verdict.SAFE, [])
