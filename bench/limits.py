"""What this machine can do at most, measured beside the servers: hashing, its disk, its loopback."""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.processes import MB

BLOCK = 1024**2
HASHED = 256 * BLOCK
LOOPBACK = 1024 * BLOCK


def sha256() -> float:
    """MB/s that one core hashes."""
    block, digest = os.urandom(BLOCK), hashlib.sha256()

    def hash_all() -> None:
        for _ in range(HASHED // BLOCK):
            digest.update(block)

    return _speed(HASHED, hash_all)


def disk_write(source: Path, target: Path) -> float:
    """MB/s of copying a file, as `cp` does it, and syncing the copy."""

    def copy() -> None:
        with source.open("rb") as reader, target.open("wb") as writer:
            while block := reader.read(BLOCK):
                writer.write(block)
            writer.flush()
            os.fsync(writer.fileno())

    try:
        return _speed(source.stat().st_size, copy)
    finally:
        target.unlink(missing_ok=True)


def disk_read(source: Path) -> float:
    """MB/s of reading a file that was just written, as the servers read theirs."""

    def read() -> None:
        buffer = memoryview(bytearray(BLOCK))
        with source.open("rb", buffering=0) as reader:
            while reader.readinto(buffer):
                pass

    return _speed(source.stat().st_size, read)


def loopback() -> float:
    """MB/s between two threads through a socket of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = threading.Thread(target=_send, args=(listener.getsockname()[1],))
        sender.start()
        connection, _ = listener.accept()
        with connection:
            speed = _speed(LOOPBACK, lambda: _take(connection))
        sender.join()
    return speed


def _send(port: int) -> None:
    block = os.urandom(BLOCK)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(LOOPBACK // BLOCK):
            connection.sendall(block)


def _take(connection: socket.socket) -> None:
    buffer = memoryview(bytearray(BLOCK))
    while connection.recv_into(buffer):
        pass


def _speed(size: int, work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return size / MB / (time.perf_counter() - began)
