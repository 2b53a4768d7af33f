"""Values of pickles as shapes: what was imported, what was built of it, and what may be called with which arguments."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from modelkeep.scanner.allowed import Use, use_of


@dataclass(frozen=True, slots=True)
class Global:
    """Something imported."""

    module: str
    name: str
    use: Use | None

    @property
    def full(self) -> str:
        """Its dotted name."""
        return f"{self.module}.{self.name}"

    @property
    def is_named(self) -> bool:
        """Whether its names could be those of a module and of something in it."""
        return all(one.isidentifier() for one in self.full.split("."))


@dataclass(slots=True)
class Made:
    """An object that was built: of what, from what, and its state if it was given one."""

    of: Global
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(slots=True)
class Mapping:
    """A dict, with its first text keys."""

    items: dict[str, Any] = field(default_factory=dict)


def _from_plain_class(arguments: tuple[Any, ...]) -> bool:
    """The constructor that runs is the one of the second class: only those of plain built-in types do."""
    if len(arguments) != 3 or not all(isinstance(one, Global) for one in arguments[:2]):
        return False
    made, plain = arguments[:2]
    return made.use is not None and made.use >= Use.MAKE and plain.module == "builtins" and plain.use is Use.CALL


def _by_rebuilding(arguments: tuple[Any, ...]) -> bool:
    return bool(arguments) and isinstance(arguments[0], Global) and arguments[0].module == "torch._utils"


def _latin(arguments: tuple[Any, ...]) -> bool:
    return len(arguments) == 2 and isinstance(arguments[1], str) and arguments[1] in {"latin1", "latin-1"}


def _known_function(arguments: tuple[Any, ...]) -> bool:
    if len(arguments) != 2 or not all(isinstance(one, str) for one in arguments):
        return False
    return arguments[0] == "numpy" and use_of("numpy", arguments[1]) is Use.NAME


# Things that may be called only with arguments of which this is true, by their name.
_CHECKS: dict[str, Callable[[tuple[Any, ...]], bool]] = {
    "_reconstructor": _from_plain_class,
    "_rebuild_from_type_v2": _by_rebuilding,
    "encode": _latin,
    "_ufunc_reconstruct": _known_function,
}


def may_call(callee: Global, arguments: tuple[Any, ...]) -> bool:
    """Whether something on the list may be called with these arguments."""
    check = _CHECKS.get(callee.name)
    return check is None or check(arguments)
