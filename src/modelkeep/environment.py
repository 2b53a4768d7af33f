"""The process's environment: the one place that reads it, and light enough for every command to load."""

import os
from collections.abc import Mapping


def environment() -> Mapping[str, str]:
    """The process's environment."""
    return os.environ
