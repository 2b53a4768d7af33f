"""`modelkeep` as a user types it, in a process of its own with a cache of its own."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers import PROGRAM, RunningServer, clean_environment

LIMIT_S = 120


@dataclass
class Terminal:
    """Where commands are run: which server they talk to, and in which folder."""

    server: RunningServer
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        """The cache of these commands."""
        return self.folder / "cache"

    @property
    def environment(self) -> dict[str, str]:
        """What the commands see."""
        own = {"MODELKEEP_URL": self.server.url, "MODELKEEP_CACHE": str(self.cache), "COLUMNS": "200"}
        token = {"MLFLOW_TRACKING_TOKEN": self.server.token} if self.server.token else {}
        return clean_environment(own | token | self.variables)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A command, to its end."""
        return subprocess.run(
            [str(PROGRAM), *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def done(self, *arguments: str | Path) -> str:
        """What a command prints that must succeed."""
        result = self.run(*arguments)
        assert result.returncode == 0, result
        return result.stdout

    def json(self, *arguments: str | Path) -> Any:
        """The JSON of a command that must succeed and say nothing else."""
        result = self.run(*arguments, "--json")
        assert (result.returncode, result.stderr) == (0, ""), result
        return json.loads(result.stdout)

    def stopped(self, code: int, *arguments: str | Path) -> str:
        """The one line of a command that must end with this code."""
        result = self.run(*arguments)
        assert (result.returncode, result.stdout) == (code, ""), result
        lines = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1, result
        assert lines[0].startswith("modelkeep: "), result
        return lines[0]

    def killed(self, when: Callable[[], bool], *arguments: str | Path) -> bool:
        """Start a command and end it with SIGKILL as soon as something is so; False if it was done before."""
        with subprocess.Popen(
            [str(PROGRAM), *map(str, arguments)], cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL
        ) as process:
            deadline = time.monotonic() + LIMIT_S
            while process.poll() is None and time.monotonic() < deadline:
                if when():
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait()
                    return True
                time.sleep(0.002)
            return False


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Make a folder with these files."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
