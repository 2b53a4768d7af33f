"""What a server costs: CPU and memory of a whole process tree, read from the operating system."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

SAMPLE_SECONDS = 0.05
MB = 1_000_000


def tree(root: int) -> list[psutil.Process]:
    """The process and everything below it."""
    parent = psutil.Process(root)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(root: int) -> float:
    """CPU used so far by the tree, including children that have ended and were reaped."""
    total = 0.0
    for process in tree(root):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def rss_mb(processes: list[psutil.Process]) -> float:
    """Resident memory of the given processes, shared pages counted once per process."""
    return sum(_memory(process, full=False) for process in processes) / MB


def pss_mb(root: int) -> float:
    """Resident memory of the tree with every shared page divided among those who share it."""
    return _pss(tree(root))


def _pss(processes: list[psutil.Process]) -> float:
    return sum(_memory(process, full=True) for process in processes) / MB


def _memory(process: psutil.Process, *, full: bool) -> int:
    try:
        return int(process.memory_full_info().pss if full else process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@dataclass
class Usage:
    """What a tree used while it was watched."""

    cpu_seconds: float = 0.0
    pss_before: float = 0.0
    pss_peak: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def growth_mb(self) -> float:
        """How far memory rose above where it stood before."""
        return max(0.0, self.pss_peak - self.pss_before)


@contextmanager
def watched(root: int) -> Iterator[Usage]:
    """Watch a tree's CPU and its memory peak (PSS, sampled) until the block ends."""
    processes = tree(root)
    usage = Usage(pss_before=_pss(processes))
    sampler = threading.Thread(target=_sample, args=(processes, usage), daemon=True)
    before = cpu_seconds(root)
    sampler.start()
    try:
        yield usage
    finally:
        usage._stop.set()
        sampler.join()
        usage.cpu_seconds = cpu_seconds(root) - before


def _sample(processes: list[psutil.Process], usage: Usage) -> None:
    while True:
        usage.pss_peak = max(usage.pss_peak, _pss(processes))
        if usage._stop.wait(SAMPLE_SECONDS):
            return
