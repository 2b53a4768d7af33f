"""The table of operations is complete and consistent: permissions, routes, events and requests of everything callable."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from security.raw import Raw
from security.table import OPERATIONS, ROUTES, Route
from servers import RunningServer

from modelkeep.access import Permission
from modelkeep.app import App
from modelkeep.bootstrap import build
from modelkeep.config import Settings
from modelkeep.core.errors import DomainError
from modelkeep.core.events import Event
from modelkeep.core.types import SYSTEM
from modelkeep.db import Database, Tx
from modelkeep.faces.access_log import AccessLog
from modelkeep.faces.operations import PUBLIC, Mode, Operation
from modelkeep.faces.table import all_operations

PUBLIC_OPERATIONS = {"server.health", "server.ready", "server.version", "server.info", "server.openapi"}
NO_TWIN = {"/api/2.0/mlflow-artifacts/"}
BY_NAME = {operation.name: operation for operation in OPERATIONS}
WRITES = [operation for operation in OPERATIONS if operation.mode is Mode.WRITE]
