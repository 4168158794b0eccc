"""The storage that the S3 tests stand on really refuses what it should refuse."""

from __future__ import annotations

import pytest
import s3fs
from botocore.exceptions import ClientError

from tests.conftest import S3


def test_conditional_puts_are_honoured(s3: S3) -> None:
    bucket, client = s3.bucket(), s3.client
    etag = client.put_object(Bucket=bucket, Key="a", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=bucket, Key="a", Body=b"2", IfNoneMatch="*")
    client.put_object(Bucket=bucket, Key="a", Body=b"3", IfMatch=etag.strip('"'))
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=bucket, Key="a", Body=b"4", IfMatch=etag.strip('"'))
    assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == b"3"


def test_storage_options_and_environment_agree(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    s3fs.S3FileSystem(**s3.storage_options).pipe_file(f"{bucket}/a", b"1")
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    assert s3fs.S3FileSystem(skip_instance_cache=True).cat_file(f"{bucket}/a") == b"1"


def test_buckets_go_when_the_test_ends(s3: S3) -> None:
    mine = S3(s3.endpoint, s3.key, s3.secret)
    bucket = mine.bucket()
    s3.client.put_object(Bucket=bucket, Key="a b/ü%=", Body=b"1")
    mine.remove_buckets()
    assert bucket not in {entry["Name"] for entry in s3.client.list_buckets()["Buckets"]}
