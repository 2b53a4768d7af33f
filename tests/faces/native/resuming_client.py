"""A client that uploads a file in parts, and goes on with an upload that an earlier process of it began.

It says which parts it sends, and after every half part waits for a line, so that whoever runs it can kill it there.
"""

import http.client
import json
import sys
from pathlib import Path
from typing import Any

PIECE = 1 << 20


def call(connection: http.client.HTTPConnection, token: str, method: str, target: str, fields: Any = None) -> Any:
    """A call with JSON in and out."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request(method, target, None if fields is None else json.dumps(fields), headers)
    reply = connection.getresponse()
    body = reply.read()
    assert reply.status < 300, body
    return json.loads(body)


def send_part(
    connection: http.client.HTTPConnection, token: str, target: str, file: Path, start: int, size: int
) -> None:
    """Send a part; stop in the middle until told to go on."""
    connection.putrequest("PUT", target)
    connection.putheader("Authorization", f"Bearer {token}")
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    with file.open("rb") as source:
        source.seek(start)
        sent = 0
        while sent < size:
            if sent >= size // 2 > sent - PIECE:
                print("half", flush=True)
                sys.stdin.readline()
            piece = source.read(min(PIECE, size - sent))
            connection.send(piece)
            sent += len(piece)
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    reply.read()


def main(host: str, token: str, path: str, file: Path, state: Path, part_size: int) -> None:
    """Upload the file; the state keeps the upload's id over the end of the process."""
    connection = http.client.HTTPConnection(host, timeout=120)
    size = file.stat().st_size
    if not state.exists():
        begun = call(connection, token, "POST", "/api/v1/uploads", {"path": path, "size": size, "part_size": part_size})
        state.write_text(begun["id"])
    target = f"/api/v1/uploads/{state.read_text()}"
    shown = call(connection, token, "GET", target)
    there = {part["number"] for part in shown["received"]}
    for number in range(1, shown["parts"] + 1):
        if number not in there:
            print(f"part {number}", flush=True)
            start = (number - 1) * part_size
            send_part(connection, token, f"{target}/parts/{number}", file, start, min(part_size, size - start))
    done = call(connection, token, "POST", f"{target}/complete", {})
    print(f"done {done['sha256']}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]), int(sys.argv[6]))
