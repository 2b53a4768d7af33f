"""What a model needs to run: packages of conda.yaml, requirements.txt and python_env.yaml."""

import re
from collections.abc import Iterator
from typing import Any

from modelkeep.scanner.report import MOST_PACKAGES, Environment, Package
from modelkeep.scanner.scan import Scan, shown

_ELSEWHERE = re.compile(
    r"^\s*(--?(extra-)?index-url|-i\b|--find-links|-f\b|--trusted-host|-e\b|--editable)|(^|@)\s*((git|hg|svn|bzr)\+|https?://|file:)",
    re.MULTILINE,
)
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*([^;#@]*)")
_CONDA = re.compile(r"^(?:[\w-]+::)?([A-Za-z0-9_.-]+)\s*([=<>!~].*)?$")


def check_requirements(scan: Scan, text: str) -> None:
    """Report packages that would come from elsewhere than the usual index."""
    found = _ELSEWHERE.search(text)
    if found is not None:
        line = text[found.start() :].lstrip("\n").partition("\n")[0]
        scan.report("environment.source", f"Packages come from elsewhere than the usual index: '{line}'.")


def add_requirements(environment: Environment, file: str, text: str) -> None:
    """Note the packages of a requirements file."""
    for line in text.splitlines():
        match = _REQUIREMENT.match(line)
        if match and not line.lstrip().startswith("-"):
            _add(environment, match[1], match[3].strip(), file)


def add_conda(scan: Scan, environment: Environment, file: str, value: Any) -> None:
    """Note the packages of a conda environment, and those that pip adds to it."""
    entries = value.get("dependencies") if isinstance(value, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, str) and (match := _CONDA.match(entry.strip())):
            if match[1] == "python":
                environment.python = environment.python or shown((match[2] or "").lstrip("=").strip(), 100) or None
            else:
                _add(environment, match[1], (match[2] or "").strip(), file)
        elif isinstance(entry, dict):
            for line in _texts(entry.get("pip")):
                check_requirements(scan, line)
                add_requirements(environment, file, line)


def add_python_env(scan: Scan, environment: Environment, file: str, value: Any) -> None:
    """Note what a python_env.yaml asks for."""
    if not isinstance(value, dict):
        return
    if isinstance(value.get("python"), str):
        environment.python = shown(value["python"], 100)
    for part in ("build_dependencies", "dependencies"):
        for line in _texts(value.get(part)):
            if not line.lstrip().startswith("-r"):
                check_requirements(scan, line)
                add_requirements(environment, file, line)


def _texts(value: Any) -> Iterator[str]:
    return (one for one in value if isinstance(one, str)) if isinstance(value, list) else iter(())


def _add(environment: Environment, name: str, version: str, file: str) -> None:
    package = Package(name=shown(name, 200), version=shown(version, 200), file=file)
    if len(environment.packages) < MOST_PACKAGES and package not in environment.packages[-200:]:
        environment.packages.append(package)
