"""Runs pickles without running them: values are shapes, and what would be imported or called is reported.

It keeps the stack and the memo as a loader does, so names that are put together in roundabout ways are known, and what
is called is known. Anything that is not plain is refused: only what was imported by name may be called.
"""

from collections import ChainMap
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol

from modelkeep.scanner.allowed import Use, refusal, use_of
from modelkeep.scanner.opcodes import LONGEST_KEPT, OPAQUE, OPCODES, Far, Opaque
from modelkeep.scanner.sources import Broken, Cursor
from modelkeep.scanner.values import Global, Made, Mapping, may_call

MOST_KEYS = 64
_LONGEST_TUPLE = 64
# Any value at all, a text too.
_UNKNOWN = Opaque()
# How Python 2 called modules that Python 3 has under another name.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class Watcher(Protocol):
    """Who is told what a pickle does."""

    def found(self, rule: str, text: str) -> None:
        """Something that speaks against it."""

    def built(self, made: Made, machine: "Machine") -> None:
        """An object got its state; the watcher may read bytes that follow out of band."""

    def carries(self, content: bytes | Far) -> None:
        """Bytes lie in it."""

    def referred(self, key: Any) -> None:
        """It refers to an object outside."""


def _may_be_text(value: Any) -> bool:
    if isinstance(value, Made):
        return value.of.use is Use.CALL
    return value is _UNKNOWN or isinstance(value, Far)


class Machine:
    """One pickle, from its first opcode to STOP."""

    def __init__(self, cursor: Cursor, watcher: Watcher) -> None:
        self.calls = 0
        self.changes = 0
        self.imports = 0
        self.names: set[str] = set()
        # Names that say nothing against an import from a module that is not known.
        self.tolerated: frozenset[str] = frozenset()
        self.cursor = cursor
        self._watcher = watcher
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: MutableMapping[int, Any] = {}
        self._memoized = 0

    def fork(self, cursor: Cursor, watcher: Watcher) -> "Machine":
        """Another machine that goes on from here at another place, without changing this one."""
        other = Machine(cursor, watcher)
        other._stack = list(self._stack)
        other._marked = [list(items) for items in self._marked]
        other._memo = ChainMap({}, self._memo)
        other._memoized = self._memoized
        return other

    def run(self) -> Any:
        """Read up to STOP; the value. Raises Broken, OverLimit."""
        actions = _ACTIONS
        cursor, read = self.cursor, self.cursor.read
        while True:
            code = read(1)[0]
            found = OPCODES.get(code)
            if found is None:
                raise Broken(f"there is no opcode 0x{code:02x}")
            name, argument = found
            value = argument(cursor)
            if name == "value":
                self._push_value(value)
            elif name == "STOP":
                return self._pop()
            else:
                actions[name](self, value)

    def _push_value(self, value: Any) -> None:
        if isinstance(value, bytes | Far):
            self._watcher.carries(value)
        self._stack.append(value)

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack:
            raise Broken("its stack is empty")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack:
            raise Broken("its stack is empty")
        return self._stack[-1]

    def _pop_mark(self) -> list[Any]:
        if not self._marked:
            raise Broken("there is no mark")
        items, self._stack = self._stack, self._marked.pop()
        return items

    def mark(self, _value: Any) -> None:
        """MARK"""
        self._marked.append(self._stack)
        self._stack = []

    def pop(self, _value: Any) -> None:
        """POP"""
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def pop_mark(self, _value: Any) -> None:
        """POP_MARK"""
        self._pop_mark()

    def duplicate(self, _value: Any) -> None:
        """DUP"""
        self._push(self._top())

    def get(self, index: Any) -> None:
        """GET and its kin"""
        if index not in self._memo:
            raise Broken("its memo has no such entry")
        self._push(self._memo[index])

    def put(self, index: Any) -> None:
        """PUT and its kin"""
        if index is OPAQUE:
            raise Broken("its memo has no such place")
        self._keep(index)

    def memoize(self, _value: Any) -> None:
        """MEMOIZE"""
        self._keep(self._memoized)

    def _keep(self, index: int) -> None:
        self._memoized += index not in self._memo
        self._memo[index] = self._top()

    def tuple_of_marked(self, _value: Any) -> None:
        """TUPLE"""
        self._push_tuple(self._pop_mark())

    def _push_tuple(self, items: list[Any]) -> None:
        self._push(tuple(items) if len(items) <= _LONGEST_TUPLE else OPAQUE)

    def small_tuple(self, count: int) -> None:
        """TUPLE1 to TUPLE3"""
        if len(self._stack) < count:
            raise Broken("its stack is empty")
        items = self._stack[-count:]
        del self._stack[-count:]
        self._push_tuple(items)

    def marked_opaque(self, _value: Any) -> None:
        """LIST, FROZENSET"""
        self._pop_mark()
        self._push(OPAQUE)

    def marked_dict(self, _value: Any) -> None:
        """DICT"""
        items = self._pop_mark()
        self._push(Mapping())
        self._set_items(items)

    def opaque(self, _value: Any) -> None:
        """Values whose content does not matter."""
        self._push(OPAQUE)

    def append(self, _value: Any) -> None:
        """APPEND"""
        self._pop()
        self._check_container(self._top())

    def append_marked(self, _value: Any) -> None:
        """APPENDS, ADDITEMS"""
        self._pop_mark()
        self._check_container(self._top())

    def set_item(self, _value: Any) -> None:
        """SETITEM"""
        value, key = self._pop(), self._pop()
        self._set_items([key, value])

    def set_marked_items(self, _value: Any) -> None:
        """SETITEMS"""
        self._set_items(self._pop_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self._top()
        self._check_container(target)
        if isinstance(target, Mapping):
            for key, value in zip(items[::2], items[1::2], strict=False):
                if isinstance(key, str) and (len(target.items) < MOST_KEYS or key in target.items):
                    target.items[key] = value

    def _check_container(self, target: Any) -> None:
        if isinstance(target, Global):
            self.changes += target.is_named
            self._watcher.found("pickle.build", f"It adds to {target.full} itself instead of to an object.")

    def import_pair(self, pair: Any) -> None:
        """GLOBAL"""
        self._push(self._imported(*pair))

    def import_from_stack(self, _value: Any) -> None:
        """STACK_GLOBAL"""
        name, module = self._pop(), self._pop()
        if isinstance(name, str) and isinstance(module, str):
            self._push(self._imported(module, name))
            return
        if not all(isinstance(one, str) or _may_be_text(one) for one in (name, module)):
            raise Broken("it imports what is no name")
        self._watcher.found("pickle.computed-import", "It imports a name that it puts together while it is loaded.")
        self._push(Global("?", "?", None))

    def _imported(self, module: str, name: str) -> Global:
        self.imports += 1
        module = _RENAMED.get(module, module)
        use = use_of(module, name)
        if use is None:
            self._refuse(module[:LONGEST_KEPT], name[:LONGEST_KEPT])
        else:
            self.names.add(name)
        return Global(module, name, use)

    def _refuse(self, module: str, name: str) -> None:
        rule, text = refusal(module, name)
        if rule != "pickle.unknown-import" or name not in self.tolerated:
            self._watcher.found(rule, text)

    def reduce(self, _value: Any) -> None:
        """REDUCE"""
        arguments, callee = self._pop(), self._pop()
        self._push(self._called(callee, arguments, Use.CALL))

    def new_object(self, _value: Any) -> None:
        """NEWOBJ"""
        arguments, cls = self._pop(), self._pop()
        self._push(self._called(cls, arguments, Use.MAKE))

    def new_object_with_names(self, _value: Any) -> None:
        """NEWOBJ_EX"""
        _names, arguments, cls = self._pop(), self._pop(), self._pop()
        self._push(self._called(cls, arguments, Use.MAKE))

    def instance(self, pair: Any) -> None:
        """INST"""
        arguments = tuple(self._pop_mark())
        self._push(self._called(self._imported(*pair), arguments, Use.CALL))

    def object_of_marked(self, _value: Any) -> None:
        """OBJ"""
        items = self._pop_mark()
        if not items:
            raise Broken("its stack is empty")
        self._push(self._called(items[0], tuple(items[1:]), Use.CALL))

    def _called(self, callee: Any, arguments: Any, needed: Use) -> Any:
        self.calls += 1
        if not isinstance(callee, Global):
            self._watcher.found("pickle.call", "It calls an object that it built while it is loaded.")
            return _UNKNOWN
        if callee.use is None:
            return _UNKNOWN
        given = arguments if isinstance(arguments, tuple) else ()
        if callee.use < needed:
            self._watcher.found("pickle.call", f"It calls {callee.full}, which may only be named or made empty.")
        elif not may_call(callee, given):
            self._watcher.found("pickle.call", f"It calls {callee.full} with arguments that can do harm.")
        return Made(callee, given)

    def build(self, _value: Any) -> None:
        """BUILD"""
        state, target = self._pop(), self._top()
        if isinstance(target, Global):
            self.changes += target.is_named
            self._watcher.found("pickle.build", f"It changes {target.full} itself instead of an object.")
        elif target is _UNKNOWN:
            self._watcher.found("pickle.build", "It changes an object that only its reader knows.")
        elif isinstance(target, Made):
            target.state = state
            self._watcher.built(target, self)

    def extension(self, _value: Any) -> None:
        """EXT1, EXT2, EXT4"""
        self._watcher.found("pickle.extension", "It imports by a number that only the reader knows.")
        self._push(_UNKNOWN)

    def persistent(self, value: Any) -> None:
        """PERSID"""
        self._watcher.referred(value)
        self._push(_UNKNOWN)

    def persistent_from_stack(self, _value: Any) -> None:
        """BINPERSID"""
        self._watcher.referred(self._pop())
        self._push(_UNKNOWN)

    def nothing(self, _value: Any) -> None:
        """Opcodes that change no value."""


_ACTIONS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "DUP": Machine.duplicate,
    "PERSID": Machine.persistent,
    "BINPERSID": Machine.persistent_from_stack,
    "REDUCE": Machine.reduce,
    "APPEND": Machine.append,
    "BUILD": Machine.build,
    "GLOBAL": Machine.import_pair,
    "DICT": Machine.marked_dict,
    "EMPTY_DICT": lambda machine, _value: machine._push(Mapping()),
    "APPENDS": Machine.append_marked,
    "GET": Machine.get,
    "INST": Machine.instance,
    "LIST": Machine.marked_opaque,
    "EMPTY_LIST": Machine.opaque,
    "OBJ": Machine.object_of_marked,
    "PUT": Machine.put,
    "SETITEM": Machine.set_item,
    "TUPLE": Machine.tuple_of_marked,
    "EMPTY_TUPLE": lambda machine, _value: machine._push(()),
    "SETITEMS": Machine.set_marked_items,
    "PROTO": Machine.nothing,
    "NEWOBJ": Machine.new_object,
    "EXT": Machine.extension,
    "TUPLE1": lambda machine, _value: machine.small_tuple(1),
    "TUPLE2": lambda machine, _value: machine.small_tuple(2),
    "TUPLE3": lambda machine, _value: machine.small_tuple(3),
    "NEWTRUE": lambda machine, _value: machine._push(True),
    "NEWFALSE": lambda machine, _value: machine._push(False),
    "EMPTY_SET": Machine.opaque,
    "ADDITEMS": Machine.append_marked,
    "FROZENSET": Machine.marked_opaque,
    "NEWOBJ_EX": Machine.new_object_with_names,
    "STACK_GLOBAL": Machine.import_from_stack,
    "MEMOIZE": Machine.memoize,
    "FRAME": Machine.nothing,
    "NEXT_BUFFER": Machine.opaque,
    "READONLY_BUFFER": Machine.nothing,
}
