"""Writes down every file, folder and address that the server process asks the operating system for.

Python imports a module of this name at start when its folder is on PYTHONPATH; the log is MODELKEEP_WATCH_LOG.
"""

import os
import sys

WATCHED = {
    "open", "os.chmod", "os.chown", "os.exec", "os.link", "os.listdir", "os.mkdir", "os.posix_spawn", "os.remove",
    "os.rename", "os.rmdir", "os.scandir", "os.symlink", "os.system", "os.truncate", "os.utime", "shutil.rmtree",
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "sqlite3.connect",
    "subprocess.Popen",
}  # fmt: skip

LOG = os.open(os.environ["MODELKEEP_WATCH_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(event: str, arguments: tuple[object, ...]) -> None:
    """One line for each watched call: its name and what it is about."""
    if event in WATCHED:
        subject = arguments[1] if event.startswith("socket.connect") else arguments[0]
        os.write(LOG, f"{event}\t{subject!r}\n".encode(errors="backslashreplace"))


sys.addaudithook(note)
