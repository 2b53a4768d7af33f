"""The product's source as data: modules, functions, imports and the dotted names that code uses."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Importing = (ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Function:
    """A function or method: its dotted name inside the module and its syntax tree."""

    name: str
    node: FunctionNode

    @property
    def lines(self) -> int:
        """How many lines it takes, from `def` to the last of its body."""
        return (self.node.end_lineno or self.node.lineno) - self.node.lineno + 1

    @property
    def method(self) -> str:
        """Its own name when it belongs to a class; else empty."""
        return self.node.name if "." in self.name else ""

    @property
    def is_public(self) -> bool:
        """True when neither it nor what holds it is private to its module."""
        return not any(part.startswith("_") for part in self.name.split("."))


@dataclass(frozen=True)
class Module:
    """One module of the product, by its import name."""

    name: str
    text: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.text.splitlines())

    @property
    def slice(self) -> str:
        """The folder or module directly below `modelkeep` that it belongs to."""
        return self.name.partition(".")[2].partition(".")[0]

    @cached_property
    def functions(self) -> list[Function]:
        """Its functions and the methods of its classes; not the functions inside functions."""
        return list(_functions(self.tree.body, ""))

    @cached_property
    def imported(self) -> frozenset[str]:
        """What it imports, in full: `from a.b import c` is `a.b.c`."""
        return frozenset(target for target, _ in self._imports)

    @cached_property
    def used(self) -> frozenset[str]:
        """The names of other modules that its code uses, in full, whatever they were imported as."""
        names = {alias or _head(target): target if alias else _head(target) for target, alias in self._imports}
        dotted = {_dotted(node) for node in ast.walk(self.tree) if isinstance(node, ast.Name | ast.Attribute)}
        return frozenset(names[_head(name)] + name[len(_head(name)) :] for name in dotted if _head(name) in names)

    @property
    def named_imports(self) -> list[tuple[str, str]]:
        """What it imports, in full, and under which name."""
        return self._imports

    @cached_property
    def _imports(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(name.name, name.asname or "") for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                found += [(f"{self._origin(node)}.{name.name}", name.asname or name.name) for name in node.names]
        return found

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parent = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parent, *([node.module] if node.module else [])])


def product_modules() -> list[Module]:
    """Every module below src, by name."""
    return [_read(path) for path in sorted(SOURCE.rglob("*.py"))]


def _read(path: Path) -> Module:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package)


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[Function]:
    for node in body:
        if isinstance(node, FunctionNode):
            yield Function(prefix + node.name, node)
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")


def _head(name: str) -> str:
    return name.partition(".")[0]


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        holder = _dotted(node.value)
        return f"{holder}.{node.attr}" if holder else ""
    return ""
