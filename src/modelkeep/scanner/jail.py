"""Locks the scanner's process in before it sees a hostile byte: nothing can be opened, started, written or sent.

What the system does not allow (a network namespace without privileges, another user) is left out: without a free file
descriptor there is no file and no socket anyway.
"""

import codecs
import contextlib
import ctypes
import os
import resource

MEMORY = 1 << 30
CPU_SECONDS = 120
_NEW_NETWORK = 0x40000000
_NO_NEW_PRIVILEGES = 38
_NOBODY = 65534
# Modules of these are found by name when they are first needed, which is too late then.
_ENCODINGS = (
    "ascii",
    "cp437",
    "latin-1",
    "raw-unicode-escape",
    "unicode-escape",
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-32",
)


def lock_in() -> None:
    """Give up everything but the pipes that are open, and a bounded share of memory and time."""
    for encoding in _ENCODINGS:
        codecs.lookup(encoding)
    libc = ctypes.CDLL(None, use_errno=True)
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    with contextlib.suppress(AttributeError):
        libc.unshare(_NEW_NETWORK)
    with contextlib.suppress(AttributeError):
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.geteuid() == 0:
        _become_nobody()
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))


def _become_nobody() -> None:
    with contextlib.suppress(OSError):
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
