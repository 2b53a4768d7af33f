"""Artifact paths, sources, locations, headers and manifest digests, as text."""

import hashlib
import os
import posixpath
import subprocess
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelkeep.artifacts import rules
from modelkeep.artifacts.rules import External, Local, LoggedModel, Run, Source, Stored, Version
from modelkeep.core import manifests, paths
from modelkeep.core.errors import InvalidInput
from security.hostile_paths import HOSTILE_PATHS, HOSTILE_SOURCES, PLAIN_PATHS

MODEL = "m-0123456789abcdef0123456789abcdef"
PIECES = st.sampled_from(
    [
        "..",
        ".",
        "/",
        "//",
        "\\",
        "%2e",
        "%2f",
        "%25",
        "%",
        "a",
        "b.txt",
        " ",
        ";",
        ":",
        "#",
        "?",
        "\x00",
        "é",
        "file:",
        "C:",
    ],
)
PATHS = st.text(max_size=40) | st.lists(PIECES, max_size=8).map("".join)
SCHEMES = st.sampled_from(
    ["", "file:", "FILE:", "s3:/", "http:", "mlflow-artifacts:", "runs:/", "models:/", "dbfs:", "//"]
)


def _parsed(raw: str) -> tuple[str, ...] | None:
    try:
        return paths.parse_path(raw)
    except InvalidInput:
        return None


def _source(uri: str) -> Source | None:
    try:
        return rules.parse_source(uri)
    except InvalidInput:
        return None


@pytest.mark.parametrize("raw", HOSTILE_PATHS, ids=ascii)
def test_hostile_path(raw: str) -> None:
    """A hostile spelling is refused, and the refusal repeats nothing that cannot be printed."""
    with pytest.raises(InvalidInput, match=r"\AInvalid path: ") as refusal:
        paths.parse_path(raw)
    assert refusal.value.message.isprintable()
    assert refusal.value.field == "path"
    assert len(refusal.value.message) < 2000


@pytest.mark.parametrize("raw", PLAIN_PATHS, ids=ascii)
def test_plain_path(raw: str) -> None:
    """An odd name that leads nowhere is kept exactly as given."""
    assert tuple(raw.split("/")) == paths.parse_path(raw)


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a/b/", ("a", "b")),
        ("a//b///c//", ("a", "b", "c")),
        ("model 1/My Model (v2) @ 50%+é=.bin", ("model 1", "My Model (v2) @ 50%+é=.bin")),
        ("a" * 255, ("a" * 255,)),
        ("é" * 127 + "/x", ("é" * 127, "x")),
        ("/".join(["a" * 127] * 32), ("a" * 127,) * 32),
    ],
)
def test_segments(raw: str, segments: tuple[str, ...]) -> None:
    """Doubled and trailing slashes do not count; everything else in an accepted path does."""
    assert segments == paths.parse_path(raw)


def test_decoding_depth() -> None:
    """Ten encodings of a harmless character are seen through, eleven are refused as a disguise."""
    ten, eleven = ("%" + "25" * (n - 1) + "41" for n in (10, 11))
    assert (ten,) == paths.parse_path(ten)
    assert _parsed(eleven) is None


@given(PATHS)
@example("a%2e/b")
@example("%41/%2541")
def test_idempotent(raw: str) -> None:
    """Parsing the joined segments gives the same segments."""
    segments = _parsed(raw)
    assert segments is None or segments == paths.parse_path("/".join(segments))


@given(PATHS)
@example("..%2f..%2fdata-evil")
@example("a/..%5c..")
def test_below_root(raw: str) -> None:
    """Joined to a root and decoded again as often as anyone likes, segments stay below it on both kinds of system."""
    joined = "/".join(_parsed(raw) or ("a",))
    for _ in range(12):
        spelled = joined.replace("\\", "/")
        inside = posixpath.normpath(posixpath.join("/data", spelled))
        assert inside.startswith("/data/")
        assert "\x00" not in joined
        joined = unquote(joined)


@given(PATHS)
def test_encoded_alike(raw: str) -> None:
    """What a path hides behind percent-encoding is judged as what it shows."""
    once = quote(raw.encode("utf-8", "surrogatepass"), safe="")
    if _parsed(raw) is None and "/" not in raw and once != raw and len(once) < 200:
        assert _parsed(once) is None


@pytest.mark.parametrize("uri", HOSTILE_SOURCES, ids=ascii)
def test_hostile_source(uri: str) -> None:
    """A hostile source is refused, or is called local, which nobody serves."""
    found = _source(uri)
    assert found is None or isinstance(found, Local)


@given(SCHEMES, PATHS)
def test_source_grammar(scheme: str, rest: str) -> None:
    """A source that names something in the store has clean segments, and only InvalidInput is ever raised."""
    match _source(scheme + rest):
        case Stored(segments) | Run(_, segments) | LoggedModel(_, segments) | Version(_, _, _, segments):
            assert segments == paths.parse_path("/".join(segments))
        case External(uri):
            assert not uri.lower().lstrip().startswith("file:")
            assert ".." not in unquote(uri).split("/")
        case _:
            pass


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mlflow-artifacts:/1/r/artifacts/model", Stored(("1", "r", "artifacts", "model"))),
        ("mlflow-artifacts:/", Stored(())),
        ("mlflow-artifacts:///1//r/", Stored(("1", "r"))),
        ("MLflow-Artifacts:/1/r", Stored(("1", "r"))),
        ("mlflow-artifacts://host:5000/1/r", Stored(("1", "r"), "host:5000")),
        ("mlflow-artifacts://[::1]:5000/1", Stored(("1",), "[::1]:5000")),
        ("mlflow-artifacts:/1/my%20model", Stored(("1", "my model"))),
        ("mlflow-artifacts:/1/....", Stored(("1", "...."))),
        ("models:/churn/3", Version("churn", "version", "3")),
        ("models:/churn/LATEST", Version("churn", "latest", "LATEST")),
        ("models:/churn/Production", Version("churn", "stage", "Production")),
        ("models:/churn@champion", Version("churn", "alias", "champion")),
        ("models:/a@b@c", Version("a@b", "alias", "c")),
        ("models:/a@b/3", Version("a@b", "version", "3")),
        ("models:/model%31/1", Version("model%31", "version", "1")),
        ("models:/churn/3/sub/dir", Version("churn", "version", "3", ("sub", "dir"))),
        ("models:/churn/٣", Version("churn", "stage", "٣")),
        (f"models:/{MODEL}", LoggedModel(MODEL)),
        (f"models:/{MODEL}/a/b", LoggedModel(MODEL, ("a", "b"))),
        ("runs:/abc123/model", Run("abc123", ("model",))),
        ("runs:/abc123", Run("abc123", ())),
        ("s3://bucket/a//b/", External("s3://bucket/a//b/")),
        ("s3://bucket/....", External("s3://bucket/....")),
        ("S3://bucket/a?versionId=1", External("S3://bucket/a?versionId=1")),
        ("https://host/a%20b#c", External("https://host/a%20b#c")),
        ("hf://org/model", External("hf://org/model")),
        ("dbfs:/models/a", External("dbfs:/models/a")),
        ("dummy-source", External("dummy-source")),
        ("prompt-template", External("prompt-template")),
        ("/tmp/model", Local("/tmp/model")),
        ("mlruns/0/model", Local("mlruns/0/model")),
        ("file:///tmp/model", Local("file:///tmp/model")),
    ],
)
def test_source_kinds(uri: str, expected: Source) -> None:
    """Each accepted spelling of a source is told for what it is."""
    assert expected == rules.parse_source(uri)


def test_source_refusal_text() -> None:
    """A relative reference in a source is refused in the words that clients know."""
    expected = (
        "Invalid model version source: 's3://b/../c'. If supplying a source as an http, https, local file path, ftp, "
        "objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references "
        "present. Please provide an absolute path."
    )
    with pytest.raises(InvalidInput) as refusal:
        rules.parse_source("s3://b/../c")
    assert refusal.value.message == expected


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"prompt": True}, "Invalid prompt source: '/x'. Local source paths are not allowed for prompts."),
        ({}, "'/x'. To use a local path as a model version source, the run_id request parameter has to be specified"),
        ({}, "within the artifact directory of the run specified by the run_id."),
        ({"model_id": True}, "the model_id request parameter has to be specified and the local path has to be"),
        ({"model_id": True}, "within the artifact directory of the model specified by the model_id."),
    ],
)
def test_local_refusal(options: dict[str, bool], text: str) -> None:
    """A local source is refused in the words for prompts, runs or logged models."""
    assert text in rules.local_refusal("/x", **options).message


@pytest.mark.parametrize(
    "uri",
    [
        "s3://b/p",
        "s3://b/p?x=y",
        "mlflow-artifacts:/1",
        "/data/mlruns",
        "file:///data",
        "mlruns",
        "hdfs://nn/a b",
        "dbfs:/a",
    ],
)
def test_location_accepted(uri: str) -> None:
    """A location that says where it leads is accepted, as data."""
    rules.check_artifact_location(uri)
    assert rules.append_to_uri(uri, "RUN") != uri


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("http:///#/../../etc", "'artifact_location' URL can't include fragments or params."),
        ("s3://b/p#f", "'artifact_location' URL can't include fragments or params."),
        ("s3://b/p;x", "'artifact_location' URL can't include fragments or params."),
        ("s3://b/p%3bx", "'artifact_location' URL can't include fragments or params."),
        ("mlflow-artifacts://host/..;/../etc", "'artifact_location' URL can't include fragments or params."),
        ("http://x?/../../etc", "Invalid query string"),
        ("http://x?a=%252e%252e/b", "Invalid query string"),
        ("runs:/abc/a", "runs:/"),
        ("RUNS:/abc/a", "runs:/"),
        ("%72uns:/abc/a", "runs:/"),
        ("s3://b/" + "a" * 2042, "2048"),
        ("s3://b/../c", "relative path references"),
        ("dbfs:/../../etc", "relative path references"),
        ("mlflow-artifacts:/%2e%2e/etc", "relative path references"),
        ("file:///a/..%5cb", "relative path references"),
        ("../a", "relative path references"),
        ("fi%6ce:///etc", "relative path references"),
        (" s3://b", "Invalid artifact_location"),
        ("s3://b/\x00", "Invalid artifact_location"),
        ("", "Invalid artifact_location"),
    ],
)
def test_location_refused(uri: str, text: str) -> None:
    """A location that could lead elsewhere than it says is refused, and the reason names its field."""
    with pytest.raises(InvalidInput) as refusal:
        rules.check_artifact_location(uri)
    assert text in refusal.value.message
    assert refusal.value.field == "artifact_location"


@pytest.mark.parametrize(
    ("uri", "segments", "expected"),
    [
        ("s3://b/p?x=y", ("RUN", "artifacts"), "s3://b/p/RUN/artifacts?x=y"),
        ("s3://b/p/?x=y#z", ("RUN",), "s3://b/p/RUN?x=y#z"),
        ("s3://b/p//", ("RUN",), "s3://b/p/RUN"),
        ("s3://b", ("RUN",), "s3://b/RUN"),
        ("mlflow-artifacts:/", ("1",), "mlflow-artifacts:/1"),
        ("mlflow-artifacts:/1", ("r", "artifacts"), "mlflow-artifacts:/1/r/artifacts"),
        ("file:///", ("a",), "file:///a"),
        ("/", ("a",), "/a"),
        ("", ("a", "b"), "a/b"),
        ("s3://b/p", ("/a/", "", "b"), "s3://b/p/a/b"),
        ("s3://b/p/", (), "s3://b/p/"),
    ],
)
def test_append(uri: str, segments: tuple[str, ...], expected: str) -> None:
    """Segments join the path with one slash between, and a query stays at the end."""
    assert expected == rules.append_to_uri(uri, *segments)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("MLmodel", "text/plain"),
        ("MLproject", "text/plain"),
        ("conda.yaml", "text/plain"),
        ("python_env.YML", "text/plain"),
        ("requirements.txt", "text/plain"),
        ("a/b/train.log", "text/plain"),
        ("metrics.json", "text/plain"),
        ("plot.png", "image/png"),
        ("model.pkl", "application/octet-stream"),
        ("weights", "application/octet-stream"),
        ("a.tar.gz", "application/gzip"),
        ("", "application/octet-stream"),
        ("page.html", "text/plain"),
        ("drawing.SVG", "text/plain"),
        ("x.xhtml", "text/plain"),
    ],
)
def test_content_type(filename: str, expected: str) -> None:
    """Text is served as text, pages and drawings too, and what is unknown as bytes."""
    assert expected == rules.content_type(filename)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("model.pkl", "attachment; filename=model.pkl"),
        ("a/b/model.pkl", "attachment; filename=model.pkl"),
        ("../x", "attachment; filename=x"),
        ("..\\x", "attachment; filename=x"),
        ("", "attachment"),
        ("my model.pkl", "attachment; filename=\"my model.pkl\"; filename*=UTF-8''my%20model.pkl"),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("a%41", "attachment; filename=\"a_41\"; filename*=UTF-8''a%2541"),
        ("é.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
        ("a\r\nX: y", "attachment; filename=\"a__X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y"),
        ("a;b'c", "attachment; filename=\"a;b'c\"; filename*=UTF-8''a%3Bb%27c"),
    ],
)
def test_content_disposition(filename: str, expected: str) -> None:
    """A browser is told to save the file, by a name that can end neither the value nor the header."""
    assert expected == rules.content_disposition(filename)


@given(st.text(max_size=60))
def test_content_disposition_is_one_value(filename: str) -> None:
    """Whatever the name, the value is printable ASCII with its quotes in a pair."""
    value = rules.content_disposition(filename)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') in (0, 2)
    assert "\\" not in value


FILES = [("b/é x.bin", b"one"), ("b.txt", b""), ("a", b"three" * 1000), ("B", b"two"), ("😀", b"4"), ("\uff5e", b"5")]


def _manifest(files: list[tuple[str, bytes]]) -> list[tuple[str, int, str]]:
    return [(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files]


def test_manifest_order() -> None:
    """The digest does not depend on the order in which files are named, and no files have the digest of no bytes."""
    assert manifests.manifest_digest(_manifest(FILES)) == manifests.manifest_digest(_manifest(FILES[::-1]))
    assert "sha256:" + hashlib.sha256(b"").hexdigest() == manifests.manifest_digest([])


def test_manifest_recomputed_in_a_shell(tmp_path: Path) -> None:
    """The commands in the docstring print the same digest for a folder with the same files."""
    for path, data in FILES:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    doc = manifests.manifest_digest.__doc__ or ""
    script = doc[doc.index("find . ") :]
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert manifests.manifest_digest(_manifest(FILES)) == "sha256:" + done.stdout.split()[0]


@pytest.mark.parametrize(
    "changed",
    [
        [("a", 1, "0" * 64), ("a", 1, "1" * 64)],
        [("../a", 1, "0" * 64)],
        [("a//b", 1, "0" * 64)],
        [("a\nb", 1, "0" * 64)],
        [("", 1, "0" * 64)],
        [("a", -1, "0" * 64)],
        [("a", 1, "A" * 64)],
        [("a", 1, "0" * 63)],
        [("a", 1, "0" * 64 + "\n")],
    ],
)
def test_manifest_refuses(changed: list[tuple[str, int, str]]) -> None:
    """A manifest with a file twice, a path that is not canonical, or no true size or digest has no digest."""
    with pytest.raises(InvalidInput):
        manifests.manifest_digest(changed)


@given(st.permutations(_manifest(FILES)), st.integers(0, len(FILES) - 1), st.sampled_from(["path", "size", "sha256"]))
def test_manifest_binds(files: list[tuple[str, int, str]], at: int, what: str) -> None:
    """Another path, size or content of any one file is another digest."""
    path, size, sha256 = files[at]
    other = {"path": (path + "x", size, sha256), "size": (path, size + 1, sha256), "sha256": (path, size, "0" * 64)}[
        what
    ]
    changed = [*files[:at], other, *files[at + 1 :]]
    assert manifests.manifest_digest(files) != manifests.manifest_digest(changed)
