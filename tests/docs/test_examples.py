"""The examples in README and guides are run as they stand, against a server of their own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelkeep.bootstrap import require_schema
from servers import RunningServer, clean_environment

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What differs from one run to the next, and what stands for it when outputs are compared.
VARYING = [
    (re.compile(r"mk_[0-9a-f]{16}_[\w-]{49}"), "TOKEN"),
    (re.compile(r"mk_[0-9a-f]{16}\b"), "PREFIX"),
    (re.compile(r"\b[ug]-[0-9a-f]{16}\b"), "LASTING_ID"),
    (re.compile(r"[0-9a-f]{64}"), "SHA256"),
    (re.compile(r"[0-9a-f]{32}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "SERVER"),
    (re.compile(r"\b1[6-9]\d{11}\b"), "MILLISECONDS"),
    (re.compile(r"[ \t]+"), " "),
]


@dataclass(frozen=True)
class Example:
    """A thing to run and the output that the document shows for it (None: the document shows none)."""

    language: str
    source: str
    shown: str | None


def examples(document: str) -> Iterator[Example]:
    """The python blocks, each with the text block right behind it, and the commands of the console blocks."""
    blocks = [(match[1], match[2], match.start(), match.end()) for match in BLOCK.finditer(document)]
    for position, (language, body, _, end) in enumerate(blocks):
        if language == "python":
            following = blocks[position + 1] if position + 1 < len(blocks) else None
            near = following is not None and following[0] == "text" and not document[end : following[2]].strip()
            yield Example("python", body, following[1] if near and following else None)
        elif language == "console":
            for command in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, _, shown = command.partition("\n")
                yield Example("console", line, shown)


def steady(output: str) -> list[str]:
    """An output's lines without what varies and without blank lines."""
    for pattern, replacement in VARYING:
        output = pattern.sub(replacement, output)
    return [line.strip() for line in output.splitlines() if line.strip()]


def run(example: Example, environment: dict[str, str], folder: Path) -> str:
    command = [sys.executable, "-c", example.source] if example.language == "python" else ["bash", "-c", example.source]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{example.source}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_examples_do_what_the_document_shows(path: Path, tmp_path: Path) -> None:
    """Every example of the document runs, in order, and prints what the document says it prints."""
    (tmp_path / "other").mkdir()
    require_schema(f"sqlite:///{tmp_path / 'other' / 'modelkeep.db'}")
    with RunningServer(tmp_path / "data") as server:
        environment = clean_environment(
            {
                "MLFLOW_TRACKING_URI": server.url,
                "MLFLOW_TRACKING_TOKEN": server.token or "",
                "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
                "MODELKEEP_DATA": str(tmp_path / "other"),
                "XDG_CACHE_HOME": str(tmp_path / "cache"),
                "COLUMNS": "120",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            }
        )
        for example in examples(path.read_text()):
            output = run(example, environment, tmp_path)
            if example.shown is not None:
                assert steady(output) == steady(example.shown), example.source


def test_every_document_has_examples() -> None:
    """A guide without a single example that runs is caught."""
    assert [path.name for path in DOCUMENTS if not list(examples(path.read_text()))] == []
