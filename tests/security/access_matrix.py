"""The access matrix: every operation, asked for by every kind of caller, and what the registry decides.

`PYTHONPATH=tests python -m security.access_matrix` writes the table beside this file anew; read the difference.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from modelkeep.faces.operations import Operation
from security.furniture import furnish
from security.governed import CALLERS, Asked, Governed
from security.raw import Reply
from security.samples import Sample, sample
from security.table import OPERATIONS, Route

TABLE = Path(__file__).with_name("access_matrix.txt")
_CELLS = {401: "U", 403: "F", 404: "N"}
_HEAD = """\
What each kind of caller gets who asks for each operation with a good request, in the workspace `default`.
A allowed   F forbidden (403)   N not there, as far as they may know (404)   U not signed in (401)
A number is the status of a request that was let through and refused for another reason.
Deleting files that are not there, as far as they may know, is allowed and does nothing.

"""


def letter(reply: Reply) -> str:
    """A decision in one letter; the status itself for what is none."""
    return "A" if reply.status < 400 else _CELLS.get(reply.status, str(reply.status))


def asked(
    registry: Governed,
    route: Route,
    who: str,
    *,
    swap: Mapping[str, str] | None = None,
    other: Mapping[str, Any] | None = None,
) -> Asked:
    """A good request of this route by this caller; `swap` puts other ids and names in place of those it would have,
    `other` other values of fields.
    """
    given = sample(registry, route, who)
    if other:
        given = Sample({**given.fields, **other}, given.body, given.headers)
    if swap:
        # Numbers are ids of experiments only.
        fit = {old: new for old, new in swap.items() if not old.isdigit()}
        fields = {name: swapped(one, swap if "experiment" in name else fit) for name, one in given.fields.items()}
        given = Sample(fields, given.body, given.headers)
    fields = {name: value for name, value in given.fields.items() if name not in route.in_path}
    path = target_of(route, given)
    body, headers = given.body, given.headers
    if route.takes_json and fields and not body:
        body, headers = json.dumps(fields).encode(), (*headers, (b"content-type", b"application/json"))
    elif fields:
        path += "?" + urlencode(fields, doseq=True)
    return Asked(route.method, path, body, headers, registry.callers[who])


def swapped(value: Any, swap: Mapping[str, str]) -> Any:
    """A field's value with other ids and names in it."""
    if isinstance(value, list):
        return [swapped(one, swap) for one in value]
    if isinstance(value, dict):
        return {name: swapped(one, swap) for name, one in value.items()}
    if not isinstance(value, str) or value in swap:
        return swap.get(value, value) if isinstance(value, str) else value
    for old, new in swap.items():
        value = value.replace(old, new) if len(old) > 2 else value
    return value


def target_of(route: Route, given: Sample) -> str:
    """The path with its fields filled in."""
    filled = []
    for part in route.path.split("/"):
        name = part.strip("{}")
        filled.append(part if name == part else quote(str(given.fields[name.removesuffix(":path")]), safe="/:"))
    return "/".join(filled)


def first_route(operation: Operation) -> Route:
    """The route that stands for an operation."""
    return Route(operation, *operation.routes[0])


def decisions(registry: Governed) -> dict[str, list[str]]:
    """The letters of every operation, in the order of CALLERS."""
    return {
        operation.name: [
            *map(letter, registry.wire.call_all([asked(registry, first_route(operation), who) for who in CALLERS]))
        ]
        for operation in OPERATIONS
    }


def written(found: dict[str, list[str]]) -> str:
    """The table as text: callers above their columns, and a row for each operation with what it asks for."""
    permissions = {one.name: str(one.permission).removeprefix("Public.").lower() for one in OPERATIONS}
    width = max(map(len, found)) + 2
    asked = max(map(len, permissions.values())) + 2
    lines = [*_titles(width + asked), ""]
    for name, letters in found.items():
        lines.append(f"{name:<{width}}{permissions[name]:<{asked}}" + "".join(f"{one:<4}" for one in letters).rstrip())
    return _HEAD + "\n".join(line.rstrip() for line in lines) + "\n"


def _titles(indent: int) -> Iterator[str]:
    """Each caller's name on a line of its own, led to its column."""
    names = list(CALLERS)
    for at, name in enumerate(names):
        yield " " * indent + "|   " * at + name


def main() -> None:
    """Write the table."""
    with tempfile.TemporaryDirectory() as folder, Governed.start(Path(folder)) as registry:
        furnish(registry)
        registry.keep_nothing()
        TABLE.write_text(written(decisions(registry)))


if __name__ == "__main__":
    main()
