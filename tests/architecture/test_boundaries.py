"""What only some modules may touch: SQL, stores, HTTP, the environment, the clock; and what stays pure."""

import ast
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from architecture.source import Module, product_modules

MODULES = product_modules()
BY_NAME = {module.name: module for module in MODULES}
Check = Callable[[Module], Iterator[str]]

STORE = re.compile(r"(^|_)store$")
PURE = {"rules", "gates", "grammar"}
PURE_MODULES = {"modelkeep.audit.log"}
DRIVERS = {"psycopg", "psycopg_pool", "sqlite3", "alembic"}
WEB = {"uvicorn", "httptools", "uvloop", "starlette", "jinja2"}
TABLES = re.compile(r"modelkeep\.(\w+)\.tables\.")
WRITES = {"insert", "update", "delete", "upsert", "upsert_changed", "insert_unless_taken"}
ENVIRONMENT = ("os.environ", "os.environb", "os.getenv", "os.putenv")
CLOCK = (
    "time.time",
    "time.time_ns",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
)
CLOCK_MODULES = {"modelkeep.db.clock", "modelkeep.db.engine", "modelkeep.faces.access_log"}


def is_store(name: str) -> bool:
    """True for a store, also one of several in a slice, and for modules below it."""
    return any(STORE.search(part) for part in name.split("."))


def touches(module: Module, names: tuple[str, ...]) -> bool:
    """True when the module imports or uses one of these dotted names or something inside it."""
    return any(f"{target}.".startswith(f"{name}.") for target in module.imported | module.used for name in names)


def packages(module: Module) -> set[str]:
    """The top-level packages that it imports."""
    return {target.partition(".")[0] for target in module.imported}


def sql_outside(module: Module) -> Iterator[str]:
    """SQLAlchemy outside `db`, tables, stores and the search compiler; drivers outside `db`."""
    last = module.name.rpartition(".")[2]
    writes_sql = module.slice == "db" or last == "tables" or is_store(module.name)
    if "sqlalchemy" in packages(module) and not writes_sql and module.name != "modelkeep.search.compile":
        yield f"{module.name} imports sqlalchemy"
    if DRIVERS & packages(module) and module.slice != "db":
        yield f"{module.name} imports a database driver"


def foreign_stores(module: Module) -> Iterator[str]:
    """Another slice's store."""
    for target in sorted(module.imported | module.used):
        package, _, rest = target.partition(".")
        owner, _, inside = rest.partition(".")
        if package == "modelkeep" and owner != module.slice and inside and is_store(inside.partition(".")[0]):
            yield f"{module.name} reaches into {target}"


def foreign_tables(module: Module) -> Iterator[str]:
    """Another slice's tables outside a store, and in a store anything but reading them."""
    if module.slice == "tables":
        return
    names = {name: target for target, name in module.named_imports if _is_foreign_table(module, target)}
    if names and not is_store(module.name):
        yield from (f"{module.name} imports {target}" for target in sorted(names.values()))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and (table := names.get(_written_by(node))):
            yield f"{module.name} writes {table}"


def _is_foreign_table(module: Module, target: str) -> bool:
    match = TABLES.match(target)
    return match is not None and match[1] != module.slice


def _written_by(call: ast.Call) -> str:
    """The table that a call makes a statement to change, by its name in the module; else empty."""
    function = call.func
    if isinstance(function, ast.Name) and function.id in WRITES and call.args and isinstance(call.args[0], ast.Name):
        return call.args[0].id
    if isinstance(function, ast.Attribute) and function.attr in WRITES and isinstance(function.value, ast.Name):
        return function.value.id
    return ""


def impure_rules(module: Module) -> Iterator[str]:
    """Rules that import, themselves or through a module of their slice, more than the standard library and core."""
    if module.name.rpartition(".")[2] in PURE or module.name in PURE_MODULES or module.slice == "core":
        for name in sorted(_reached(module, set())):
            yield f"{module.name} is not pure: {name}"


def _reached(module: Module, seen: set[str]) -> set[str]:
    seen.add(module.name)
    found = set()
    for target in module.imported:
        package, _, rest = target.partition(".")
        if package in sys.stdlib_module_names or rest.startswith("core."):
            continue
        neighbour = BY_NAME.get(target) or BY_NAME.get(target.rpartition(".")[0])
        if neighbour is None or neighbour.slice != module.slice or neighbour.is_package:
            found.add(target)
        elif neighbour.name not in seen:
            found |= _reached(neighbour, seen)
    return found


def web_outside(module: Module) -> Iterator[str]:
    """The web server and templates outside the faces and the command line."""
    if WEB & packages(module) and module.slice not in {"faces", "cli"}:
        yield f"{module.name} imports {sorted(WEB & packages(module))}"


def environment_outside(module: Module) -> Iterator[str]:
    """Environment variables read outside `config` and the module that hands them out."""
    if touches(module, ENVIRONMENT) and module.slice not in {"config", "environment"}:
        yield f"{module.name} reads the environment"


def clock_outside(module: Module) -> Iterator[str]:
    """Wall-clock time taken anywhere but where a transaction starts and where a request is logged."""
    if touches(module, CLOCK) and module.name not in CLOCK_MODULES:
        yield f"{module.name} reads the clock"


def object_store_outside(module: Module) -> Iterator[str]:
    """The object-store client outside the store that uses it."""
    if "obstore" in packages(module) and not module.name.startswith("modelkeep.artifacts.stores.s3."):
        yield f"{module.name} imports obstore"


CHECKS = [
    sql_outside,
    foreign_stores,
    foreign_tables,
    impure_rules,
    web_outside,
    environment_outside,
    clock_outside,
    object_store_outside,
]

PLANTED = [
    (sql_outside, "modelkeep.runs.service", "import sqlalchemy as sa"),
    (sql_outside, "modelkeep.runs.store", "from psycopg import errors"),
    (foreign_stores, "modelkeep.faces.mlflow", "from modelkeep.runs import store"),
    (foreign_stores, "modelkeep.models.service", "from ..runs.store import insert"),
    (foreign_stores, "modelkeep.models.service", "import modelkeep.runs as r\nr.store.insert()"),
    (foreign_stores, "modelkeep.models.service", "from modelkeep.promotion.request_store import insert"),
    (impure_rules, "modelkeep.promotion.rules", "import msgspec"),
    (foreign_tables, "modelkeep.runs.service", "from modelkeep.artifacts.tables import trees"),
    (foreign_tables, "modelkeep.runs.store", "from modelkeep.artifacts.tables import trees as t\nx = update(t)"),
    (foreign_tables, "modelkeep.runs.store", "from modelkeep.artifacts.tables import trees\nx = trees.delete()"),
    (impure_rules, "modelkeep.promotion.gates", "from modelkeep.db import Tx"),
    (impure_rules, "modelkeep.core.words", "from modelkeep.config import Settings"),
    (web_outside, "modelkeep.app", "from uvicorn import Config"),
    (environment_outside, "modelkeep.db.engine", "from os import environ as e"),
    (environment_outside, "modelkeep.cli.serve", "import os\nx = os.getenv('A')"),
    (clock_outside, "modelkeep.runs.service", "import time as t\nx = t.time()"),
    (clock_outside, "modelkeep.runs.service", "from datetime import datetime\nx = datetime.now"),
    (clock_outside, "modelkeep.runs.service", "import datetime as d\nx = d.datetime.now(d.UTC)"),
    (clock_outside, "modelkeep.runs.service", "from time import time_ns"),
    (object_store_outside, "modelkeep.artifacts.blobs", "import obstore.store"),
]

ALLOWED = [
    (sql_outside, "modelkeep.runs.store", "import sqlalchemy as sa"),
    (sql_outside, "modelkeep.runs.metric_store", "import sqlalchemy"),
    (foreign_stores, "modelkeep.runs.service", "from modelkeep.runs import store\nstore.insert()"),
    (foreign_stores, "modelkeep.app", "from modelkeep.artifacts import BlobStore\nBlobStore.open"),
    (impure_rules, "modelkeep.promotion.rules", "import re\nfrom modelkeep.core.errors import Conflict"),
    (foreign_tables, "modelkeep.runs.store", "from modelkeep.artifacts.tables import trees\nx = select(trees)"),
    (foreign_tables, "modelkeep.runs.store", "from modelkeep.runs.tables import runs\nx = update(runs)"),
    (clock_outside, "modelkeep.runs.service", "import time\nx = time.monotonic()"),
    (environment_outside, "modelkeep.db.sqlite", "import os\nx = os.open"),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_module_stays_inside(check: Check) -> None:
    """No module of the product touches what belongs to others."""
    assert [broken for module in MODULES for broken in check(module)] == []


@pytest.mark.parametrize(("check", "name", "text"), PLANTED)
def test_a_planted_fault_is_found(check: Check, name: str, text: str) -> None:
    """Each check reports a module that breaks its rule, under whatever name it imports."""
    assert list(check(Module(name, text)))


@pytest.mark.parametrize(("check", "name", "text"), ALLOWED)
def test_what_is_allowed_is_not_reported(check: Check, name: str, text: str) -> None:
    """Each check leaves alone a module that may do what others may not."""
    assert list(check(Module(name, text))) == []
