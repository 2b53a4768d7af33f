"""Hostile paths against every route that takes a path or a name (PT-01, PT-10, PT-13).

Held here: CVE-2023-30172, CVE-2023-6909, CVE-2024-1560, CVE-2024-1593, CVE-2024-7340 and the deletion of a root folder.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from security.conftest import CANARY, CONTENT, PROXY, Place
from security.hostile_paths import HOSTILE_PATHS, PLAIN_PATHS
from security.raw import Raw, Reply
from security.table import ROUTES, Route, encoded

METHODS = ["GET", "HEAD", "PUT", "DELETE"]
FAMILIES = ["artifacts", "mpu/create", "mpu/complete", "mpu/abort", "presigned"]
IN_PATH = [route for route in ROUTES if route.in_path and "mlflow-artifacts" not in route.path]
IN_FIELDS = [route for route in ROUTES if route.texts]
ONCE = [route for route in IN_FIELDS if route.method != "HEAD" and not route.path.startswith("/ajax-api/2.0/mlflow/")]
# What no request line can hold: sent as it is, it would be another request.
UNSENDABLE = {*b" \t\r\n\0"}
SECRET_FILES = [
    "modelkeep.db",
    "modelkeep.db-wal",
    "modelkeep.db-shm",
    "modelkeep.db.lock",
    "staging",
    "sha256",
    "canary.txt",
]
SOME_HOSTILE = HOSTILE_PATHS[::15]

OWN_FILE_FIELDS = [
    ("/get-artifact", "run_id", "path"),
    ("/get-artifact", "run_uuid", "path"),
    ("/model-versions/get-artifact", "name,version", "path"),
    ("/api/2.0/mlflow/artifacts/list", "run_id", "path"),
    ("/ajax-api/2.0/mlflow-artifacts/artifacts", "", "path"),
    ("/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", "", "artifact_file_path"),
    ("/api/2.0/mlflow/logged-models/{model_id}/artifacts/directories", "", "artifact_directory_path"),
]


@pytest.fixture(autouse=True)
def unharmed(place: Place) -> Iterator[None]:
    """Whatever was sent, no file was read, made, changed or removed outside, and every uploaded file is as it was."""
    before = place.unharmed()
    yield
    assert place.unharmed() == before


def check_harmless(reply: Reply, sent: object) -> None:
    """The answer is no error of ours, gives nothing away, and if it is a success it shows uploads and names only."""
    assert reply.status < 500 or reply.status == 501, (sent, reply)
    assert CANARY not in reply.body, sent
    assert b"root:" not in reply.body, sent
    if reply.status < 300 and reply.body and not reply.body.startswith(CONTENT):
        json.loads(reply.body)


def spellings(text: str) -> dict[str, bytes]:
    """A text as it may stand in a request line: as it is if that is possible, and percent-encoded twice."""
    raw = text.encode(errors="surrogatepass")
    twice = {"twice": encoded(encoded(text)).encode()}
    return twice if not raw or UNSENDABLE & {*raw} else twice | {"raw": raw}


@pytest.mark.parametrize("prefix", ["api", "ajax-api"])
@pytest.mark.parametrize("method", METHODS)
def test_PT_01_no_hostile_path_names_an_artifact(raw: Raw, method: str, prefix: str) -> None:
    """Every hostile path, percent-encoded once, is refused as invalid by the artifact proxy whatever the method."""
    body = b"planted" if method == "PUT" else b""
    for path in HOSTILE_PATHS:
        target = f"/{prefix}/2.0/mlflow-artifacts/artifacts/{encoded(path)}"
        reply = raw.request(method, target, body)
        assert reply.status == 400, (path, reply)


@pytest.mark.parametrize("method", METHODS)
def test_PT_01_no_other_spelling_helps(place: Place, raw: Raw, method: str) -> None:
    """Unencoded or encoded twice, below the root or below a run's files, a hostile path reaches nothing of others."""
    body = b"planted" if method == "PUT" else b""
    below = f"{place.made['root']}/no-such-folder/"
    for path in HOSTILE_PATHS:
        for spelled in spellings(path).values():
            check_harmless(raw.request(method, PROXY.encode() + spelled, body), path)
            if method != "DELETE":
                check_harmless(raw.request(method, f"{PROXY}{below}".encode() + spelled), path)


@pytest.mark.parametrize("family", FAMILIES)
def test_PT_10_every_family_of_routes_refuses_alike(raw: Raw, family: str) -> None:
    """The routes for uploads in parts and for links hand nothing out for a hostile path, under both prefixes."""
    method = "POST" if family.startswith("mpu") else "GET"
    for path in SOME_HOSTILE:
        for prefix in ("api", "ajax-api"):
            reply = raw.json(method, f"/{prefix}/2.0/mlflow-artifacts/{family}/{encoded(path)}", {})
            assert reply.status in {400, 501}, (path, reply)


@pytest.mark.parametrize(("route", "owners", "field"), OWN_FILE_FIELDS)
def test_PT_01_no_hostile_path_names_a_file_of_a_run_model_or_version(
    place: Place, raw: Raw, route: str, owners: str, field: str
) -> None:
    """A hostile path in the query is refused as invalid, CVE-2023-30172 among them."""
    named = "".join(f"{owner}={place.made[owner]}&" for owner in owners.split(",") if owner)
    target = route.replace("{model_id}", place.made["model_id"])
    for path in HOSTILE_PATHS:
        reply = raw.request("GET", f"{target}?{named}{field}={encoded(path)}")
        assert reply.status == 400, (path, reply)


def test_PT_01_no_hostile_path_takes_an_upload_to_a_run(place: Place, raw: Raw) -> None:
    """The small upload of pages refuses every hostile path."""
    for path in HOSTILE_PATHS:
        target = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={place.made['run_id']}&path={encoded(path)}"
        reply = raw.request("POST", target, b"planted")
        assert reply.status == 400, (path, reply)


@pytest.mark.parametrize("field", sorted({name for route in IN_PATH for name in route.in_path}))
def test_PT_01_hostile_names_in_addresses_do_no_harm(place: Place, raw: Raw, field: str) -> None:
    """Every hostile text in place of every field of an address is refused, or taken for a name that nothing has."""
    for route in IN_PATH:
        if field in route.in_path and not route.path.startswith("/ajax-api"):
            for text in SOME_HOSTILE:
                method, target, body = route.call(place.spare | {field: text})
                check_harmless(raw.json(method, target, body), (str(route), text))


def hostile_calls(route: Route, values: dict[str, str], texts: list[str]) -> Iterator[tuple[str, str, bytes]]:
    """The route's calls with each text in each of its fields in turn, and good values in the others."""
    for field in route.texts:
        for text in texts:
            value: Any = [text] if "list" in str(route.fields[field]) else text
            yield route.call(values | {field: value})


def attack_fields(place: Place, attacked: list[Route], texts: list[str]) -> None:
    """Send the texts to every field of query and body of these routes."""
    with place.raw as raw:
        for route in attacked:
            for method, target, body in hostile_calls(route, place.spare, texts):
                check_harmless(raw.json(method, target, body), (str(route), target[:200], body[:200]))


def test_PT_01_hostile_names_in_fields_do_no_harm(place: Place) -> None:
    """Hostile texts in every text field of every operation are refused or kept as the texts that they are."""
    attack_fields(place, ONCE, SOME_HOSTILE[::2])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_PT_01_the_whole_table_in_every_field_does_no_harm(place: Place) -> None:
    """All hostile texts in every text field of every operation are refused or kept as the texts that they are."""
    attack_fields(place, [route for route in IN_FIELDS if route.method != "HEAD"], HOSTILE_PATHS)


@pytest.mark.slow
@pytest.mark.parametrize("field", sorted({name for route in IN_PATH for name in route.in_path}))
def test_PT_01_the_whole_table_in_every_address_does_no_harm(place: Place, raw: Raw, field: str) -> None:
    """All hostile texts in every field of every address, in each spelling and under both prefixes, reach nothing."""
    for route in (one for one in IN_PATH if field in one.in_path):
        for text in HOSTILE_PATHS:
            filled = {name: quote(place.spare.get(name, "x"), safe="") for name in route.in_path}
            for spelled in [encoded(text).encode(), *spellings(text).values()]:
                before, after = route.target(filled | {field: "\0"}, spelled=True).split("\0")
                target = before.encode() + spelled + after.encode()
                check_harmless(raw.json(route.method, target, b"{}"), (str(route), text))


def test_PT_13_the_servers_own_files_are_no_artifacts(place: Place, raw: Raw) -> None:
    """The database, its log, its lock, uploads in progress and blobs cannot be fetched or replaced (CVE-2024-7340)."""
    stored = [name.name for name in (place.server.data).iterdir()]
    for name in {*SECRET_FILES, *stored, f"../{place.server.data.name}/modelkeep.db", str(place.server.data)}:
        for target in (PROXY + encoded(name), PROXY + quote(name), f"{PROXY}{place.made['root']}/{encoded(name)}"):
            assert raw.request("GET", target).status in {400, 404}, name
            assert raw.request("HEAD", target).status in {400, 404}, name
        for method in ("PUT", "DELETE"):
            check_harmless(raw.request(method, PROXY + encoded(name), b"planted"), name)


def test_PT_01_odd_names_are_kept_as_they_are(place: Place, raw: Raw) -> None:
    """Names that only look dangerous are stored and served under exactly that name, and touch nothing else."""
    root = f"{PROXY}{place.spare['root']}/odd/"
    for number, name in enumerate(PLAIN_PATHS):
        content = b"odd %d" % number
        assert raw.request("PUT", f"{root}{number}/{encoded(name)}", content).status == 200, name
        assert raw.request("GET", f"{root}{number}/{encoded(name)}").body == content, name


@pytest.mark.parametrize("path", ["", ".", "%2e", "./.", ".//", "/", "%2f", "..", "*", "%2a"])
def test_the_root_of_everything_cannot_be_deleted(raw: Raw, path: str) -> None:
    """Deleting a path that names no owned folder removes nothing, least of all every run's files."""
    check_harmless(raw.request("DELETE", PROXY + path), path)
    check_harmless(raw.request("DELETE", PROXY.rstrip("/") + path), path)
