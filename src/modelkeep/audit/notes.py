"""Signed notes and checkpoints, as C2SP defines them (signed-note, tlog-checkpoint), with Ed25519 keys.

A checkpoint says, over a signature, how many entries a log has and the root of their tree.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_ED25519 = b"\x01"
_KEY_BYTES = 32
_PRIVATE = "PRIVATE+KEY+"
_DASH = "\u2014 "
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class BadNote(Exception):
    """This is no note, or key, of ours; the text says why."""


class Checkpoint(NamedTuple):
    """What a checkpoint says."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name: who can have signed a note."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return sha256(f"{self.name}\n".encode() + _ED25519 + self.key).digest()[:4]

    @property
    def text(self) -> str:
        """The key as it is written down and passed on."""
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.key)}"

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Whether the signature is this key's, of this text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key, which makes notes."""

    verifier: Verifier
    secret: Ed25519PrivateKey

    def sign(self, text: str) -> str:
        """The note of a text that ends with a line feed."""
        signature = self.verifier.id + self.secret.sign(text.encode())
        return f"{text}\n{_DASH}{self.verifier.name} {_base64(signature)}\n"

    def checkpoint(self, size: int, root: bytes) -> str:
        """The signed checkpoint of a log with the key's name."""
        return self.sign(f"{self.verifier.name}\n{size}\n{_base64(root)}\n")


def new_secret(name: str) -> str:
    """A new private key, as it is written down."""
    seed = secrets.token_bytes(_KEY_BYTES)
    return f"{_PRIVATE}{name}+{_signer(name, seed).verifier.id.hex()}+{_base64(_ED25519 + seed)}"


def read_secret(text: str) -> Signer:
    """The private key that a text is. Raises BadNote."""
    if not text.startswith(_PRIVATE):
        raise BadNote(f"A private key begins with {_PRIVATE}")
    name, key_id, seed = _parts(text.removeprefix(_PRIVATE))
    signer = _signer(name, seed)
    if signer.verifier.id != key_id:
        raise BadNote("The private key is damaged: it is not the one that its id names")
    return signer


def read_verifier(text: str) -> Verifier:
    """The public key that a text is: `name+id+base64`. Raises BadNote."""
    if text.startswith(_PRIVATE):
        raise BadNote("This is a private key; a public one is wanted")
    name, key_id, key = _parts(text)
    verifier = Verifier(name, key)
    if verifier.id != key_id:
        raise BadNote("The public key is damaged: it is not the one that its id names")
    return verifier


def open_note(note: str, verifiers: Iterable[Verifier]) -> str:
    """The text of a note, if one of these keys has signed it. Raises BadNote."""
    text, _, signatures = note.rpartition("\n\n")
    lines = signatures.split("\n")
    if not text or lines.pop() or not lines or not all(line.startswith(_DASH) for line in lines):
        raise BadNote("This is no signed note")
    known = {(one.name, one.id): one for one in verifiers}
    found = False
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).rpartition(" ")
        signature = _decoded(encoded)
        verifier = known.get((name, signature[:4]))
        if verifier is not None:
            if not verifier.has_signed(f"{text}\n", signature[4:]):
                raise BadNote(f"The signature of {name} does not hold")
            found = True
    if not found:
        raise BadNote("The note is signed by no key that is known here")
    return f"{text}\n"


def read_checkpoint(text: str) -> Checkpoint:
    """What the text of a checkpoint says; lines behind the third are not looked at. Raises BadNote."""
    lines = text.split("\n")
    if len(lines) < 4 or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise BadNote("This is no checkpoint")
    root = _decoded(lines[2])
    if len(root) != sha256().digest_size:
        raise BadNote("This is no checkpoint: its root has not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def _signer(name: str, seed: bytes) -> Signer:
    secret = Ed25519PrivateKey.from_private_bytes(seed)
    public = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Signer(Verifier(name, public), secret)


def _parts(text: str) -> tuple[str, bytes, bytes]:
    """Name, id and the 32 bytes of a key's text."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    key = _decoded(encoded)
    if not _NAME.fullmatch(name) or not re.fullmatch(r"[0-9a-f]{8}", key_id):
        raise BadNote("A key is written name+id+base64")
    if key[:1] != _ED25519 or len(key) != 1 + _KEY_BYTES:
        raise BadNote("Only Ed25519 keys are known")
    return name, bytes.fromhex(key_id), key[1:]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii", "replace"), validate=True)
    except binascii.Error as error:
        raise BadNote("A key, hash or signature is not valid base64") from error
    if _base64(data) != text:
        raise BadNote("A key, hash or signature is not in its one form of base64")
    return data
