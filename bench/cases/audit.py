"""The audit log, which only Modelkeep has: a million entries verified, offline and online; changes written down."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import load
from bench.audit_log import fill_journal, write_log
from bench.case import Case, Figures, Group, Peer, at_least, at_most, figures
from bench.cases import registry, writes
from bench.processes import watched
from bench.report import BASELINE
from bench.servers import Server, binary, start_modelkeep
from modelkeep.audit.single_file import verifier_text

ENTRIES = 1_000_000
LEAST_ENTRIES = 10_000
LIMIT_S, LIMIT_MB = 15, 300
MUTATIONS = 500
ROOT = Path(__file__).resolve().parents[2]


def _verify_offline(peer: Peer) -> Figures:
    if peer.name == BASELINE:
        return {}
    with tempfile.TemporaryDirectory(dir=peer.folder.parent) as scratch:
        folder, program = Path(scratch) / "log", Path(scratch) / "verify_audit.py"
        entries = _entries(peer)
        write_log(folder, entries)
        program.write_text(verifier_text())
        return _verified([sys.executable, "-I", str(program), str(folder)], entries)


def _verify_online(peer: Peer) -> Figures:
    """As the command does it; the server's CPU and memory beside the command's own."""
    if peer.name == BASELINE:
        return {}
    with tempfile.TemporaryDirectory(dir=peer.folder.parent) as scratch:
        start_modelkeep(Path(scratch)).stop()
        entries = _entries(peer)
        fill_journal(Path(scratch) / "modelkeep", entries)
        server = start_modelkeep(Path(scratch))
        try:
            with watched(server.pid) as usage:
                found = _verified([binary("modelkeep"), "audit", "verify", "--server", server.url], entries)
            return found | {"server CPU s": usage.cpu_seconds, "server PSS MB": usage.pss_peak}
        finally:
            server.stop()


def _entries(peer: Peer) -> int:
    return max(LEAST_ENTRIES, int(ENTRIES * min(1.0, peer.shape.scale)))


def _verified(command: list[str], entries: int) -> Figures:
    """What a verification that finds nothing wrong in so many entries takes."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.stdout is not None
        told = process.stdout.read().decode()
    if process.returncode or not told.startswith(f"{entries} entries, {entries} of them signed"):
        raise RuntimeError(told)
    return {
        "entries": float(entries),
        "seconds": elapsed,
        "CPU s": usage.ru_utime + usage.ru_stime,
        "RSS MB": usage.ru_maxrss / 1000,
    }


def _on_sqlite(peer: Peer) -> Figures:
    if peer.name == BASELINE:
        return {}
    _prepare_models(peer.server)
    return _mutations(peer, peer.server)


def _on_postgres(peer: Peer) -> Figures:
    if peer.name == BASELINE:
        return {}
    with _postgres() as url, tempfile.TemporaryDirectory(dir=peer.folder.parent) as scratch:
        server = start_modelkeep(Path(scratch), database=url)
        try:
            _prepare_models(server)
            return _mutations(peer, server)
        finally:
            server.stop()


def _mutations(peer: Peer, server: Server) -> Figures:
    job = partial(load.Job, server.port, server.pid, writes.WRITES["set version tag"](server))
    return figures(load.run(job(connections=writes.CONNECTIONS, seconds=peer.seconds, warmup=peer.seconds / 4)))


def _prepare_models(server: Server) -> None:
    """The models of the group `writes`, unless that made them."""
    if not registry.has_model(server, writes.MODELS[-1]):
        for name in writes.MODELS:
            registry.create_model(server, name, 3)


@contextmanager
def _postgres() -> Iterator[str]:
    """An empty database of a server of its own, with PostgreSQL's own settings: what it acknowledges is on the disk."""
    sys.path.insert(0, str(ROOT / "tests"))
    import postgres

    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as folder:
        Path(folder).chmod(0o755)
        server = postgres.OwnServer(Path(folder) / "server", options={})
        try:
            with postgres.empty_database(server.address) as url:
                yield url
        finally:
            server.stop()


GROUP = Group(
    "audit",
    "The audit log",
    (
        Case(
            "verify 1,000,000 entries offline",
            _verify_offline,
            (at_most("seconds", LIMIT_S), at_most("CPU s", LIMIT_S), at_most("RSS MB", LIMIT_MB)),
        ),
        Case(
            "verify 1,000,000 entries online",
            _verify_online,
            (at_most("seconds", LIMIT_S), at_most("RSS MB", LIMIT_MB), at_most("server PSS MB", LIMIT_MB)),
        ),
        Case("audited changes, 32 clients, SQLite", _on_sqlite, (at_least("req/s", MUTATIONS),)),
        Case("audited changes, 32 clients, PostgreSQL", _on_postgres, (at_least("req/s", MUTATIONS),)),
    ),
)
