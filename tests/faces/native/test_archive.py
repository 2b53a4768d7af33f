"""A version as a tar: whole, readable by any tar, the same bytes each time, and never complete with a wrong byte."""

import hashlib
import io
import socket
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from faces.native.pushing import Registry
from modelkeep.artifacts import Archive, ManifestFile
from security.raw import Raw

LONG = "/".join(["folder-of-a-long-name"] * 12) + "/file"
FILES = {
    "MLmodel": b"flavors: {}\n",
    "a": b"",
    "block": b"b" * 512,
    LONG: b"long",
    "\u00fc \U0001f600.txt": b"text",
    "weights.bin": bytes(range(256)) * 12_000,
}


def archive_of(registry: Registry, version: Any, method: str = "GET", headers: Any = ()) -> Any:
    """The answer to a request for a version's archive."""
    target = f"/api/v1/models/{version['name']}/versions/{version['version']}/archive"
    return registry.raw.request(method, target, headers=headers)


def test_an_archive_has_every_file(registry: Registry) -> None:
    """The tar has the files by path, each with its bytes, plain and of nobody, and nothing else."""
    reply = archive_of(registry, registry.register(FILES))
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/x-tar"
    assert reply.headers["content-disposition"].startswith("attachment; filename=model-")
    with tarfile.open(fileobj=io.BytesIO(reply.body), mode="r:") as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == sorted(FILES)
        for member in members:
            opened = tar.extractfile(member)
            assert opened is not None
            assert opened.read() == FILES[member.name]
            assert (member.mode, member.mtime, member.uid, member.gid) == (0o644, 0, 0, 0)
            assert (member.uname, member.gname) == ("", "")


def test_any_tar_unpacks_it(registry: Registry, tmp_path: Path) -> None:
    """The system's tar makes the same folder of it."""
    reply = archive_of(registry, registry.register(FILES))
    subprocess.run(["tar", "-x", "-C", tmp_path], input=reply.body, check=True, timeout=60)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(FILES)
    assert [(tmp_path / path).read_bytes() for path in FILES] == list(FILES.values())


def test_the_same_files_make_the_same_bytes(registry: Registry) -> None:
    """Two versions of the same files, pushed in another order, have archives that are equal to the last byte."""
    one = archive_of(registry, registry.register(FILES))
    other = archive_of(registry, registry.register(dict(reversed(FILES.items()))))
    assert one.body == other.body
    assert one.headers["etag"] == other.headers["etag"]
    known = [(b"If-None-Match", one.headers["etag"].encode())]
    assert archive_of(registry, registry.register(FILES), headers=known).status == 304


@pytest.mark.parametrize(
    ("said", "status"),
    [("*", 304), ('"x", W/"{}"', 304), ('"x{}"', 200), ('"x"{}"', 200)],
    ids=["any", "weak", "longer", "within"],
)
def test_only_its_own_tag_spares_the_archive(registry: Registry, said: str, status: int) -> None:
    """If-None-Match is answered with 304 for the very tag or for any, and not for text that has the tag within it."""
    version = registry.register({"a": b"a"})
    etag = archive_of(registry, version, "HEAD").headers["etag"]
    asked = [(b"If-None-Match", said.format(etag.strip('"')).encode())]
    reply = archive_of(registry, version, "HEAD", headers=asked)
    assert reply.status == status


def test_the_length_is_known_before(registry: Registry) -> None:
    """HEAD tells the length that GET has, in whole records as tar wants them."""
    version = registry.register(FILES)
    head, reply = archive_of(registry, version, "HEAD"), archive_of(registry, version)
    assert head.headers["content-length"] == reply.headers["content-length"] == str(len(reply.body))
    assert len(reply.body) % tarfile.RECORDSIZE == 0


def test_an_external_version_has_no_archive(registry: Registry) -> None:
    """Where the registry does not hold the files, the answer is a conflict; an unknown version is not found."""
    registry.call("POST", "models", {"name": "outside"})
    version = registry.ok("POST", "models/outside/versions", {"source": "s3://bucket/x"})
    archive_of(registry, version).refused(409)
    archive_of(registry, version | {"version": 7}).refused(404)
    archive_of(registry, version | {"name": "unknown"}).refused(404)


def test_a_retired_version_can_be_fetched(registry: Registry) -> None:
    """A version out of use is not lost: its archive is served."""
    version = registry.register({"a": b"retired"})
    registry.call("DELETE", f"models/{version['name']}/versions/1")
    assert archive_of(registry, version).status == 200


def damage(path: Path) -> None:
    """Change one byte in the middle of a file."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("path", ["m-small", "z-large"])
def test_a_damaged_file_breaks_the_archive_off(registry: Registry, path: str) -> None:
    """An archive with a damaged file ends early, before any wrong byte, so that no client takes it for whole."""
    content = {
        "m-small": f"{path} {registry.made}".encode(),
        "z-large": hashlib.sha256(path.encode()).digest() * 200_000,
    }
    files = {"a": b"first " * 100_000, path: content[path]}
    version = registry.register(files)
    whole = archive_of(registry, version).body
    damage(registry.blob(content[path]))
    received, length = raw_answer(registry, version)
    assert length == len(whole)
    assert len(received) < length
    assert received == whole[: len(received)]


def test_a_damaged_first_file_is_refused_at_once(registry: Registry) -> None:
    """What is wrong before the first byte is answered as an error, not as a broken archive."""
    content = f"only file {registry.made}".encode()
    version = registry.register({"only": content})
    damage(registry.blob(content))
    reply = archive_of(registry, version)
    assert (reply.status, reply.json["code"]) == (500, "corrupt")


def raw_answer(registry: Registry, version: Any) -> tuple[bytes, int]:
    """The bytes of the body until the server hangs up, and how many it had promised."""
    target = f"/api/v1/models/{version['name']}/versions/{version['version']}/archive"
    request = Raw(registry.server.port, registry.server.token).written("GET", target)
    with socket.create_connection(("127.0.0.1", registry.server.port), timeout=60) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return body, int(lengths[0].partition(b":")[2])


def test_a_file_larger_than_ustar_can_say(registry: Registry) -> None:
    """A file of more than 8 GiB has its size in a pax record, and the length counts it."""
    sha256 = hashlib.sha256(b"").hexdigest()

    async def none(file: ManifestFile) -> bytes:
        return b""

    small = Archive([ManifestFile("f", 10, sha256)], none)
    large = Archive([ManifestFile("f", 10 * 2**30, sha256)], none)
    assert large.size - small.size == 10 * 2**30
