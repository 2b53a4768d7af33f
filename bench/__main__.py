"""The command `python -m bench`: choose peers, groups and scale, measure, print and keep the table."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.case import Case, Group, Peer
from bench.cases import (
    access,
    audit,
    batch,
    client,
    files,
    folders,
    pages,
    reads,
    s3,
    search,
    start,
    transfer,
    verify,
    writes,
)
from bench.report import BASELINE, OURS, Outcome, Report, machine_facts
from bench.seed import Shape, cache_folder
from bench.servers import Launcher, start_mlflow, start_modelkeep

# In the order in which they run: what changes the seeded data comes after what searches it.
GROUPS: tuple[Group, ...] = tuple(
    module.GROUP
    for module in (
        start,
        search,
        pages,
        reads,
        writes,
        access,
        audit,
        batch,
        files,
        transfer,
        verify,
        folders,
        s3,
        client,
    )
)
NAMES = [group.name for group in GROUPS]


def main() -> int:
    """Run the chosen measurements; 1 if any of them failed on a peer, else 0."""
    options = _options()
    facts = machine_facts() | {
        "scale": options.scale,
        "seconds": options.seconds,
        "auth": options.auth,
        "mlflow_journal": options.mlflow_journal,
    }
    report = Report(facts)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(_scratch()))
        peers = [stack.enter_context(_peer(name, options, folder)) for name in _peers(options.peer)]
        for group in GROUPS:
            if group.name in options.only:
                report.groups.append((group, list(_measure(group, peers))))
    print("\n" + " ".join(f"{key}={value}" for key, value in facts.items()))
    print(report.text())
    print(f"\nkept in {report.save()}")
    return int(any(outcome.failures for _, outcomes in report.groups for outcome in outcomes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Modelkeep beside mlflow server, over the wire."
    )
    parser.add_argument("--peer", choices=[BASELINE, OURS, "both"], default="both")
    parser.add_argument("--only", type=_names, default=NAMES, help=f"groups, by comma: {','.join(NAMES)}")
    parser.add_argument("--scale", type=_scale, default=1.0, help="share of 100,000 versions and runs (default 1)")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured time of a case (default 4)")
    parser.add_argument("--auth", choices=["none", "token"], default="none", help="how modelkeep is started")
    parser.add_argument(
        "--mlflow-journal",
        choices=["delete", "wal"],
        default="wal",
        help="SQLite journal of the baseline (default wal)",
    )
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"no such group: {', '.join(unknown)}")
    return names


def _scale(text: str) -> float:
    scale = float(text)
    if not 0.005 <= scale <= 10:
        raise argparse.ArgumentTypeError("the scale lies between 0.005 and 10")
    return scale


def _peers(choice: str) -> list[str]:
    return [BASELINE, OURS] if choice == "both" else [choice]


@contextmanager
def _scratch() -> Iterator[str]:
    """A folder for the servers' data, on the disk of the cache; gone afterwards."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="run-") as folder:
        yield folder


@contextmanager
def _peer(name: str, options: argparse.Namespace, folder: Path) -> Iterator[Peer]:
    launch: Launcher = start_mlflow if name == BASELINE else partial(start_modelkeep, auth=options.auth)
    peer = Peer(name, launch, folder / name, Shape(options.scale), options.seconds, options.mlflow_journal)
    try:
        yield peer
    finally:
        peer.close()


def _measure(group: Group, peers: list[Peer]) -> Iterator[Outcome]:
    """Case by case, each on one peer and at once on the other, so that both meet the same machine."""
    broken = {peer.name: reason for peer in peers if (reason := _prepare(group, peer))}
    for case in group.cases:
        outcome = Outcome(case)
        for peer in peers:
            _measure_case(case, peer, outcome, broken.get(peer.name))
        yield outcome


def _prepare(group: Group, peer: Peer) -> str | None:
    """Make the group's data; why it could not be made."""
    try:
        group.prepare(peer)
    except Exception as failure:
        return _reason(failure)
    return None


def _measure_case(case: Case, peer: Peer, outcome: Outcome, broken: str | None) -> None:
    """One peer's failure is its own line in the table; the other's figures stand."""
    try:
        if broken:
            raise RuntimeError(broken)
        figures = outcome.figures[peer.name] = case.measure(peer)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
    except Exception as failure:
        shown = outcome.failures[peer.name] = _reason(failure)
    print(f"{peer.name:>9}  {case.name}: {shown}", file=sys.stderr, flush=True)


def _reason(failure: Exception) -> str:
    return " ".join(str(failure).split())[:400] or type(failure).__name__


if __name__ == "__main__":
    sys.exit(main())
