"""Names that pose as others, links planted in the data folder, names of downloads (PT-06, PT-08, PT-09, PT-11)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from security.conftest import CANARY, Place
from security.raw import Raw
from security.table import encoded
from servers import RunningServer

# RFC 6266: a token, a quoted string or an encoded value (RFC 8187), and for the last a plain one beside it.
TOKEN, QUOTED = r"[!#$%&'*+.^_`|~\w-]+", r'"(?:[^"\\\x00-\x1f]|\\.)*"'
ONE_PARAMETER = re.compile(
    rf"attachment(?:; filename=(?:{TOKEN}|{QUOTED}))?(?:; filename\*=UTF-8''[\w.~%!#$&+^`|-]+)?", re.ASCII
)
RPC = "/api/2.0/mlflow/"
# Each of these would be another name after one decoding, trimming, folding or normalising that we must not do.
LOOK_ALIKES = [
    ("model1", "model%31"), ("model1", "Model1"), ("model1", "model1 "), ("model1", "\uff4dodel1"),
    ("model1", "m\u043edel1"), ("caf\u00e9", "cafe\u0301"), ("a+b", "a b"), ("a%20b", "a b"), ("null", "None"),
]  # fmt: skip
KEYWORDS = ["create", "search", "latest", "null", "None", "0", "-1", "true", "alias", "retired-models", "get", "m-1"]
VERSION_LIKE = ["latest", "LATEST", "v1", "V12", "v0"]
FILE_NAMES = [
    'quote".txt', "semi;colon.txt", "back`tick.txt", "gr\u00fc\u00df.txt", "\u6587\u4ef6.bin", "a,b.txt", "50%.txt",
    "x'; filename=evil.html", "dollar$(id).txt", "equals=.txt", "long" + "x" * 200 + ".txt",
]  # fmt: skip


def make(raw: Raw, name: str) -> bool:
    """Whether a model of this name could be made."""
    reply = raw.json("POST", RPC + "registered-models/create", {"name": name, "description": f"I am {name}"})
    assert reply.status in {200, 400}, reply
    return reply.status == 200


@pytest.mark.parametrize(("plain", "other"), LOOK_ALIKES)
def test_PT_08_look_alikes_are_other_models_or_none(raw: Raw, plain: str, other: str) -> None:
    """A name that resembles another is refused or is a model of its own, never that other one (CVE-2024-3099)."""
    made = {name for name in (plain, other) if make(raw, name)}
    for name in (plain, other):
        found = raw.request("GET", f"{RPC}registered-models/get?name={encoded(name)}")
        if name in made:
            assert found.json["registered_model"]["description"] == f"I am {name}"
        native = raw.request("GET", f"/api/v1/models/{encoded(name)}")
        if native.status == 200:
            assert native.json["name"] == name
        raw.request("DELETE", f"/api/v1/models/{encoded(name)}")


@pytest.mark.parametrize("name", ["a/b", "a:b", "", " ", "a\x00b", "\ud800", "x" * 100_000, "/", "..", "."])
def test_PT_08_names_that_break_addresses_are_refused(raw: Raw, name: str) -> None:
    """A name with a separator, a NUL or of endless length is no model's name; a dot never acts as a folder."""
    reply = raw.json("POST", RPC + "registered-models/create", {"name": name})
    if name in {"..", "."} and reply.status == 200:
        assert raw.request("GET", f"/api/v1/models/{name}").json["name"] == name
    else:
        reply.refused(400)


@pytest.mark.parametrize("name", KEYWORDS)
def test_PT_09_words_of_the_api_are_plain_names(raw: Raw, name: str) -> None:
    """A model called like a route or a value is reached by its name and hides no route."""
    assert make(raw, name)
    assert raw.request("GET", f"/api/v1/models/{encoded(name)}").json["name"] == name
    assert raw.request("GET", f"{RPC}registered-models/get?name={encoded(name)}").status == 200
    assert raw.request("GET", "/api/v1/retired-models").status == 200
    assert raw.request("DELETE", f"/api/v1/models/{encoded(name)}").status == 204


@pytest.mark.parametrize("alias", VERSION_LIKE)
def test_PT_09_no_alias_passes_for_a_version(place: Place, raw: Raw, alias: str) -> None:
    """An alias that reads as a version number or as `latest` is refused on both faces."""
    fields = {"name": "victim", "alias": alias, "version": place.made["version"]}
    raw.json("POST", RPC + "registered-models/alias", fields).refused(400)
    raw.json("PUT", f"/api/v1/models/victim/aliases/{alias}", {"version": 1}).refused(400)


@pytest.mark.parametrize("name", FILE_NAMES)
def test_PT_11_a_files_name_cannot_write_headers(place: Place, raw: Raw, name: str) -> None:
    """The name of a download is quoted or encoded, so that it is one parameter of one header, in plain ASCII."""
    target = f"/api/2.0/mlflow-artifacts/artifacts/{place.spare['root']}/named/{encoded(name)}"
    assert raw.request("PUT", target, b"x").status == 200
    reply = raw.request("GET", target)
    assert ONE_PARAMETER.fullmatch(reply.headers["content-disposition"]), reply.headers


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[tuple[RunningServer, str, Path]]:
    """A server with one uploaded file, whose address and blob are given."""
    with RunningServer(tmp_path / "data") as server, Raw(server.port, server.token) as raw:
        run = raw.json("POST", RPC + "runs/create", {"experiment_id": "0", "start_time": 1}).json["run"]["info"]
        path = run["artifact_uri"].removeprefix("mlflow-artifacts:") + "/a.txt"
        target = f"/api/2.0/mlflow-artifacts/artifacts{path}"
        assert raw.request("PUT", target, b"genuine").status == 200
        (blob,) = (name for name in (tmp_path / "data" / "sha256").rglob("*") if name.is_file())
        yield server, target, blob


def test_PT_06_a_link_in_place_of_a_blob_is_not_followed(
    linked: tuple[RunningServer, str, Path], tmp_path: Path
) -> None:
    """A symbolic link planted where a blob was is refused as damage; what it points at is not served."""
    server, target, blob = linked
    secret = tmp_path / "secret"
    secret.write_bytes(CANARY[:7])
    blob.unlink()
    blob.symlink_to(secret)
    with Raw(server.port, server.token) as raw:
        reply = raw.request("GET", target)
    assert reply.status == 500
    assert reply.json["error_code"] == "DATA_LOSS"
    assert CANARY[:7] not in reply.body


def test_PT_06_a_link_in_place_of_a_folder_is_not_followed(
    linked: tuple[RunningServer, str, Path], tmp_path: Path
) -> None:
    """A symbolic link planted where a folder of blobs was leads neither reads nor writes out of the data folder."""
    server, target, blob = linked
    elsewhere = tmp_path / "elsewhere"
    blob.parent.rename(elsewhere)
    blob.parent.symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    with Raw(server.port, server.token) as raw:
        assert raw.request("GET", target).status in {500, 503}
        assert raw.request("PUT", target, b"genuine").status in {500, 503}
    assert sorted(elsewhere.iterdir()) == before


def test_OP_06_nobody_else_may_read_the_data_folder(linked: tuple[RunningServer, str, Path]) -> None:
    """Every folder the server made is closed to others (0700) and every file too (0600), whatever the umask."""
    server, _, _ = linked
    for path in [server.data, *server.data.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, (path, oct(path.stat().st_mode))
