"""What artifact paths, sources and manifests mean, decided on text alone.

A client's text is parsed here once, into segments or into one of the source kinds. Segments are names in database rows
and are never joined to a path of the operating system.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

from modelkeep.core.errors import InvalidInput
from modelkeep.core.paths import UNSHOWABLE, PathFault, decodings, shown, split_path

MAX_URI_CHARS = 4096
MAX_LOCATION_CHARS = 2048

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_RELATIVE = re.compile(r"(?:\A|[/\\?#;&=:])\s*\.\.?\s*(?=\Z|[/\\?#;&=])")
_HOST = re.compile(r"[A-Za-z0-9._~:\[\]-]*")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Stored:
    """`mlflow-artifacts:/a/b`: files in this store. `host` is what stood between `//` and the path, if anything did."""

    segments: tuple[str, ...]
    host: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """`models:/NAME/3`, `/latest`, `/STAGE`, or `models:/NAME@ALIAS`: a registered version, still to be looked up."""

    name: str
    by: Literal["version", "latest", "stage", "alias"]
    value: str
    subpath: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """`models:/m-<32 hex>[/sub]`: a logged model, still to be looked up."""

    model_id: str
    subpath: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """`runs:/<id>/path`: files of a run, still to be looked up."""

    run_id: str
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class External:
    """A place the store does not hold, or an opaque word. It is kept as data and never opened."""

    uri: str


@dataclass(frozen=True, slots=True)
class Local:
    """A path or `file:` URI on somebody's disk. The server serves none of them: callers refuse with `local_refusal`."""

    uri: str


Source = Stored | Version | LoggedModel | Run | External | Local


def parse_source(uri: str) -> Source:
    """What a model version's source or an artifact URI points at. Raises InvalidInput.

    Refused in every spelling that percent-decoding can reach: relative references (`.`, `..`) in the path, parameters,
    query or fragment; control characters; backslashes after a scheme; blanks around it. Nothing here opens or resolves
    anything: `Local` and `External` are data, the rest names rows that the caller must look up and authorize.
    """
    try:
        return _source(uri)
    except PathFault:
        raise InvalidInput(_source_message(uri), "source") from None


def _source(uri: str) -> Source:
    plain = _fully_decoded(uri)
    scheme, rest = _scheme(uri)
    if scheme != _scheme(plain)[0]:
        raise PathFault("its scheme is percent-encoded")
    if scheme == "file" or len(scheme) == 1 or (not scheme and _is_local(plain)):
        return Local(uri)
    if _RELATIVE.search(plain) or "\\" in plain:
        raise PathFault("it holds a relative reference")
    if not scheme:
        return External(uri)
    host, path = _host_and_path(rest)
    return _of_scheme(scheme, host, path, uri)


def _of_scheme(scheme: str, host: str, path: str, uri: str) -> Source:
    if scheme == "mlflow-artifacts":
        if not path or not _HOST.fullmatch(host):
            raise PathFault("it has no absolute path")
        return Stored(_decoded_segments(path), host)
    if scheme not in ("models", "runs"):
        return External(uri)
    if host:
        raise PathFault("it names a host")
    return _version_or_model(path) if scheme == "models" else _run(path)


def _fully_decoded(uri: str) -> str:
    if not uri or uri != uri.strip() or len(uri) > MAX_URI_CHARS or UNSHOWABLE.search(uri):
        raise PathFault("it is empty, too long, or holds characters that cannot be shown")
    *_, plain = decodings(uri)
    if plain != plain.strip() or UNSHOWABLE.search(plain):
        raise PathFault("it holds characters that cannot be shown")
    return plain


def _scheme(uri: str) -> tuple[str, str]:
    match = _URI.fullmatch(uri)
    return (match[1].lower(), match[2]) if match else ("", uri)


def _is_local(plain: str) -> bool:
    return "/" in plain or "\\" in plain or plain in (".", "..") or plain.startswith("~")


def _host_and_path(rest: str) -> tuple[str, str]:
    if not rest.startswith("/"):
        raise PathFault("its path is not absolute")
    if not rest.startswith("//"):
        return "", rest
    host, slash, path = rest[2:].partition("/")
    return host, slash + path


def _decoded_segments(path: str) -> tuple[str, ...]:
    # The client puts this text into a request line, where it is decoded once: both ways must name the same file.
    try:
        return split_path(unquote(path.strip("/"), errors="strict"))
    except UnicodeDecodeError:
        raise PathFault("it holds percent-encoded bytes that are not UTF-8") from None


def _run(path: str) -> Run:
    run_id, *segments = _decoded_segments(path) or ("",)
    if not _RUN_ID.fullmatch(run_id):
        raise PathFault("it has no run id")
    return Run(run_id, tuple(segments))


def _version_or_model(path: str) -> Version | LoggedModel:
    # Registered names are not percent-encoded in these URIs: `model%31` is another name than `model1`.
    head, _, tail = path.strip("/").partition("/")
    if _MODEL_ID.fullmatch(head):
        return LoggedModel(head, _decoded_segments(tail))
    if not tail:
        name, _, alias = head.rpartition("@")
        return _named(Version(name, "alias", alias))
    value, _, subpath = tail.lstrip("/").partition("/")
    by: Literal["version", "latest", "stage"] = "stage"
    if value.isascii() and value.isdecimal():
        by = "version"
    elif value.lower() == "latest":
        by = "latest"
    return _named(Version(head, by, value, _decoded_segments(subpath)))


def _named(version: Version) -> Version:
    if not version.name.strip() or not version.value.strip():
        raise PathFault("it has no model name, or no version, stage or alias")
    return version


def _source_message(uri: str) -> str:
    return (
        f"Invalid model version source: '{shown(uri)}'. If supplying a source as an http, https, local file path, ftp, "
        "objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references "
        "present. Please provide an absolute path."
    )


def local_refusal(uri: str, *, prompt: bool = False, model_id: bool = False) -> InvalidInput:
    """The refusal of a `Local` source, in the words for a prompt, a logged model's source, or a run's."""
    if prompt:
        text = f"Invalid prompt source: '{shown(uri)}'. Local source paths are not allowed for prompts."
        return InvalidInput(text, "source")
    key, owner = ("model_id", "model") if model_id else ("run_id", "run")
    return InvalidInput(
        f"Invalid model version source: '{shown(uri)}'. To use a local path as a model version source, the {key} "
        "request parameter has to be specified and the local path has to be contained within the artifact directory "
        f"of the {owner} specified by the {key}.",
        "source",
    )


def check_artifact_location(uri: str) -> None:
    """Refuse an experiment's artifact location that could lead elsewhere than it says. Raises InvalidInput.

    A location is data: it is stored and handed to clients, and the server opens none but its own.
    """
    if len(uri) > MAX_LOCATION_CHARS:
        raise _bad_location(f"'artifact_location' exceeds the maximum length of {MAX_LOCATION_CHARS} characters")
    try:
        plain = _fully_decoded(uri)
    except PathFault as fault:
        raise _bad_location(f"Invalid artifact_location: '{shown(uri)}' ({fault})") from None
    path, _, query = plain.partition("?")
    if "#" in plain or ";" in path:
        raise _bad_location("'artifact_location' URL can't include fragments or params.")
    if ".." in query:
        raise _bad_location("Invalid query string")
    if _scheme(plain)[0] == "runs":
        raise _bad_location(f"Invalid artifact_location: '{shown(uri)}'. It cannot be a runs:/ URI.")
    if _RELATIVE.search(path) or _scheme(plain)[0] != _scheme(uri)[0]:
        raise _bad_location(f"Invalid artifact_location: '{shown(uri)}'. It cannot hold relative path references.")


def _bad_location(message: str) -> InvalidInput:
    return InvalidInput(message, "artifact_location")


def append_to_uri(uri: str, *segments: str) -> str:
    """The URI with segments added to its path; a query or fragment stays at the end: `s3://b/p?x=y` + R -> `s3://b/p/R?x=y`."""
    cut = next((i for i, c in enumerate(uri) if c in "?#"), len(uri))
    path, tail = uri[:cut], uri[cut:]
    added = [part for part in (segment.strip("/") for segment in segments) if part]
    if not added:
        return uri
    stem = path.rstrip("/")
    if stem.endswith(":") and path[len(stem) :].startswith("//"):
        stem += "//"
    joined = "/".join([stem, *added]) if path else "/".join(added)
    return joined + tail


_TEXT_NAMES = frozenset({"MLmodel", "MLproject", "Dockerfile", "LICENSE", "README"})
# Pages and drawings are here too: what a client uploaded must not run as a page of this server.
_TEXT_SUFFIX = re.compile(
    "bash|cf|cfg|cnf|conf|css|csv|err|hocon|html?|ini|ipynb|jsonl?|lock|log|m?js|markdown|md|prop(erties)?|py3?|r|rst|sh|sql|"
    "svg|toml|tsv|txt|x?html|xml|ya?ml",
)
_BINARY_SUFFIXES = {
    "bmp": "image/bmp",
    "gif": "image/gif",
    "gz": "application/gzip",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "png": "image/png",
    "tar": "application/x-tar",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "wav": "audio/wav",
    "webp": "image/webp",
    "zip": "application/zip",
}


def content_type(filename: str) -> str:
    """The media type to serve a file as, by its name; never one that a browser would run."""
    name = filename.rpartition("/")[2]
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    if name in _TEXT_NAMES or _TEXT_SUFFIX.fullmatch(suffix):
        return "text/plain"
    return _BINARY_SUFFIXES.get(suffix, "application/octet-stream")


def content_disposition(filename: str) -> str:
    """The header value that makes a browser save the file (RFC 6266, RFC 8187), whatever the name holds."""
    name = re.split(r"[/\\]", filename)[-1]
    if re.fullmatch(r"[A-Za-z0-9!$&+.^_`|~-]+", name):
        return f"attachment; filename={name}"
    if not name:
        return "attachment"
    plain = re.sub(r"[^ !#$&'()+,.0-9:;<=>@A-Z\[\]^_`a-z{|}~-]", "_", name)
    encoded = quote(name.encode("utf-8", "replace"), safe="!#$&+.^_`|~-")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
