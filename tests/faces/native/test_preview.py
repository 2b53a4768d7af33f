"""Previews over the wire: whatever a file holds, a browser gets plain text or freshly drawn pixels, or is refused."""

import os
import random
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from urllib.parse import quote

import pytest
from PIL import Image

from faces.native.pushing import Registry
from modelkeep.inspection.pictures import is_plain_png
from security.raw import Raw, Reply
from servers import RunningServer

MIB = 1 << 20
PAGE = b"<html><script>alert(1)</script></html>"
DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry on a server of its own."""
    with RunningServer(tmp_path_factory.mktemp("preview") / "data") as server, Raw(server.port, server.token) as raw:
        yield Registry(server, raw)


def preview(registry: Registry, content: bytes, name: str = "file") -> Reply:
    """The preview of a file of these bytes in a new version."""
    version = registry.register({name: content})
    return registry.call("GET", f"models/{version['name']}/versions/1/preview?path={quote(name)}")


def text_of(reply: Reply) -> bytes:
    """The body of an answer that must be a text which no browser runs."""
    assert reply.status == 200, reply
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    check_guarded(reply)
    return reply.body


def picture_of(reply: Reply) -> Image.Image:
    """The picture of an answer that must be a plain PNG."""
    assert reply.status == 200, reply
    assert reply.headers["content-type"] == "image/png"
    check_guarded(reply)
    assert is_plain_png(reply.body)
    return Image.open(BytesIO(reply.body))


def check_guarded(reply: Reply) -> None:
    """Hold an answer to the headers that keep a browser from guessing and running."""
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in reply.headers["content-security-policy"]
    assert len(reply.body) <= MIB


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """A picture as a file."""
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, packed: bytes) -> bytes:
    """A PNG that says it is so large, with this packed content."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", packed), (b"IEND", b"")]
    written = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", b""),
        (b'{"a": 1}', b'{"a": 1}'),
        (b"a,b\r\n1,2\r\n", b"a,b\n1,2\n"),
        ("é 模型\n\tx".encode(), "é 模型\n\tx".encode()),
        (b"\xef\xbb\xbfa: 1", b"a: 1"),
        (b"\x1b[31mred\x1b]0;title\x07", rb"\x1b[31mred\x1b]0;title\x07"),
        ("a\u202eb\u200bc\x85d\x7f".encode(), rb"a\u202eb\u200bc\x85d\x7f"),
        (b"over\rwritten\x08", rb"over\rwritten\x08"),
        (PAGE, PAGE),
        (DRAWING, DRAWING),
    ],
    ids=["empty", "json", "csv", "utf-8", "bom", "escapes", "bidi", "return", "page", "drawing"],
)
def test_text_is_shown_harmless(registry: Registry, content: bytes, shown: bytes) -> None:
    """UTF-8 is shown as plain text whatever its name, and what steers a terminal or hides text is spelled out."""
    for name in ("file.txt", "page.html", "drawing.svg"):
        assert text_of(preview(registry, content, name)) == shown


def test_long_text_is_cut_between_characters(registry: Registry) -> None:
    """More than a MiB is cut to that, never within a character, and a header says so; so is what grows by escaping."""
    for content in (b"a" + "é".encode() * MIB, b"\x1b" * MIB):
        reply = preview(registry, content)
        assert text_of(reply).decode()
        assert reply.headers["x-preview-cut"] == f"the first {MIB} of {len(content)} bytes"
    assert "x-preview-cut" not in preview(registry, b"x" * MIB).headers


@pytest.mark.parametrize(
    "content",
    [
        "text".encode("utf-16"),
        "text".encode("utf-16-le"),
        b"text\x00",
        b"\xff\xfe",
        b"\xc0\xaf",
        b"%PDF-1.4\x80",
        b"PK\x03\x04\x90",
        random.Random(5).randbytes(1000) + b"\xff",
        b"cut \xc3",
    ],
    ids=["utf-16", "utf-16-le", "nul", "bom-16", "overlong", "pdf", "zip", "random", "half"],
)
def test_what_is_neither_is_refused(registry: Registry, content: bytes) -> None:
    """Bytes that are no UTF-8 text and no known image are refused, with the advice to download them."""
    problem = preview(registry, content, "looks.txt").refused(400)
    assert problem["field"] == "path"
    assert "Download" in problem["detail"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_images_are_drawn_anew(registry: Registry, kind: str) -> None:
    """An image of each kind comes as a plain PNG of its pixels, whatever the file is called."""
    found = picture_of(preview(registry, encoded(Image.new("RGB", (50, 40), "red"), kind), "picture.html"))
    assert found.size == (50, 40)
    red, green, blue = found.convert("RGB").getpixel((25, 20))  # type: ignore[misc]
    assert red > 250
    assert green < 5
    assert blue < 5


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_mode_can_be_drawn(registry: Registry, mode: str) -> None:
    """Images of one bit, grey, palette, transparency and 16 bits all come through."""
    assert picture_of(preview(registry, encoded(Image.new(mode, (9, 7), 1), "PNG"))).size == (9, 7)


def test_large_images_are_made_smaller(registry: Registry) -> None:
    """A picture of many pixels, or of noise that no PNG packs, comes in at most 2048 pixels and 1 MiB."""
    noise = Image.frombytes("RGB", (900, 700), os.urandom(900 * 700 * 3))
    for picture in (Image.new("L", (5000, 30)), noise):
        found = picture_of(preview(registry, encoded(picture, "PNG")))
        assert max(found.size) <= 2048


def test_nothing_but_pixels_comes_through(registry: Registry) -> None:
    """A PNG that is a page too, in its texts and behind its end, loses all of that."""
    options = Image.new("RGB", (9, 9))
    content = encoded(options, "PNG").replace(b"IEND", b"IEND") + PAGE
    gif = encoded(options, "GIF") + PAGE
    comment = encoded(options, "JPEG", comment=PAGE)
    for polyglot in (content, gif, comment):
        reply = preview(registry, polyglot, "page.html")
        picture_of(reply)
        assert b"script" not in reply.body


@pytest.mark.parametrize(
    "content",
    [
        png(60_000, 60_000, zlib.compress(bytes(1_000_000))),
        png(10**9, 1, zlib.compress(bytes(1000))),
        png(1, 10**9, zlib.compress(bytes(1000))),
        png(0, 0, b""),
        png(100, 100, zlib.compress(bytes(30_100))[:20]),
        encoded(Image.new("RGB", (500, 500)), "JPEG")[:400],
        b"\x89PNG\r\n\x1a\n" + PAGE,
        b"GIF89a" + PAGE,
        b"\xff\xd8\xff" + PAGE,
    ],
    ids=["bomb", "wide", "tall", "nothing", "truncated-png", "truncated-jpeg", "page-png", "page-gif", "page-jpeg"],
)
def test_hostile_images_are_refused(registry: Registry, content: bytes) -> None:
    """An image that is broken off, is none behind its first bytes, or unpacks to billions of pixels is refused."""
    problem = preview(registry, content, "picture.png").refused(400)
    assert "Download" in problem["detail"]


def test_runs_have_previews_too(registry: Registry) -> None:
    """A file of a run is shown as one of a version; what is not there is refused, as is a path that leads out."""
    body = {"experiment_id": "0", "start_time": 1}
    run = registry.raw.json("POST", "/api/2.0/mlflow/runs/create", body).json["run"]["info"]
    root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    assert registry.put(f"{root}/notes/a b.md", b"# hello").status == 200
    target = f"runs/{run['run_id']}/preview?path="
    assert text_of(registry.call("GET", target + "notes/a%20b.md")) == b"# hello"
    registry.call("GET", target + "notes").refused(404)
    registry.call("GET", target + "..%2Fsecret").refused(400)
    registry.call("GET", f"runs/{'0' * 32}/preview?path=a").refused(404)
    registry.call("GET", f"runs/{run['run_id']}/preview").refused(400)


@pytest.mark.parametrize(
    "fake",
    [
        b"",
        PAGE,
        encoded(Image.new("RGB", (9, 9)), "PNG") + b"!",
        encoded(Image.new("RGB", (9, 9)), "PNG")[:-1],
        encoded(Image.new("RGB", (9, 9)), "PNG", dpi=(300, 300)),
        png(4096, 1, zlib.compress(bytes(12_289))),
        b"\x89PNG\r\n\x1a\n" + bytes(12),
    ],
    ids=["empty", "page", "behind", "cut", "more-chunks", "wide", "no-chunks"],
)
def test_what_the_process_says_is_checked(fake: bytes) -> None:
    """Of what the drawing process answers only a small PNG of pixels and nothing else is taken."""
    assert not is_plain_png(fake)
    assert is_plain_png(encoded(Image.new("RGB", (9, 9)), "PNG"))
