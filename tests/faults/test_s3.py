"""An S3 that answers badly, late, by halves or not at all: right bytes or a clear error, and nothing is left behind."""

import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from conformance.stored import get, kept_in, put, sha256_of, write_part
from faults.s3_proxy import Fault, Kind, S3Proxy
from modelkeep.artifacts import Backoff, Guard, GuardedBlobs
from modelkeep.artifacts.blobs import BLOCK, BlobStore
from modelkeep.artifacts.stores.backoff import Refused
from modelkeep.artifacts.stores.s3.blobs import S3Blobs
from modelkeep.config import s3_settings
from modelkeep.core.errors import NotFound, Unavailable
from seaweed import Bucket

LARGE = 8 * BLOCK
DAY = timedelta(days=1)
PATIENCE = Backoff(give_up_after_s=20)

# What is healed by asking again. Of an upload, the second to name what is large enough to be a part or a blob.
PASSING = {
    "500 to everything once": lambda: [Fault(Kind.ANSWER, times=1)],
    "500 three times": lambda: [Fault(Kind.ANSWER, times=3)],
    "503 SlowDown": lambda: [Fault(Kind.ANSWER, status=503, times=4)],
    "500 to a part": lambda: [Fault(Kind.ANSWER, "PUT", least_body=1000, times=2)],
    "an upload cut": lambda: [Fault(Kind.CUT_REQUEST, "PUT", at=700_000, least_body=800_000, times=2)],
    "an upload cut at once": lambda: [Fault(Kind.CUT_REQUEST, "PUT", at=0, least_body=1, times=2)],
    "a bit flipped on the way in": lambda: [Fault(Kind.FLIP_REQUEST, "PUT", at=700_000, least_body=800_000, times=2)],
    "a bit flipped in a pointer": lambda: [Fault(Kind.FLIP_REQUEST, "PUT", "/named/", at=5)],
    "every answer lost once": lambda: [Fault(Kind.LOSE_ANSWER, method) for method in ("PUT", "POST", "GET", "HEAD")],
    "the answer to the completion lost": lambda: [Fault(Kind.LOSE_ANSWER, "POST", "?uploadId", times=2)],
    "the answer to the pointer lost": lambda: [Fault(Kind.LOSE_ANSWER, "PUT", "/named/", times=2)],
    "the answer to a small blob lost": lambda: [Fault(Kind.LOSE_ANSWER, "PUT", "/sha256/", times=2)],
    "slow answers": lambda: [Fault(Kind.SLOW, seconds=0.5, times=6)],
    "a download cut": lambda: [Fault(Kind.CUT_ANSWER, "GET", "/large/", at=300_000, times=2)],
    "a download cut at once": lambda: [Fault(Kind.CUT_ANSWER, "GET", at=0, times=3)],
    "a download too short": lambda: [Fault(Kind.SHORTEN_ANSWER, "GET", "/large/", at=1000, times=2)],
    "a small download cut": lambda: [Fault(Kind.CUT_ANSWER, "GET", "/sha256/", at=1, times=2)],
}


@pytest.fixture
def proxy(seaweed_server: str) -> Iterator[S3Proxy]:
    """The way to the S3 server that can be spoiled."""
    with S3Proxy(seaweed_server) as proxy:
        yield proxy


@pytest.fixture
def store(bucket: Bucket, proxy: S3Proxy) -> Iterator[BlobStore]:
    """A store behind the proxy, as patient as a server's."""
    inner = S3Blobs(bucket.through(proxy.url).settings, PATIENCE)
    with closing(GuardedBlobs(inner, Guard("test", PATIENCE, at_once=8))) as store:
        yield store


def in_blocks(store: BlobStore, sha256: str) -> bytes:
    """All bytes of a blob, as a download reads them."""
    with closing(store.open(sha256)) as reader:
        return b"".join(reader.read_at(at, BLOCK) for at in range(0, reader.size, BLOCK))


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("size", [1_000_000, 2 * LARGE + 900_000])
def test_what_passes(store: BlobStore, proxy: S3Proxy, bucket: Bucket, size: int, fault: str) -> None:
    """A fault that passes is not noticed: the blob is stored once, and read back right."""
    data = os.urandom(size)
    faults = [proxy.spoil(one) for one in PASSING[fault]()]
    sha256 = put(store, data, chunk=BLOCK)
    assert in_blocks(store, sha256) == data
    proxy.heal()
    assert sum(one.hits for one in faults) > 0 or fault in only_for(size)
    store.sweep_staging(-10)  # an upload that was begun with its answer lost
    assert get(store, sha256) == data
    assert len(kept_in(bucket)) == (1 if size <= LARGE else 2)
    store.delete(sha256)
    assert kept_in(bucket) == []


def only_for(size: int) -> set[str]:
    """The faults that do not meet a blob of this size, as it takes other requests."""
    of_large = {
        "a bit flipped in a pointer",
        "the answer to the completion lost",
        "the answer to the pointer lost",
        "a download cut",
        "a download too short",
    }
    return of_large if size <= LARGE else {"the answer to a small blob lost", "a small download cut"}


LASTING = {
    "500": lambda: Fault(Kind.ANSWER, times=10_000),
    "500 to bodies": lambda: Fault(Kind.ANSWER, "PUT", least_body=1, times=10_000),
    "cut": lambda: Fault(Kind.CUT_REQUEST, "PUT", at=1000, least_body=1001, times=10_000),
    "flipped": lambda: Fault(Kind.FLIP_REQUEST, "PUT", at=1000, least_body=1001, times=10_000),
    "no completion": lambda: Fault(Kind.ANSWER, "POST", "?uploadId", times=10_000),
    "no pointer": lambda: Fault(Kind.ANSWER, "PUT", "/named/", times=10_000),
    "lost answers": lambda: Fault(Kind.LOSE_ANSWER, times=10_000),
}


@pytest.mark.parametrize("fault", LASTING)
def test_what_lasts(bucket: Bucket, proxy: S3Proxy, fault: str) -> None:
    """A fault that lasts ends an upload with Unavailable; nothing of it is a blob, and a sweep removes all of it."""
    impatient = Backoff(give_up_after_s=0.5)
    inner = S3Blobs(bucket.through(proxy.url).settings, impatient)
    with closing(GuardedBlobs(inner, Guard("test", impatient))) as store:
        data = os.urandom(2 * LARGE + 5)
        spoiled = proxy.spoil(LASTING[fault]())
        with pytest.raises(Unavailable):
            put(store, data, chunk=BLOCK)
        assert spoiled.hits > 0
        proxy.heal()
        if fault != "lost answers":
            assert not store.exists(sha256_of(data))
        store.delete(sha256_of(data))
        store.sweep_staging(-10)
        assert kept_in(bucket) == []
        assert get(store, put(store, data)) == data


def test_away_for_a_while(store: BlobStore, proxy: S3Proxy) -> None:
    """An S3 that is gone for some seconds amid an upload and a download delays them."""
    data, known = os.urandom(4 * LARGE), os.urandom(3 * LARGE)
    put(store, known)
    threading.Timer(0.3, proxy.away).start()
    threading.Timer(4.0, proxy.back).start()
    with closing(store.open(sha256_of(known))) as reader, store.begin() as staging:
        for at in range(0, len(data), BLOCK):
            staging.write(data[at : at + BLOCK])
            assert reader.read_at(at % len(known), BLOCK) == known[at % len(known) :][:BLOCK]
            time.sleep(0.02)
        staging.commit(sha256_of(data))
    assert get(store, sha256_of(data)) == data


def test_away(store: BlobStore, bucket: Bucket, proxy: S3Proxy) -> None:
    """While S3 is gone, every call says that the store does not answer, not that blobs are not there."""
    impatient = Backoff(give_up_after_s=0.2)
    with closing(
        GuardedBlobs(S3Blobs(bucket.through(proxy.url).settings, impatient), Guard("test", impatient))
    ) as gone:
        put(gone, b"abc")
        proxy.away()
        calls: list[Callable[[], object]] = [
            lambda: gone.open(sha256_of(b"abc")),
            lambda: gone.exists(sha256_of(b"abc")),
            lambda: gone.exists(sha256_of(b"x")),
            lambda: gone.size(sha256_of(b"abc")),
            lambda: gone.delete(sha256_of(b"abc")),
            lambda: list(gone.digests()),
            lambda: gone.sweep_staging(0),
            lambda: put(gone, b"def"),
            lambda: put(gone, os.urandom(LARGE + 1)),
            lambda: gone.parts.begin("0" * 32),
            gone.check,
        ]
        for call in calls:
            with pytest.raises(Unavailable):
                call()
        proxy.back()
        assert get(gone, sha256_of(b"abc")) == b"abc"
        gone.sweep_staging(-10)
        assert len(kept_in(bucket)) == 1


@pytest.mark.parametrize("away", ["bucket", "key"])
def test_wrong_settings(bucket: Bucket, away: str) -> None:
    """A bucket that is not there, or a key that is refused, is an error of the store: no blob is said to be absent."""
    settings = bucket.settings
    variables = dict(bucket.variables) | ({"MODELKEEP_S3_SECRET_KEY": "wrong"} if away == "key" else {})
    url = bucket.url if away == "key" else bucket.url.replace("tests", "no-such-bucket")
    with closing(S3Blobs(s3_settings(url, variables))) as store:
        for call in (store.check, lambda: store.exists(sha256_of(b"a")), lambda: store.open(sha256_of(b"a"))):
            with pytest.raises(Refused):
                call()
    assert kept_in(bucket) == []
    assert settings.secret_key not in repr(settings)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1 that nobody has signed but itself: its file, and a server's use of it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    today = datetime.now(UTC)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), today - DAY, today + DAY)
    made = made.add_extension(loopback, critical=False)
    file, key_file = tmp_path / "ca.pem", tmp_path / "key.pem"
    file.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return file, context


def test_own_certificates(bucket: Bucket, certificate: tuple[Path, ssl.SSLContext]) -> None:
    """Over TLS, a certificate that the system does not trust is refused, unless the settings name it."""
    file, context = certificate
    with S3Proxy(bucket.endpoint, context) as proxy:
        place = bucket.through(proxy.url)
        with closing(S3Blobs(place.settings, Backoff(0.1))) as distrustful:
            for call in (distrustful.check, lambda: distrustful.open("0" * 64)):
                with pytest.raises(Unavailable):
                    call()
        trusting = s3_settings(place.url, dict(place.variables) | {"MODELKEEP_S3_CA": str(file)})
        with closing(S3Blobs(trusting, PATIENCE)) as store:
            store.check()
            for data in (b"abc", os.urandom(LARGE + 1)):
                assert in_blocks(store, put(store, data)) == data


def test_dead_writers(bucket: Bucket) -> None:
    """What processes that died left is swept by age: open uploads and nameless objects, and nothing with a name."""
    with closing(S3Blobs(bucket.settings)) as dead, closing(S3Blobs(bucket.settings)) as store:
        kept = [put(store, os.urandom(size)) for size in (5, LARGE + 1)]
        before = kept_in(bucket)
        staging = dead.begin()
        staging.write(os.urandom(3 * LARGE))
        joined = dead.parts.begin("1" * 32)
        part = write_part(dead, "1" * 32, joined, 1, [os.urandom(LARGE + 9)])
        dead.parts.join("1" * 32, joined, [part]).close()
        assert store.sweep_staging(3600) == 0
        assert len(kept_in(bucket)) == len(before) + 2
        assert store.sweep_staging(-10, lambda ids: set(ids)) == 1  # the parts that were joined are still known
        assert len(kept_in(bucket)) == len(before) + 1
        assert store.sweep_staging(-10) == 1
        assert kept_in(bucket) == before
        assert [len(get(store, sha256)) for sha256 in kept] == [5, LARGE + 1]
        with pytest.raises(Unavailable):
            staging.commit("0" * 64)
        with pytest.raises(NotFound):
            dead.parts.join("1" * 32, joined, [part])
        staging.abort()
    assert kept_in(bucket) == before


def test_memory_of_many_uploads(bucket: Bucket) -> None:
    """Uploads that wait for their clients hold no more memory than their budget; the rest is in files."""
    budget = 4 * BLOCK
    data = [os.urandom(6 * BLOCK + number) for number in range(6)]
    with closing(S3Blobs(bucket.settings, memory=budget)) as store:
        stagings = [store.begin() for _ in data]
        for at in range(0, 7 * BLOCK, BLOCK):
            for staging, one in zip(stagings, data, strict=True):
                staging.write(one[at : at + BLOCK])
                held = sum(other._buffer._held for other in stagings)
                assert held <= budget
        for staging, one in zip(stagings, data, strict=True):
            staging.commit(sha256_of(one))
            staging.abort()
        assert [get(store, sha256_of(one)) for one in data] == data
        assert store._senders.budget.has(budget)
