"""What the environment and the address of a bucket mean together, and which of them are refused."""

from pathlib import Path

import pytest

from modelkeep.artifacts.stores.s3.signing import Signer
from modelkeep.config import BadSetting, S3Settings, s3_settings

KEYS = {"MODELKEEP_S3_ACCESS_KEY": "key", "MODELKEEP_S3_SECRET_KEY": "secret"}


def test_amazon() -> None:
    """With keys alone, a bucket is one of Amazon's, whose name is part of the host."""
    found = s3_settings("s3://bucket", KEYS)
    assert found == S3Settings("bucket", "", "key", "secret")
    assert (found.address, found.path_style) == ("https://s3.us-east-1.amazonaws.com", False)


def test_variables_of_other_tools() -> None:
    """The usual AWS variables count where ours are not set or empty."""
    aws = {
        "AWS_ACCESS_KEY_ID": "aws-key",
        "AWS_SECRET_ACCESS_KEY": "aws-secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_S3": "https://s3.example/",
    }
    expected = S3Settings("b-1", "a/b/", "aws-key", "aws-secret", "token", "eu-west-1", "https://s3.example", True)
    assert s3_settings("s3://b-1/a/b/", aws | {"MODELKEEP_S3_ACCESS_KEY": ""}) == expected
    ours = aws | KEYS | {"MODELKEEP_S3_REGION": "r", "MODELKEEP_S3_PATH_STYLE": "false"}
    found = s3_settings("s3://b-1/a/b", ours)
    assert (found.access_key, found.region, found.path_style) == ("key", "r", False)


def test_secrets_are_not_shown() -> None:
    """Neither the secret key nor the session token is in the text of the settings, which may be logged."""
    shown = repr(s3_settings("s3://bucket", KEYS | {"AWS_SESSION_TOKEN": "token-of-session"}))
    assert "'secret'" not in shown
    assert "token-of-session" not in shown


@pytest.mark.parametrize(
    ("url", "variables", "text"),
    [
        ("s3://", {}, "BUCKET"),
        ("s3:///prefix", {}, "BUCKET"),
        ("s3://UPPER/prefix", {}, "BUCKET"),
        ("s3://bucket/../other", {}, "PREFIX"),
        ("s3://bucket//a", {}, "PREFIX"),
        ("s3://bucket/a?b", {}, "PREFIX"),
        ("s3://bucket/a b", {}, "PREFIX"),
        ("s3://key:secret@bucket", {}, "BUCKET"),
        ("s3://bucket", {"MODELKEEP_S3_ACCESS_KEY": ""}, "MODELKEEP_S3_ACCESS_KEY"),
        ("s3://bucket", {"MODELKEEP_S3_SECRET_KEY": ""}, "MODELKEEP_S3_SECRET_KEY"),
        ("s3://bucket", {"MODELKEEP_S3_ENDPOINT": "s3.example"}, "MODELKEEP_S3_ENDPOINT"),
        ("s3://bucket", {"MODELKEEP_S3_ENDPOINT": "ftp://s3.example"}, "MODELKEEP_S3_ENDPOINT"),
        ("s3://bucket", {"MODELKEEP_S3_PATH_STYLE": "maybe"}, "MODELKEEP_S3_PATH_STYLE"),
        ("s3://bucket", {"MODELKEEP_S3_CA": "/no/such/file"}, "MODELKEEP_S3_CA"),
    ],
)
def test_refusals(url: str, variables: dict[str, str], text: str) -> None:
    """What cannot be is refused with the name of what is wrong."""
    with pytest.raises(BadSetting, match=text):
        s3_settings(url, KEYS | variables)


def test_certificates(tmp_path: Path) -> None:
    """A file of certificates is taken as it is named."""
    file = tmp_path / "ca.pem"
    file.touch()
    assert s3_settings("s3://bucket", KEYS | {"MODELKEEP_S3_CA": str(file)}).ca == file


def test_addresses() -> None:
    """The bucket is part of the path or of the host; keys are written so that nothing in them ends the path."""
    by_host = Signer(s3_settings("s3://bucket", KEYS))
    assert by_host.url("a/b c?#.bin", {}) == "https://bucket.s3.us-east-1.amazonaws.com/a/b%20c%3F%23.bin"
    by_path = Signer(s3_settings("s3://bucket", KEYS | {"MODELKEEP_S3_ENDPOINT": "http://localhost:9/s3"}))
    assert by_path.url("a", {"uploadId": "x=&", "partNumber": "1"}) == (
        "http://localhost:9/s3/bucket/a?partNumber=1&uploadId=x%3D%26"
    )
