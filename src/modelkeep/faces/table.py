"""The table of operations: the index of everything a caller can do, on every face."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import msgspec

from modelkeep.access import Permission
from modelkeep.app import App
from modelkeep.faces import native
from modelkeep.faces.about import ABOUT
from modelkeep.faces.access_log import AccessLog
from modelkeep.faces.health import PLAIN
from modelkeep.faces.health import operations as health_operations
from modelkeep.faces.http import HttpFace
from modelkeep.faces.mlflow import (
    artifacts,
    experiments,
    logged_models,
    metrics,
    models,
    parts,
    permissions,
    roles,
    runs,
    search,
    users,
    versions,
    workspace_permissions,
    workspaces,
)
from modelkeep.faces.mlflow.wire import MLFLOW
from modelkeep.faces.openapi import document
from modelkeep.faces.operations import Exchange, Mode, NoInput, Operation, Public, Signed

_TRACKING = (experiments, runs, metrics, logged_models, artifacts, parts)
_ADMINISTRATION = (workspaces, users, permissions, workspace_permissions, roles)
_MLFLOW = (*_TRACKING, models, versions, search, *_ADMINISTRATION)


def all_operations(log: AccessLog) -> list[Operation]:
    """Every operation of every face."""
    operations = health_operations(log)
    for module in _MLFLOW:
        operations += module.OPERATIONS
    operations += native.OPERATIONS

    @cache
    def described() -> bytes:
        return msgspec.json.encode(document(operations))

    async def openapi(_exchange: Exchange) -> bytes:
        return described()

    route = (("GET", "/api/v1/openapi.json"),)
    summary = "This description of the API"
    about = (summary, bytes)
    operations.append(Operation("server.openapi", PLAIN, route, NoInput, openapi, Mode.STREAM, Permission.SELF, *about))
    return operations


def build_http(app: App) -> HttpFace:
    """The ASGI application; refuses to be built with an operation that names no permission."""
    log = AccessLog()
    operations = governed(all_operations(log))
    check_permissions(operations)
    return HttpFace(app, operations, MLFLOW, log)


def governed(operations: Iterable[Operation]) -> list[Operation]:
    """The operations with what each is about."""
    return [replace(operation, about=ABOUT.get(operation.name)) for operation in operations]


def check_permissions(operations: Iterable[Operation]) -> None:
    """Raises TypeError for an operation that names no permission, or of which it is not known what it is about."""
    for operation in operations:
        if not isinstance(operation.permission, Permission | Public | Signed):
            raise TypeError(f"{operation.name} names no permission")
        if operation.about is None and not isinstance(operation.permission, Public):
            raise TypeError(f"{operation.name} is not in the table of what operations are about")
