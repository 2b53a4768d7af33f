"""What checkpoints say, whether a known key has signed it, and the report of a verification. Standard library only."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None  # type: ignore[assignment, misc]

_UNPROVEN = (
    "Not proven: without a checkpoint that was kept elsewhere (--checkpoint), nobody can see that an older copy of the "
    "log has taken its place, or that somebody who has the key wrote all of it anew."
)
_KEY_BYTES = 32
_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)

# A point of the curve in extended coordinates.
Point = tuple[int, int, int, int]


class Finding(NamedTuple):
    """Something that is not as it was logged: of which kind, and in words."""

    kind: str
    text: str


class Head(NamedTuple):
    """What a checkpoint says that some key has signed, and where it was found."""

    size: int
    root: bytes
    origin: str
    where: str
    is_outside: bool


def counted(number: int, thing: str, things: str = "") -> str:
    """So many of something. Here once more, since an exported log is verified where nothing else of Modelkeep is."""
    return f"{number} {thing}" if number == 1 else f"{number} {things or thing + 's'}"


@dataclass
class Report:
    """What was looked at, and what is wrong."""

    size: int = 0
    signed: int = 0
    checkpoints: int = 0
    outside: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        """Tell that something is wrong."""
        self.findings.append(Finding(kind, text))

    def fields(self) -> dict[str, object]:
        """The report for programs."""
        told = [found._asdict() for found in self.findings]
        counts = {"size": self.size, "signed": self.signed, "checkpoints": self.checkpoints, "outside": self.outside}
        return {"ok": not told, **counts, "findings": told}

    def lines(self) -> Iterator[str]:
        """The report for people."""
        checkpoints = counted(self.checkpoints, "checkpoint")
        yield f"{counted(self.size, 'entry', 'entries')}, {self.signed} of them signed, {checkpoints}"
        for found in self.findings:
            yield f"WRONG {found.kind}: {found.text}"
        if not self.findings:
            agree = "agrees" if self.outside == 1 else "agree"
            yield f"Every entry is as it was signed. {counted(self.outside, 'checkpoint')} from outside {agree}."
        if not self.outside:
            yield _UNPROVEN


class Key(NamedTuple):
    """A public key: its name, the four bytes that name it in signatures, and its bytes."""

    name: str
    id: bytes
    public: bytes


def read_keys(text: str) -> list[Key]:
    """Keys, one a line as `name+id+base64`. Raises ValueError."""
    keys = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, rest = line.partition("+")
        coded = base64.b64decode(rest.partition("+")[2], validate=True)
        key_id = hashlib.sha256(f"{name}\n".encode() + coded).digest()[:4]
        if len(coded) != 1 + _KEY_BYTES or coded[0] != 1 or key_id.hex() != rest.partition("+")[0]:
            raise ValueError(f"{line} is no Ed25519 key")
        keys.append(Key(name, key_id, coded[1:]))
    return keys


def split_notes(text: str) -> list[str]:
    """The notes in a text that has them one behind the other."""
    return [found[0] for found in re.finditer(r"(?:[^\n]+\n)+\n(?:\u2014 [^\n]+\n)+", text)]


def read_heads(texts: Iterable[tuple[str, str]], keys: Sequence[Key], report: Report, *, outside: bool) -> list[Head]:
    """What the checkpoints in some texts say. Those that nobody has signed are findings."""
    heads = []
    for where, text in texts:
        notes = split_notes(text)
        if not notes or text.replace("\n", "") != "".join(notes).replace("\n", ""):
            report.add("changed checkpoint", f"{where} has something in it that is no signed checkpoint")
        for note in notes:
            try:
                heads.append(_head(note, where, keys, outside=outside))
            except ValueError as error:
                report.add("changed checkpoint", f"{where}: {error}")
    return heads


def _head(note: str, where: str, keys: Sequence[Key], *, outside: bool) -> Head:
    body, _, signatures = note.rpartition("\n\n")
    lines = body.split("\n")
    if len(lines) < 3 or not lines[1].isdecimal():
        raise ValueError("one is no checkpoint")
    size = counted(int(lines[1]), "entry", "entries")
    said = f"the one of {size}"
    known = 0
    for line in signatures.splitlines():
        name, _, coded = line.removeprefix("\u2014 ").rpartition(" ")
        signature = base64.b64decode(coded, validate=True)
        for key in keys:
            if (key.name, key.id) == (name, signature[:4]):
                if not has_signed(key.public, signature[4:], f"{body}\n".encode()):
                    raise ValueError(f"{said} has a signature that does not hold")
                known += 1
    if not known:
        raise ValueError(f"{said} is signed by no key that is known here")
    root = base64.b64decode(lines[2], validate=True)
    return Head(int(lines[1]), root, lines[0], f"{where} ({size})", outside)


def has_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature holds (RFC 8032)."""
    if Ed25519PublicKey is None:
        return has_signed_slowly(public, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def has_signed_slowly(public: bytes, signature: bytes, message: bytes) -> bool:
    """The same without a library (RFC 8032, 5.1.7), in some milliseconds."""
    if len(signature) != 64:
        return False
    key, nonce, s = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if key is None or nonce is None or s >= _L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    left, right = _times(s, _BASE), _plus(nonce, _times(k, key))
    return all((left[of] * right[2] - right[of] * left[2]) % _P == 0 for of in (0, 1))


def _point(data: bytes) -> Point | None:
    """The point that 32 bytes stand for (RFC 8032, 5.1.3)."""
    coded = int.from_bytes(data, "little")
    y, sign = coded & (1 << 255) - 1, coded >> 255
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return x, y, 1, x * y % _P


def _plus(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c, d = 2 * one[3] * other[3] * _D % _P, 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = _plus(result, point)
        point, factor = _plus(point, point), factor >> 1
    return result


_BASE_Y = 4 * pow(5, -1, _P) % _P
_BASE: Point = _point(_BASE_Y.to_bytes(32, "little")) or (0, 1, 1, 0)
