"""Names of members and of other files that a file refers to."""

import re

_DRIVE = re.compile(r"[A-Za-z]:")


def leads_out(name: str) -> bool:
    """Whether a path could lead out of the folder that it is taken to be in."""
    segments = name.replace("\\", "/").split("/")
    return name.startswith(("/", "\\")) or ".." in segments or bool(_DRIVE.match(name)) or "\0" in name
