"""The digest of a version: one text over all its files, which everybody can compute for themselves."""

import hashlib
import re
from collections.abc import Iterable

from modelkeep.core.errors import InvalidInput
from modelkeep.core.paths import parse_path, shown

_SHA256 = re.compile(r"[0-9a-f]{64}")


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
