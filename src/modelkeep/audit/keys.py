"""The key that signs checkpoints, in a file outside the database; behind it the public keys that it took over from.

The file's first line is the private key. Each further line is a public key whose checkpoints still count.
"""

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelkeep.audit.notes import BadNote, Signer, Verifier, new_secret, read_secret, read_verifier
from modelkeep.core.errors import BadSetting


@dataclass(frozen=True, slots=True)
class Keys:
    """The key in use, and earlier ones."""

    signer: Signer
    earlier: tuple[Verifier, ...] = ()

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """All public keys, that of the key in use first."""
        return (self.signer.verifier, *self.earlier)

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self.signer.verifier.name


def load_keys(path: Path) -> Keys:
    """The keys in a file. Raises BadSetting."""
    try:
        first, *rest = path.read_text().split("\n")
        return Keys(read_secret(first), tuple(read_verifier(line) for line in rest if line.strip()))
    except OSError as error:
        raise BadSetting(
            f"The audit key {path} cannot be read ({error.strerror}); `modelkeep audit new-key FILE` makes one."
        ) from error
    except (BadNote, UnicodeDecodeError) as error:
        raise BadSetting(f"The audit key {path} is none: {error}.") from error


def load_or_make_keys(path: Path) -> Keys:
    """The keys in a file, which is made with a new key if it is not there. Raises BadSetting."""
    if not path.exists():
        name = f"modelkeep-{secrets.token_hex(8)}"
        with suppress(FileExistsError):  # another process made it at the same time
            write_new(path, [new_secret(name)])
    return load_keys(path)


def new_key(name: str) -> str:
    """The line of a key file with a new key of that name. Raises BadSetting."""
    text = new_secret(name)
    try:
        read_secret(text)
    except BadNote as error:
        raise BadSetting(f"--name {name}: a log's name has no blanks and no plus, and up to 200 characters.") from error
    return text


def replaced(keys: Keys) -> list[str]:
    """The lines of a key file in which a new key of the same name has taken over."""
    return [new_secret(keys.origin), *(verifier.text for verifier in keys.verifiers)]


def write_new(path: Path, lines: Sequence[str]) -> None:
    """Write a key file that nobody else can read. Raises FileExistsError, or BadSetting if it cannot be written."""
    written = _written_beside(path, lines)
    try:
        os.link(written, path)
    finally:
        written.unlink()


def write_over(path: Path, lines: Sequence[str]) -> None:
    """Write a key file in place of the one that is there. Raises BadSetting if it cannot be written."""
    _written_beside(path, lines).replace(path)


def _written_beside(path: Path, lines: Sequence[str]) -> Path:
    beside = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise BadSetting(
            f"The audit key {path} cannot be written ({error.strerror}); --audit-key names another file."
        ) from error
    return beside
