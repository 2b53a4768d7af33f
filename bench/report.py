"""What was measured, as an aligned table and as a JSON file with the facts of the machine."""

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench.case import Case, Figures, Group, Target, better

OURS = "modelkeep"
BASELINE = "mlflow"
COLUMNS = ("case", "figure", BASELINE, OURS, "ratio", "target", "")
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass
class Outcome:
    """One case on every peer: figures, or why there are none."""

    case: Case
    figures: dict[str, Figures] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The figures to show, in the order of the measurement; errors only where there were any."""
        ordered = dict.fromkeys(name for figures in self.figures.values() for name in figures)
        return [name for name in ordered if name != "errors" or any(f.get(name) for f in self.figures.values())]

    def value(self, peer: str, figure: str) -> float | None:
        """A peer's figure, None if it was not measured."""
        return self.figures.get(peer, {}).get(figure)


@dataclass
class Report:
    """Everything of one run."""

    facts: dict[str, object]
    groups: list[tuple[Group, list[Outcome]]] = field(default_factory=list)

    def text(self) -> str:
        """The table, one line a figure."""
        rows = [COLUMNS, *(row for group, outcomes in self.groups for row in _group_rows(group, outcomes))]
        widths = [max(len(row[index]) for row in rows if len(row) > 1) for index in range(len(COLUMNS))]
        return "\n".join(_line(row, widths) for row in rows)

    def save(self) -> Path:
        """Write the JSON file under bench/results; its path."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
        path.write_text(json.dumps({"facts": self.facts, "groups": self._plain()}, indent=2) + "\n")
        return path

    def _plain(self) -> dict[str, object]:
        return {group.name: [_plain(outcome) for outcome in outcomes] for group, outcomes in self.groups}


def _plain(outcome: Outcome) -> dict[str, object]:
    verdicts = {f"{target.figure} {target}": _verdict(outcome, target) for target in outcome.case.targets}
    return {
        "case": outcome.case.name,
        "figures": outcome.figures,
        "ratios": {name: _ratio(outcome, name) for name in outcome.names()},
        "targets": verdicts,
        "failures": outcome.failures,
    }


def _group_rows(group: Group, outcomes: list[Outcome]) -> Iterator[tuple[str, ...]]:
    yield (f"\n{group.title}",)
    for outcome in outcomes:
        label = outcome.case.name
        for name in outcome.names():
            yield _row(outcome, label, name)
            label = ""
        for peer, reason in outcome.failures.items():
            yield (f"  {outcome.case.name}: {peer} failed: {reason}",)


def _row(outcome: Outcome, label: str, figure: str) -> tuple[str, ...]:
    targets = [target for target in outcome.case.targets if target.figure == figure]
    verdicts = [_verdict(outcome, target) for target in targets]
    ratio = _ratio(outcome, figure)
    return (
        f"  {label}",
        figure,
        _number(outcome.value(BASELINE, figure)),
        _number(outcome.value(OURS, figure)),
        "" if ratio is None else f"{ratio:.1f}x",
        ", ".join(str(target) for target in targets),
        ", ".join({True: "met", False: "MISSED"}[verdict] for verdict in verdicts if verdict is not None),
    )


def _ratio(outcome: Outcome, figure: str) -> float | None:
    return better(figure, outcome.value(BASELINE, figure), outcome.value(OURS, figure))


def _verdict(outcome: Outcome, target: Target) -> bool | None:
    ours = outcome.value(OURS, target.figure)
    return None if ours is None else target.met(ours, _ratio(outcome, target.figure))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    if len(row) == 1:
        return row[0]
    aligned = [
        cell.ljust(width) if index < 2 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()


def machine_facts() -> dict[str, object]:
    """What the figures depend on: processor, load before the run, versions."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "load_average": os.getloadavg(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "mlflow": version("mlflow"),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
