"""The process that draws one picture anew (`python -I -m modelkeep.scanner.pictures`), for browsers to see pixels only.

An image's bytes come in on standard input, a PNG of at most `SIDE` pixels a side and `MOST` bytes goes out on standard
output; what is no picture, or too large a one, ends the process with `REFUSED`.
"""

import copy
import resource
import sys
import warnings
from io import BytesIO

from PIL import Image, ImageColor, ImageFile, ImagePalette, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin

from modelkeep.scanner.jail import lock_in

SIDE = 2048
MOST = 1 << 20
# What the decoder may unpack: a picture of so many pixels takes 160 MB in memory.
PIXELS = 40_000_000
REFUSED = 3
_MEMORY = 768 << 20
_CPU_SECONDS = 8
# What the library would load only when a picture asks for it.
_LOADED = (copy, ImageColor, ImageFile, ImagePalette, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin)
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
_SMALLEST_SIDE = 16


def main() -> None:
    """Draw what is on standard input."""
    Image.preinit()
    lock_in()  # nothing can be loaded after this
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    try:
        drawn = draw(sys.stdin.buffer.read())
    except Exception:
        sys.exit(REFUSED)
    sys.stdout.buffer.write(drawn)
    sys.stdout.buffer.flush()


def draw(data: bytes) -> bytes:
    """The picture as a PNG; of an animation, the first frame. Raises whatever the decoder raises."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    with Image.open(BytesIO(data), formats=_FORMATS) as picture:
        if picture.width * picture.height > PIXELS:
            raise ValueError("too many pixels")
        picture.draft(None, (SIDE, SIDE))
        picture.load()
        plain = _plain(picture)
    plain.thumbnail((SIDE, SIDE))
    encoded = _encoded(plain)
    while len(encoded) > MOST:
        if max(plain.size) < 2 * _SMALLEST_SIDE:
            raise ValueError("it cannot be made small enough")
        share = 0.95 * (MOST / len(encoded)) ** 0.5
        plain.thumbnail((max(1, int(plain.width * share)), max(1, int(plain.height * share))))
        encoded = _encoded(plain)
    return encoded


def _plain(picture: Image.Image) -> Image.Image:
    """Its pixels in a mode that every browser shows."""
    if picture.mode.startswith("I"):
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in picture.info:
        return picture.convert("RGBA")
    return picture.convert("L" if picture.mode in {"1", "L"} else "RGB")


def _encoded(picture: Image.Image) -> bytes:
    """A PNG of the pixels and nothing else."""
    picture.info = {}
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


if __name__ == "__main__":
    main()
