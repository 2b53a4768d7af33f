"""What artifact paths, sources and manifests mean, decided on text alone.

A client's text is parsed here once, into segments or into one of the source kinds. Segments are names in database rows
and are never joined to a path of the operating system.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, unquote_to_bytes

from modelkeep.core.errors import InvalidInput

MAX_PATH_BYTES = 4096
MAX_SEGMENT_BYTES = 255
MAX_URI_CHARS = 4096
MAX_LOCATION_CHARS = 2048
MAX_DECODINGS = 10

# Control characters, line separators, lone surrogates, and the invisible ones that make two names look alike.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]",
)
_SEPARATOR = re.compile(r"[/\\#?]")
# A drive (`C:x`), a file URI, or the scheme of any other URI (`s3:` before a slash).
_SCHEME_NAME = re.compile(r"[A-Za-z]:|[Ff][Ii][Ll][Ee]:|[A-Za-z][A-Za-z0-9+.:-]*:\Z")
# UTF-8 spells each character in one way; the longer spellings of `.` and `/` exist to slip past filters.
_OVERLONG = re.compile(rb"[\xc0\xc1]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]")
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_RELATIVE = re.compile(r"(?:\A|[/\\?#;&=:])\s*\.\.?\s*(?=\Z|[/\\?#;&=])")
_HOST = re.compile(r"[A-Za-z0-9._~:\[\]-]*")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _FaultError(Exception):
    """Why a text is refused; the public functions turn it into the message of their field."""


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


def parse_path(raw: str) -> tuple[str, ...]:
    """The segments of a client's artifact path, percent-decoded once before; `()` is the root. Raises InvalidInput.

    Accepted: any name of at most 255 bytes, 4096 in all: blanks, `@ + = ( ) % ; : * ~`, any script, a trailing blank or
    dot, `CON`, both forms of `é`. Names are compared byte for byte; doubled and trailing slashes do not count.
    Refused: a leading `/`; `\\ # ?`; a blank name, `.` and `..`, also with blanks or `;params` around; a drive or
    scheme (`C:x`, `file:x`, `s3://`); control, bidirectional and zero-width characters; lone surrogates; and a `%` that
    becomes any of these, or a slash, when decoded again, up to ten times.
    """
    try:
        return _split(raw)
    except _FaultError as fault:
        raise InvalidInput(f"Invalid path: '{shown(raw)}' ({fault})", "path") from None


def shown(text: str) -> str:
    """The text as it may stand in a message: what cannot be printed is escaped, and what is long is cut."""
    cut = text if len(text) <= 500 else text[:500] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


def _split(raw: str) -> tuple[str, ...]:
    if raw.startswith("/"):
        raise _FaultError("it is absolute")
    if len(raw) > MAX_PATH_BYTES or len(raw.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise _FaultError(f"it is longer than {MAX_PATH_BYTES} bytes")
    segments = tuple(name for name in raw.split("/") if name)
    for segment in segments:
        for spelling in _decodings(segment):
            _check_name(spelling)
    return segments


def _check_name(name: str) -> None:
    if _UNSHOWABLE.search(name):
        raise _FaultError("it holds a control or invisible character")
    if _SEPARATOR.search(name):
        raise _FaultError("a name may not hold '/', '\\', '#' or '?', percent-encoded or not")
    if not name.strip() or name.split(";", 1)[0].strip() in (".", ".."):
        raise _FaultError("a name may not be blank, '.' or '..'")
    if _SCHEME_NAME.match(name):
        raise _FaultError("a name may not begin with a drive or a scheme")
    if len(name.encode("utf-8")) > MAX_SEGMENT_BYTES:
        raise _FaultError(f"a name is longer than {MAX_SEGMENT_BYTES} bytes")


def _decodings(text: str) -> Iterator[str]:
    """The text, and what each further percent-decoding makes of it until it stays the same."""
    yield text
    for _ in range(MAX_DECODINGS + 1):
        if "%" not in text:
            return
        data = unquote_to_bytes(text)
        if _OVERLONG.search(data):
            raise _FaultError("it holds percent-encoded bytes that are not UTF-8")
        decoded = data.decode("utf-8", "replace")
        if decoded == text:
            return
        yield decoded
        text = decoded
    raise _FaultError(f"it is percent-encoded more than {MAX_DECODINGS} times")


def parse_source(uri: str) -> Source:
    """What a model version's source or an artifact URI points at. Raises InvalidInput.

    Refused in every spelling that percent-decoding can reach: relative references (`.`, `..`) in the path, parameters,
    query or fragment; control characters; backslashes after a scheme; blanks around it. Nothing here opens or resolves
    anything: `Local` and `External` are data, the rest names rows that the caller must look up and authorize.
    """
    try:
        return _source(uri)
    except _FaultError:
        raise InvalidInput(_source_message(uri), "source") from None


def _source(uri: str) -> Source:
    plain = _fully_decoded(uri)
    scheme, rest = _scheme(uri)
    if scheme != _scheme(plain)[0]:
        raise _FaultError("its scheme is percent-encoded")
    if scheme == "file" or len(scheme) == 1 or (not scheme and _is_local(plain)):
        return Local(uri)
    if _RELATIVE.search(plain) or "\\" in plain:
        raise _FaultError("it holds a relative reference")
    if not scheme:
        return External(uri)
    host, path = _host_and_path(rest)
    return _of_scheme(scheme, host, path, uri)


def _of_scheme(scheme: str, host: str, path: str, uri: str) -> Source:
    if scheme == "mlflow-artifacts":
        if not path or not _HOST.fullmatch(host):
            raise _FaultError("it has no absolute path")
        return Stored(_decoded_segments(path), host)
    if scheme not in ("models", "runs"):
        return External(uri)
    if host:
        raise _FaultError("it names a host")
    return _version_or_model(path) if scheme == "models" else _run(path)


def _fully_decoded(uri: str) -> str:
    if not uri or uri != uri.strip() or len(uri) > MAX_URI_CHARS or _UNSHOWABLE.search(uri):
        raise _FaultError("it is empty, too long, or holds characters that cannot be shown")
    *_, plain = _decodings(uri)
    if plain != plain.strip() or _UNSHOWABLE.search(plain):
        raise _FaultError("it holds characters that cannot be shown")
    return plain


def _scheme(uri: str) -> tuple[str, str]:
    match = _URI.fullmatch(uri)
    return (match[1].lower(), match[2]) if match else ("", uri)


def _is_local(plain: str) -> bool:
    return "/" in plain or "\\" in plain or plain in (".", "..") or plain.startswith("~")


def _host_and_path(rest: str) -> tuple[str, str]:
    if not rest.startswith("/"):
        raise _FaultError("its path is not absolute")
    if not rest.startswith("//"):
        return "", rest
    host, slash, path = rest[2:].partition("/")
    return host, slash + path


def _decoded_segments(path: str) -> tuple[str, ...]:
    # The client puts this text into a request line, where it is decoded once: both ways must name the same file.
    try:
        return _split(unquote(path.strip("/"), errors="strict"))
    except UnicodeDecodeError:
        raise _FaultError("it holds percent-encoded bytes that are not UTF-8") from None


def _run(path: str) -> Run:
    run_id, *segments = _decoded_segments(path) or ("",)
    if not _RUN_ID.fullmatch(run_id):
        raise _FaultError("it has no run id")
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
        raise _FaultError("it has no model name, or no version, stage or alias")
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
    except _FaultError as fault:
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


def manifest_digest(files: Iterable[tuple[str, int, str]]) -> str:
    """`sha256:` and the hex SHA-256 of the manifest's text, the digest of a version. Raises InvalidInput.

    The text has one line a file, `<sha256 hex> <size in bytes> <path>` and a line feed, in UTF-8, sorted by the bytes
    of the path; no files make the empty text. In a folder with the same files this prints the same hex:

        find . -type f -printf '%P\\n' | LC_ALL=C sort | while IFS= read -r p; do
          printf '%s %s %s\\n' "$(sha256sum <"$p" | cut -c1-64)" "$(stat -c %s "$p")" "$p"; done | sha256sum
    """
    digest = hashlib.sha256()
    previous = None
    for path, size, sha256 in sorted(files):  # the order of code points is the order of UTF-8 bytes
        if not path or path == previous or "/".join(parse_path(path)) != path:
            raise InvalidInput(
                f"Invalid manifest: '{shown(path)}' is there twice or is not a file's path in canonical form", "path"
            )
        if size < 0 or not _SHA256.fullmatch(sha256):
            raise InvalidInput(f"Invalid manifest: '{shown(path)}' has no valid size or SHA-256", "path")
        digest.update(f"{sha256} {size} {path}\n".encode())
        previous = path
    return f"sha256:{digest.hexdigest()}"
