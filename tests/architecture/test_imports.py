"""The import contracts of `.importlinter` hold, catch what they should, and leave no module out."""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from architecture.source import ROOT, SOURCE, product_modules

CONTRACTS = ROOT / ".importlinter"
UNLAYERED = {"modelkeep", "modelkeep.faces"}

PLANTED = [
    ("core/planted.py", "import modelkeep.db"),
    ("db/planted.py", "def later() -> None:\n    from modelkeep.access import Permission"),
    ("db/planted.py", "import pickle"),
]


def lint(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts on the package below `source`."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--config", str(CONTRACTS), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(source)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def layers() -> set[str]:
    """The modules that have a place in the contract of layers, by their full name."""
    parser = configparser.ConfigParser()
    parser.read(CONTRACTS)
    words = parser["importlinter:contract:layers"]["layers"].replace("|", " ").split()
    return {f"modelkeep.{word.strip('()')}" for word in words}


def test_the_contracts_hold(tmp_path: Path) -> None:
    """No import of the product breaks a contract."""
    done = lint(SOURCE, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("path", "text"), PLANTED)
def test_a_planted_import_is_caught(tmp_path: Path, path: str, text: str) -> None:
    """An import upwards, hidden in a function or of a forbidden package, breaks a contract."""
    shutil.copytree(SOURCE / "modelkeep", tmp_path / "modelkeep", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "modelkeep" / path).write_text(text)
    done = lint(tmp_path, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "planted" in done.stdout


def test_every_module_has_a_layer() -> None:
    """No module is outside the contract: a new one is given its place in `.importlinter`."""
    placed = tuple(layers())
    names = [module.name for module in product_modules() if module.name not in UNLAYERED]
    assert [name for name in names if not f"{name}.".startswith(tuple(f"{layer}." for layer in placed))] == []
