"""Hostile URIs as sources and locations: refused, or kept as text that the server never opens (PT-02, PT-03).

Held here: CVE-2023-1177, CVE-2023-2780, CVE-2024-1483, CVE-2024-2928, CVE-2024-3848, CVE-2024-8859, CVE-2025-11201 and
CVE-2026-2614, and the requests that a server can be made to send (GHSA-vf52-gj9c-hw99).
"""

from collections.abc import Iterator
from typing import Any

import pytest

from security.conftest import CANARY, PROXY, Place
from security.hostile_paths import HOSTILE_SOURCES
from security.raw import Raw

INTERNAL = [
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:1/x",
    "http://localhost/x",
    "https://[::1]/x",
    "ftp://127.0.0.1/x",
    "s3://bucket/model",
    "gs://bucket/model",
    "hdfs://127.0.0.1/x",
    "dbfs:/model",
    "mlflow-artifacts://127.0.0.1:1/1/x",
]
SOURCES = [*HOSTILE_SOURCES, *INTERNAL]
PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
VERSIONS, READING = "/api/2.0/mlflow/model-versions/", "/model-versions/get-artifact"


@pytest.fixture(autouse=True)
def unharmed(place: Place) -> Iterator[None]:
    """No file and no address outside was opened, and every uploaded file is as it was."""
    before = place.unharmed()
    yield
    assert place.unharmed() == before


def register(raw: Raw, source: str, **fields: Any) -> str | None:
    """The number of a version of this source; None if the source was refused, as it should be."""
    reply = raw.json("POST", VERSIONS + "create", {"name": "spare", "source": source, **fields})
    if reply.status == 200:
        return str(reply.json["model_version"]["version"])
    assert reply.status in {400, 404}, (source, reply)
    reply.problem()
    return None


def try_to_read(raw: Raw, version: str, source: str) -> None:
    """The version says where its files are and serves none of them."""
    found = raw.request("GET", f"{VERSIONS}get-download-uri?name=spare&version={version}")
    assert found.json["artifact_uri"] == source
    for path in ("passwd", "canary.txt", "MLmodel", "etc/passwd"):
        reply = raw.request("GET", f"{READING}?name=spare&version={version}&path={path}")
        assert reply.status in {400, 404, 409}, (source, reply)
        assert CANARY not in reply.body


@pytest.mark.parametrize("tags", [[], PROMPT], ids=["model", "prompt"])
def test_PT_03_a_source_is_refused_or_never_opened(raw: Raw, tags: list[dict[str, str]]) -> None:
    """A source is refused or recorded as it is, whatever a tag says (CVE-2026-2614), and reading it opens nothing."""
    for source in SOURCES:
        number = register(raw, source, tags=tags)
        if number is not None:
            try_to_read(raw, number, source)


def test_PT_03_local_sources_are_refused(raw: Raw) -> None:
    """Nothing that names a file of the server's machine becomes a version (CVE-2023-1177)."""
    named_local = [
        source for source in HOSTILE_SOURCES if source.lower().strip().startswith(("file:", "/", "\\", "c:"))
    ]
    assert len(named_local) > 20
    for source in named_local:
        assert register(raw, source) is None, source


def test_PT_02_a_location_is_refused_or_never_opened(raw: Raw) -> None:
    """An experiment's location is refused or only recorded: no file of its runs is read, listed or written there."""
    for number, location in enumerate(SOURCES):
        fields = {"name": f"located-{number}", "artifact_location": location}
        reply = raw.json("POST", "/api/2.0/mlflow/experiments/create", fields)
        if reply.status != 200:
            reply.refused(400)
            continue
        use_location(raw, reply.json["experiment_id"])


def use_location(raw: Raw, experiment_id: str) -> None:
    """Try everything that could open the location of an experiment."""
    run = raw.json("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": experiment_id, "start_time": 1}).json
    run_id, uri = run["run"]["info"]["run_id"], run["run"]["info"]["artifact_uri"]
    for target in (f"/get-artifact?run_id={run_id}&path=canary.txt", f"/get-artifact?run_id={run_id}&path=passwd"):
        reply = raw.request("GET", target)
        assert reply.status in {400, 404}, (uri, reply)
    listed = raw.request("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run_id}")
    assert listed.status in {200, 400}, (uri, listed)
    assert not (listed.status == 200 and listed.json.get("files")), (uri, listed)
    written = raw.request("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=x", b"planted")
    assert written.status < 500, (uri, written)


def test_PT_02_hostile_links_are_only_text(place: Place, raw: Raw) -> None:
    """A run link is kept as the text that it is, or refused, and never followed."""
    source = f"mlflow-artifacts:/{place.made['root']}/model"
    for link in [*INTERNAL, "javascript:alert(1)", "file:///etc/passwd"]:
        number = register(raw, source, run_link=link)
        if number is not None:
            found = raw.request("GET", f"{VERSIONS}get?name=spare&version={number}").json["model_version"]
            assert found["run_link"] == link


def test_CVE_2024_3848_a_fragment_cannot_lead_out(raw: Raw) -> None:
    """A location in our own namespace with a fragment, a query or parameters is refused."""
    for tail in ("#/../../../../etc/", "?/../../../../etc", ";/../../etc", "%23/../etc"):
        fields = {"name": f"fragment-{tail}", "artifact_location": f"mlflow-artifacts:/0/x{tail}"}
        raw.json("POST", "/api/2.0/mlflow/experiments/create", fields).refused(400)


def test_locations_cannot_overlap_those_of_others(place: Place, raw: Raw) -> None:
    """A location inside another experiment's files gives no way to write among those files (CVE-2024-1560)."""
    root = place.made["root"]
    for location in (f"mlflow-artifacts:/{root}", f"mlflow-artifacts:/{root.partition('/')[0]}", "mlflow-artifacts:/"):
        fields = {"name": f"overlap {location}", "artifact_location": location}
        reply = raw.json("POST", "/api/2.0/mlflow/experiments/create", fields)
        assert reply.status in {200, 400}, reply
    assert raw.request("GET", f"{PROXY}{root}/a.txt").body == place.files[f"{root}/a.txt"]


def test_the_watch_sees_what_the_server_does(place: Place) -> None:
    """The log that the other tests rely on holds the server's own calls, so that silence means that there were none."""
    seen = place.watch_log.read_text()
    assert f"sqlite3.connect\t'{place.server.data}/modelkeep.db'" in seen
    assert "os.link" in seen
