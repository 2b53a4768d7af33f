"""How often a server has done what, as its metrics tell it."""

from faces.mlflow.wire import Wire


def operations(wire: Wire) -> dict[str, int]:
    """How often each operation was done well."""
    counted: dict[str, int] = {}
    for line in wire.call("GET", "/metrics").body.decode().splitlines():
        if line.startswith("modelkeep_http_requests_total{") and 'status="2' in line:
            name = line.partition('operation="')[2].partition('"')[0]
            counted[name] = counted.get(name, 0) + int(float(line.rpartition(" ")[2]))
    return counted


def grown(before: dict[str, int], after: dict[str, int], name: str) -> int:
    """How often an operation was done between two counts."""
    return after.get(name, 0) - before.get(name, 0)
