"""What a URI stands for, as the server says, and checked: nothing of it is believed that can be computed here."""

from typing import Any, NamedTuple

from modelkeep.cli.refusals import Refused
from modelkeep.core.errors import InvalidInput
from modelkeep.core.manifests import manifest_digest


class PlannedFile(NamedTuple):
    """A file to be had: its path below the folder, its size, and the hash that its bytes must have."""

    path: str
    size: int
    sha256: str


class Plan(NamedTuple):
    """The files that a URI stands for; `root` is the path in the server's artifact namespace that they lie below."""

    uri: str
    kind: str
    name: str
    version: int | None
    digest: str
    root: str
    files: list[PlannedFile]

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def shown(self) -> str:
        """What it is, in a few words."""
        return f"{self.name} version {self.version}" if self.version is not None else self.name


def read_plan(uri: str, answer: Any) -> Plan:
    """The server's answer about a URI. Raises Refused if it is none, or its digest is not that of its files.

    The paths of the files are safe to write below a folder: relative, canonical, without `.` and `..`.
    """
    try:
        files = [PlannedFile(str(one["path"]), int(one["size"]), str(one["sha256"])) for one in answer["files"]]
        version = answer.get("version")
        plan = Plan(
            uri,
            str(answer["kind"]),
            str(answer["name"]),
            None if version is None else int(version),
            str(answer["digest"]),
            str(answer["root"]),
            files,
        )
        computed = manifest_digest(files)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"The server's answer about {uri} is not understood: is it a Modelkeep server?") from error
    except InvalidInput as error:
        raise Refused(f"The server's answer about {uri} is refused: {error.message}") from error
    if computed != plan.digest:
        raise Refused(f"{uri} has the digest {plan.digest}, but the files that the server names have {computed}.")
    return plan
