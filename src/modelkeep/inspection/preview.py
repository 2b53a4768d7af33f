"""What of a file may be shown: which are images and which are text by their bytes, and text made harmless."""

import codecs
import re
from functools import cache
from typing import NamedTuple

from modelkeep.core.errors import InvalidInput
from modelkeep.core.paths import UNSHOWABLE

LONGEST_TEXT = 1 << 20
_IMAGES = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF.{4}WEBP|BM.{12}[\x0c\x28-\x7c]\0\0\0", re.DOTALL)


class Shown(NamedTuple):
    """A text as it is shown, and whether it is only the beginning."""

    text: bytes
    is_cut: bool


def is_image(head: bytes) -> bool:
    """Whether a file that begins like this is one of the images that can be drawn."""
    return _IMAGES.match(head) is not None


def shown_text(head: bytes, size: int) -> Shown:
    """The beginning of a file of `size` bytes as a text of at most `LONGEST_TEXT` bytes.

    Raises InvalidInput for what is no UTF-8, or has a NUL as only binary files have.
    """
    is_whole = len(head) == size
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")("strict").decode(head, final=is_whole)
    except UnicodeDecodeError:
        raise _no_preview() from None
    if "\0" in text:
        raise _no_preview()
    escaped = text.replace("\r\n", "\n").translate(_spellings()).encode()
    kept = escaped[:LONGEST_TEXT].decode("utf-8", "ignore").encode()
    return Shown(kept, not is_whole or len(kept) < len(escaped))


@cache
def _spellings() -> dict[int, str]:
    """What steers a terminal or hides text, and how it is spelled out; tabs and the ends of lines stay."""
    characters = set(UNSHOWABLE.findall("".join(map(chr, range(1 << 16))))) - {"\t", "\n"}
    return {ord(one): one.encode("unicode_escape").decode("ascii") for one in characters}


def _no_preview() -> InvalidInput:
    return InvalidInput(
        "This file has no preview: it is neither UTF-8 text nor a PNG, JPEG, GIF, WebP or BMP image. Download it.",
        "path",
    )
