"""Checkpoints in a second place: a file, a bucket, an https address; and what happens where one does not take them."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.journal import Journal
from audit.receiver import Receiver, receiving
from modelkeep import audit
from modelkeep.artifacts.stores.s3.objects import Objects
from modelkeep.audit import signed
from modelkeep.audit.copies import CopyFailed
from modelkeep.audit.webhook import is_public
from modelkeep.bootstrap import open_copies
from modelkeep.config import Settings
from modelkeep.core.errors import BadSetting
from seaweed import Bucket


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """An https server of this machine whose certificate is trusted."""
    with receiving(tmp_path) as made:
        monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Journal]:
    """A journal with three entries and a checkpoint."""
    made = Journal(f"sqlite:///{tmp_path / 'modelkeep.db'}", tmp_path)
    made.grow(3)
    yield made
    made.close()


def test_a_file_has_every_checkpoint_once(small: Journal, tmp_path: Path) -> None:
    """Each checkpoint is written behind the last, also after a restart, and the file verifies the log as it is."""
    path = tmp_path / "notes"
    copies = audit.Copies([audit.FileOutside(path)])
    notes = []
    for _ in range(3):
        copies.send(small.database)
        copies.send(small.database)
        audit.Copies([audit.FileOutside(path)]).send(small.database)
        notes.append(small.newest().note)
        small.grow(2)
    assert signed.split_notes(path.read_text()) == notes
    report = small.verify(path.read_text())
    assert (report.findings, report.outside) == ([], 3)


def test_nothing_is_sent_of_an_empty_log(tmp_path: Path) -> None:
    """As long as nothing is signed nothing is sent."""
    journal = Journal(f"sqlite:///{tmp_path / 'modelkeep.db'}", tmp_path)
    audit.Copies([audit.FileOutside(tmp_path / "notes")]).send(journal.database)
    journal.close()
    assert not (tmp_path / "notes").exists()


def test_a_bucket_has_an_object_for_each_checkpoint(small: Journal, bucket: Bucket, monkeypatch) -> None:
    """The note lies in the bucket under the log's size, below the prefix that was named."""
    for name, value in bucket.variables.items():
        monkeypatch.setenv(name, value)
    settings = Settings(audit_copies=(bucket.url,))
    copies = open_copies(settings)
    copies.send(small.database)
    small.grow(1)
    copies.send(small.database)
    objects = Objects(bucket.settings)
    found = {one.key.removeprefix(bucket.settings.prefix): one for one in objects.list(bucket.settings.prefix)}
    assert sorted(found) == ["checkpoint-00000000000000000003", "checkpoint-00000000000000000004"]
    kept = objects.begin_of(found["checkpoint-00000000000000000004"].key, 4096)
    assert kept is not None
    assert kept[0].decode() == small.newest().note


def test_an_https_address_is_posted_the_note(small: Journal, receiver: Receiver) -> None:
    """The address gets the note as text, with its path and query as they were given."""
    open_copies(Settings(audit_copies=(receiver.url,), audit_private_copies=True)).send(small.database)
    assert receiver.taken == [
        ("/hook/s3cret?x=1", "text/plain; charset=utf-8", small.newest().note.encode()),
    ]


def test_an_address_inside_is_not_told_anything(small: Journal, receiver: Receiver) -> None:
    """Without the operator's leave nothing is sent to an address on this machine or in a private network."""
    with pytest.raises(CopyFailed, match="private one; MODELKEEP_AUDIT_PRIVATE_COPIES"):
        audit.Webhook(receiver.url, may_be_private=False).keep(3, small.newest().note)
    assert receiver.taken == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("::ffff:8.8.8.8", True),
    ],
)
def test_which_addresses_are_inside(address: str, public: bool) -> None:
    """Loopback, private, link-local, shared and multicast addresses are inside, in whatever form they are written."""
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("status", "length", "why"),
    [(302, 0, "it answered 302"), (404, 10, "it answered 404"), (200, 70_000, "the answer is too long")],
    ids=["redirect", "missing", "long"],
)
def test_an_answer_that_is_no_yes(small: Journal, receiver: Receiver, status: int, length: int, why: str) -> None:
    """A redirect is not followed, a refusal is one, and nobody makes the server read more than 64 KiB."""
    receiver.status, receiver.length = status, length
    with pytest.raises(CopyFailed, match=why):
        audit.Webhook(receiver.url, may_be_private=True).keep(3, small.newest().note)
    assert len(receiver.taken) == 1


def test_a_slow_answer_is_not_waited_for(small: Journal, receiver: Receiver) -> None:
    """After the limit the connection is broken off, whatever the other side is about to say."""
    receiver.wait_s = 3
    with pytest.raises(CopyFailed):
        audit.Webhook(receiver.url, may_be_private=True, limit_s=0.3).keep(3, small.newest().note)


def test_a_stranger_s_certificate_is_refused(small: Journal, tmp_path: Path) -> None:
    """Nothing is sent to a server whose certificate nobody trusts."""
    with receiving(tmp_path) as receiver, pytest.raises(CopyFailed, match="certificate"):
        audit.Webhook(receiver.url, may_be_private=True).keep(3, small.newest().note)
    assert receiver.taken == []


def test_a_place_that_fails_is_logged_and_tried_with_the_next_checkpoint(
    small: Journal, tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """One place that fails keeps nothing from the others; it gets the next checkpoint, and secrets stay out of logs."""
    settings = Settings(audit_copies=(receiver.url, str(tmp_path / "notes")), audit_private_copies=True)
    copies = open_copies(settings)
    receiver.status = 500
    with caplog.at_level(logging.ERROR, "modelkeep.audit"):
        for _ in range(3):
            copies.send(small.database)
    assert len(receiver.taken) == 1
    (record,) = caplog.records
    assert "it answered 500" in str(record.__dict__["fields"])
    assert "s3cret" not in str(record.__dict__)
    assert small.newest().note in (tmp_path / "notes").read_text()
    receiver.status = 204
    small.grow(1)
    copies.send(small.database)
    copies.send(small.database)
    assert [body.decode() for _, _, body in receiver.taken[1:]] == [small.newest().note]


@pytest.mark.parametrize(
    "text",
    ["http://example.com/x", "ftp://example.com", "https://", "https://u:p@example.com/", "https://h:x/", "s3://B"],
)
def test_a_place_that_cannot_be_stops_the_start(text: str) -> None:
    """Only files, buckets and https addresses without a user are taken."""
    with pytest.raises(BadSetting):
        open_copies(Settings(audit_copies=(text,)))
