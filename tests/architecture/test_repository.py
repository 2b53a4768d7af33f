"""The repository speaks of Modelkeep alone: nothing of one machine or registry, no half-done merge, and whole locks."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from architecture.source import ROOT

# Put together from parts, so that this file does not hold what it looks for.
NAMES = [
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("registry.np", "mjs.org"),
    ("registry", ".yarnpkg.com"),
    ("repo", ".anaconda.com"),
    (".pyenv", "/"),
]
FOLDERS = [("/work", "/"), ("/opt/", "pypi"), ("/opt/", "wheels")]
FORBIDDEN = re.compile(
    "|".join([re.escape("".join(name)) for name in NAMES] + [r"(?<![\w.-])" + "".join(folder) for folder in FOLDERS])
)
PLANTED = ["see https://" + "".join(NAMES[0]), "cd " + "".join(FOLDERS[0]) + "main", "/root/" + "".join(NAMES[-1])]
MERGE = re.compile(r"^(<{7}|>{7}|\|{7}) ", re.MULTILINE)
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)(.*?)(?=^[A-Za-z0-9]|\Z)", re.MULTILINE | re.DOTALL)
LOCKS = ["requirements-setup.lock", "requirements.lock", "requirements-test.lock", "tests/mlflow2-requirements.lock"]


def repository_texts() -> Iterator[tuple[Path, str]]:
    """Every text file that is in the repository or would be added to it."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        path = ROOT / name
        content = path.read_bytes() if name and path.is_file() else b""
        if content and b"\0" not in content:
            yield path.relative_to(ROOT), content.decode(errors="replace")


def pins(lock: str) -> dict[str, list[tuple[str, str]]]:
    """What a lock pins: name -> (version, the rest of the entry with its hashes), several where platforms differ."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, version, rest in PINNED.findall((ROOT / lock).read_text()):
        found.setdefault(canonicalize_name(name), []).append((version, rest))
    return found


def wanted(*groups: str) -> list[Requirement]:
    """What pyproject.toml asks for: the runtime's packages and those of the named groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = [*project["project"]["dependencies"], *(name for g in groups for name in project["dependency-groups"][g])]
    return [Requirement(name) for name in names]


def test_no_file_names_a_registry_or_a_machine() -> None:
    """No file holds a package registry's host or a path of the machine it was written on."""
    found = [(str(path), match.group()) for path, text in repository_texts() for match in FORBIDDEN.finditer(text)]
    assert found == []


def test_no_file_holds_a_merge_marker() -> None:
    """No file was committed in the middle of a merge."""
    assert [str(path) for path, text in repository_texts() if MERGE.search(text)] == []


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_address_is_found(text: str) -> None:
    """The search finds what it looks for inside ordinary text."""
    assert FORBIDDEN.search(text)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    """A lock pins at least one package, and no package without the hashes of its files."""
    entries = [(name, rest) for name, found in pins(lock).items() for _, rest in found]
    assert entries
    assert [name for name, rest in entries if "--hash=sha256:" not in rest] == []


@pytest.mark.parametrize(("lock", "groups"), [("requirements.lock", ()), ("requirements-test.lock", ("test", "lint"))])
def test_the_lock_satisfies_the_project(lock: str, groups: tuple[str, ...]) -> None:
    """Every package that pyproject.toml asks for is pinned, at versions it allows; `make lock` repairs it."""
    locked = pins(lock)
    unmet = []
    for need in wanted(*groups):
        versions = [version for version, _ in locked.get(canonicalize_name(need.name), [])]
        if not versions or not all(need.specifier.contains(version) for version in versions):
            unmet.append(str(need))
    assert unmet == []


def test_every_dependency_has_a_reason() -> None:
    """docs/dependencies.md names every package that pyproject.toml asks for, and none that it does not."""
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    asked = {canonicalize_name(need.name) for need in wanted("test", "lint")}
    assert {canonicalize_name(row) for row in rows} == asked
