"""Modules and functions stay small, are named for what they hold, and say what they are for."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from statistics import median

import pytest

from architecture.source import Importing, Module, product_modules

MODULE_CEILING, MODULE_MEDIAN = 400, 200
FUNCTION_CEILING, FUNCTION_MEDIAN = 80, 10
DOCUMENTED_FROM = 6
EMPTY_NAMES = {"utils", "util", "helpers", "manager", "base", "common"}

MODULES = product_modules()
Check = Callable[[Module], Iterator[str]]


@cache
def promised_methods() -> frozenset[str]:
    """The names of the methods that have a docstring somewhere in the product."""
    documented = (function for module in MODULES for function in module.functions if ast.get_docstring(function.node))
    return frozenset(function.method for function in documented if function.method)


def long_modules(module: Module) -> Iterator[str]:
    """The module itself, when it is over the ceiling."""
    if module.lines > MODULE_CEILING:
        yield f"{module.name} has {module.lines} lines"


def long_functions(module: Module) -> Iterator[str]:
    """Functions over the ceiling."""
    for function in module.functions:
        if function.lines > FUNCTION_CEILING:
            yield f"{module.name}.{function.name} has {function.lines} lines"


def inner_imports(module: Module) -> Iterator[str]:
    """Imports inside functions, and TYPE_CHECKING: both hide a cycle."""
    for function in module.functions:
        if any(isinstance(node, Importing) for node in ast.walk(function.node)):
            yield f"{module.name}.{function.name} imports inside"
    if any(name.endswith(".TYPE_CHECKING") for name in module.imported | module.used):
        yield f"{module.name} imports for type checking only"


def empty_names(module: Module) -> Iterator[str]:
    """Modules and packages whose name says nothing about what they hold."""
    if EMPTY_NAMES & set(module.name.split(".")):
        yield f"{module.name} is named for nothing"


def undocumented(module: Module) -> Iterator[str]:
    """Modules without a docstring, and public functions longer than five lines without one.

    A method needs none when a method of that name has one, in the port or class that promises it.
    """
    if module.text.strip() and not ast.get_docstring(module.tree):
        yield f"{module.name} has no docstring"
    for function in module.functions:
        needed = function.is_public and function.lines >= DOCUMENTED_FROM and function.method not in promised_methods()
        if needed and not ast.get_docstring(function.node):
            yield f"{module.name}.{function.name} has no docstring"


CHECKS = [long_modules, long_functions, inner_imports, empty_names, undocumented]

PLANTED = [
    (long_modules, "modelkeep.runs.service", "x = 1\n" * (MODULE_CEILING + 1)),
    (long_functions, "modelkeep.runs.service", "class A:\n def f():\n" + "  x = 1\n" * FUNCTION_CEILING),
    (inner_imports, "modelkeep.runs.service", "async def f():\n if x:\n  from a import b"),
    (inner_imports, "modelkeep.runs.service", "from typing import TYPE_CHECKING as typed"),
    (inner_imports, "modelkeep.runs.service", "import typing\nif typing.TYPE_CHECKING: pass"),
    (empty_names, "modelkeep.runs.helpers", ""),
    (empty_names, "modelkeep.common.words", ""),
    (undocumented, "modelkeep.runs.service", "x = 1"),
    (undocumented, "modelkeep.runs.service", '"""Words."""\nclass A:\n def undocumented_here():\n' + "  x = 1\n" * 5),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_module_keeps_the_rule(check: Check) -> None:
    """No module of the product breaks a rule of size, naming or documentation."""
    assert [broken for module in MODULES for broken in check(module)] == []


@pytest.mark.parametrize(("check", "name", "text"), PLANTED)
def test_a_planted_fault_is_found(check: Check, name: str, text: str) -> None:
    """Each check reports a module that breaks its rule, so a silent pass means that the rule is kept."""
    assert list(check(Module(name, text)))


def test_the_middle_module_is_small() -> None:
    """Half of the modules have at most 200 lines."""
    assert median(module.lines for module in MODULES) <= MODULE_MEDIAN


def test_the_middle_function_is_small() -> None:
    """Half of the functions have at most 10 lines."""
    assert median(function.lines for module in MODULES for function in module.functions) <= FUNCTION_MEDIAN
