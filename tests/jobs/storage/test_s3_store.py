"""Buckets as places that hold files."""

from __future__ import annotations

import hashlib
import io
import uuid
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import ConflictError, StorageError, UsageError
from jobs.storage import base
from jobs.storage import s3 as s3_module
from jobs.storage.base import Store
from jobs.storage.listed import ListedStore
from jobs.storage.names import decode_path, encode_path
from jobs.storage.opening import open_store
from jobs.storage.s3 import S3Store
from jobs.storage.s3_listing import parse_listing
from jobs.storage.spool import Spool
from tests.conftest import GATEWAY, S3
from tests.jobs.storage.contract import NAMES, Contract, contents_of, names_in
from tests.support.quick import slow_but
from tests.support.s3_double import FLIP, RESET_AFTER, double, first


class TestS3(Contract):
    @pytest.fixture
    def store(self, s3: S3) -> Store:
        return open_store(f"s3://{s3.bucket()}/some where/ü", s3.storage_options)

    def takes(self, name: str) -> bool:
        return GATEWAY is not None or not {"\n", "\r"} & set(name)  # moto's routes know no lines

    def fill(self, store: Store, names: list[str]) -> None:
        assert isinstance(store, S3Store)
        folder = f"{store.bucket}/{store.prefix}"
        store.fs.pipe({f"{folder}/{name}": b"1" for name in names}, batch_size=32)

    @pytest.mark.slow  # a thousand requests
    def test_a_long_listing_comes_in_pages(self, store: Store) -> None:
        super().test_a_long_listing_comes_in_pages(store)

    def test_marks_of_folders_are_no_files(self, store: S3Store, s3: S3) -> None:
        for key in ("", "album/", "album/cd1/"):
            s3.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/{key}", Body=b"")
        store.replace("album/1.wav", b"1")
        assert names_in(store) == ["album/1.wav"]
        assert names_in(store, "album") == ["album/1.wav"]

    def test_a_listing_of_several_requests_at_once(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [encode_path(name) for name in NAMES if self.takes(name)]
        names += [f"{n}/{i:02d} +%.wav" for n in ("pop", "rock") for i in range(20)]
        self.fill(store, [decode_path(name) for name in names])
        asked: list[dict[str, Any]] = []
        call = S3Store._call

        def of_three(self: S3Store, method: str, **arguments: Any) -> dict[str, Any]:
            asked.append(arguments)
            return call(self, method, **{**arguments, "MaxKeys": 3})

        monkeypatch.setattr(S3Store, "_call", of_three)
        assert names_in(store) == sorted(names)
        assert any("StartAfter" in arguments for arguments in asked)
        asked.clear()
        ordered = [entry.name for page in store.scan(in_order=True) for entry in page]
        assert ordered == sorted(names)
        assert not any("StartAfter" in arguments for arguments in asked)
        assert len(asked) == -(-len(names) // 3)

    @pytest.mark.parametrize("key", slow_but(["b//c.wav"], ["/a.wav", "b//c.wav", "d/", "//"]))
    def test_keys_that_no_folder_has(self, s3: S3, key: str) -> None:
        bucket = s3.bucket()
        s3.client.put_object(Bucket=bucket, Key=key, Body=b"1")
        s3.client.put_object(Bucket=bucket, Key="z.wav", Body=b"2")
        store = open_store(f"s3://{bucket}", s3.storage_options)
        named = [] if key.endswith("/") else [key]
        assert names_in(store) == sorted([*named, "z.wav"])
        for name in named:
            assert store.read(name)[0] == b"1"

    @pytest.mark.slow
    @pytest.mark.parametrize("size", slow_but([100_000], [100, 100_000]))
    @pytest.mark.parametrize(
        ("written", "options", "is_compared"),
        [
            ({}, {}, True),
            ({"ServerSideEncryption": "AES256"}, {}, True),
            ({"ServerSideEncryption": "aws:kms"}, {}, False),
            ({"parts": 1}, {}, False),
            ({}, {"check_etag": False}, False),
        ],
    )
    def test_a_body_is_compared_with_an_etag_that_is_its_md5(
        self,
        s3: S3,
        written: dict[str, Any],
        options: dict[str, Any],
        is_compared: bool,
        size: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if GATEWAY and "ServerSideEncryption" in written:
            pytest.skip("the gateway encrypts with keys that it is given")
        monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda seconds: None))
        bucket, data = s3.bucket(), b"x" * size
        if "parts" in written:
            upload = {"Bucket": bucket, "Key": "a"}
            upload["UploadId"] = s3.client.create_multipart_upload(**upload)["UploadId"]
            part = s3.client.upload_part(**upload, PartNumber=1, Body=data)
            parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
            s3.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        else:
            s3.client.put_object(Bucket=bucket, Key="a", Body=data, **written)
        store = open_store(f"s3://{bucket}", s3.storage_options | options)
        assert contents_of(store.fetch("a")) == store.read("a")[0] == data
        with double(s3, lambda method, path: FLIP) as service:
            store = open_store(f"s3://{bucket}", service.s3.storage_options | options)
            if not is_compared:
                assert contents_of(store.fetch("a")) == data[:-1] + b"y"
                return
            for read in (store.fetch, store.read):
                with pytest.raises(ConnectionError, match="not those of its ETag"):
                    read("a")

    def test_what_botocore_compares_is_not_compared_twice(
        self, s3: S3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = []

        def noted(*arguments: Any, **options: Any) -> Any:
            made.append(arguments)
            return hashlib.md5(*arguments, **options)

        bucket = s3.bucket()
        s3.client.put_object(Bucket=bucket, Key="md5", Body=b"abc")
        s3.client.put_object(Bucket=bucket, Key="crc", Body=b"abc", ChecksumAlgorithm="CRC32")
        told = s3.client.head_object(Bucket=bucket, Key="crc", ChecksumMode="ENABLED")
        if "ChecksumCRC32" not in told:
            pytest.skip("the gateway keeps no checksums")
        store = open_store(f"s3://{bucket}", s3.storage_options)
        monkeypatch.setattr(s3_module, "hashlib", SimpleNamespace(md5=noted))
        store.fetch("crc").close()
        assert made == []
        store.fetch("md5").close()
        assert made == [(b"abc",)]

    @pytest.mark.parametrize("size", [0, 1, 1000, 262144, 262145, 700_000])
    def test_random_reads(self, store: S3Store, size: int) -> None:
        data = np.random.default_rng(size).bytes(size)
        version = store.replace("a", data)
        file, opened = store.open("a")
        assert opened == version
        reference, chance = io.BytesIO(data), np.random.default_rng(0)
        with file:
            for _ in range(25):
                offset, n = int(chance.integers(size + 1)), int(chance.integers(-1, 300_000))
                assert (file.seek(offset), reference.seek(offset)) == (offset, offset)
                assert file.read(n) == reference.read(n)
                assert file.tell() == reference.tell()
        with io.BufferedReader(store.open("a")[0]) as buffered:  # type: ignore[type-var]
            assert buffered.read() == data

    def test_a_small_part_is_one_request(self, store: S3Store, s3: S3) -> None:
        sink = io.BytesIO()
        pq.write_table(pa.table({f"column {i}": range(100) for i in range(50)}), sink)
        store.replace("p", sink.getvalue())
        with double(s3) as service:
            other = open_store(store.url, service.s3.storage_options)
            file, _ = other.open("p")
            with file:
                pq.read_table(file, columns=["column 3", "column 40"], partitioning=None)
        assert [method for method, _, _ in service.seen] == ["GET"]

    def test_only_large_bodies_cost_a_round_trip_to_ask(self, store: S3Store, s3: S3) -> None:
        sizes = {"none": 0, "small": 100_000, "large": 1_500_000}
        with double(s3) as service:
            other = open_store(store.url, service.s3.storage_options)
            for name, size in sizes.items():
                other.replace(name, b"1" * size)
                other.replace(f"{name}-once", b"1" * size, expected=None)
        asked = [path.rpartition("/")[2] for path in service.asked]
        assert asked == ["large", "large-once"]
        assert {name: len(store.read(name)[0]) for name in sizes} == sizes

    @pytest.mark.parametrize("size", [100, 3_000_000])
    def test_a_file_is_sent_again_from_its_start(self, store: S3Store, s3: S3, size: int) -> None:
        """The answer to the first request is lost; conditional, the second is then refused."""
        data = np.random.default_rng(0).bytes(size)
        for expected in ("any", None):
            name = f"file {expected}"
            with double(s3, first(1, RESET_AFTER, "PUT")) as service:
                other = open_store(store.url, service.s3.storage_options, retry_connect=True)
                with Spool(1000) as spool:
                    section = spool.section()
                    section.write(data)
                    version = other.replace(name, section, expected=expected)
                assert service.count(RESET_AFTER) == 1
            assert store.read(name) == (data, version)

    def test_what_is_read_of_an_object_that_is_replaced(self, store: S3Store) -> None:
        store.replace("a", b"0123456789" * 100_000)
        file, _ = store.open("a")
        with file:
            assert file.read(3) == b"012"
            store.replace("a", b"9876543210")
            assert file.read(3) == b"345"  # had been read ahead
            file.seek(300_000)
            with pytest.raises(ConflictError):  # beyond the end of what is there now
                file.read(3)
            store.replace("a", b"9876543210" * 100_000)
            with pytest.raises(ConflictError):
                file.read(3)
            store.delete(["a"])
            with pytest.raises(FileNotFoundError):
                file.read(1)

    def test_one_version_of_an_object_that_changes_while_it_is_fetched(
        self, store: S3Store, s3: S3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = b"1" * 3_000_000
        version = store.replace("a", data)
        monkeypatch.setattr(base, "SPOOL_BYTES", 1_000_000)
        key, chunks = store.key("a"), 0

        async def replaced_after(call, *arguments):  # type: ignore[no-untyped-def]
            nonlocal chunks
            chunks += 1
            s3.client.put_object(Bucket=store.bucket, Key=key, Body=b"2" * 3_000_000)
            return call(*arguments)

        monkeypatch.setattr("jobs.storage.s3._CHUNK_BYTES", 100_000)
        monkeypatch.setattr("asyncio.to_thread", replaced_after)
        fetched = store.fetch("a")
        assert chunks > 1
        assert (set(contents_of(fetched)), fetched.version) in (
            ({ord("1")}, version),
            ({ord("2")}, store.read("a")[1]),
        )

    def test_no_file_of_a_fetch_that_fails_stays(
        self, store: S3Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = []

        def spool_file():  # type: ignore[no-untyped-def]
            opened.append(base_spool_file())
            return opened[-1]

        def full(*arguments: object) -> None:
            raise OSError(28, "No space left on device")

        base_spool_file = s3_module.temporary_file
        store.replace("a", b"1" * 1000)
        monkeypatch.setattr(base, "SPOOL_BYTES", 10)
        monkeypatch.setattr(s3_module, "temporary_file", spool_file)
        monkeypatch.setattr("asyncio.to_thread", full)
        with pytest.raises(OSError, match="No space left"):
            store.fetch("a")
        assert [file.closed for file in opened] == [True]

    @pytest.mark.slow
    def test_a_part_of_more_than_100_mb_is_still_conditional(self, store: S3Store) -> None:
        data = bytes(110 * 2**20)
        first = store.replace("p", data, expected=None)
        with pytest.raises(ConflictError):
            store.replace("p", b"2" * len(data), expected=None)
        with pytest.raises(ConflictError):
            store.replace("p", b"2" * len(data), expected="0" * 32)
        assert [(e.size, e.version) for e in store.stat(["p"]) if e] == [(len(data), first)]
        assert "-" not in first  # of one piece
        assert store.replace("p", b"3", expected=first) != first

    def test_a_part_that_no_single_request_takes(
        self, store: S3Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jobs.storage.s3.MAX_PUT_BYTES", 10)
        with pytest.raises(StorageError, match=r"--buckets"):
            store.replace("p", b"01234567890")
        assert store.stat(["p"]) == [None]

    def test_probes_of_dead_runs_are_deleted(
        self, store: S3Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = ["_job/probe-1", "_job/other", "probe-1"]
        for name in names:
            store.replace(name, b"x")
        store.delete_leftovers()  # it is young: its run may live
        assert None not in store.stat(names)
        monkeypatch.setattr("jobs.storage.s3._PROBE_S", -60.0)
        store.delete_leftovers()
        assert [entry is None for entry in store.stat(names)] == [True, False, False]

    def test_the_address_and_its_stored_form(self, s3: S3) -> None:
        store = open_store("s3://bucket/a\\b/c d/", s3.storage_options)
        assert store.url == "s3://bucket/a\\\\b/c d"
        assert isinstance(store, S3Store)
        assert store.key("x") == "a\\b/c d/x"
        assert open_store(decode_path(store.url), s3.storage_options).url == store.url

    def test_no_bucket(self, s3: S3) -> None:
        store = open_store(f"s3://no-{uuid.uuid4().hex}/a", s3.storage_options)
        for look in (
            lambda: list(store.scan()),
            lambda: store.read("a"),
            lambda: store.fetch("a"),
            lambda: store.replace("a", b"1"),
            lambda: store.replace("a", b"1", expected=None),
            lambda: store.replace("a", b"1", expected="0" * 32),
            store.check_writable,
        ):
            with pytest.raises(FileNotFoundError, match="no such bucket"):
                look()

    @pytest.mark.parametrize("name", [r"\xff.wav", "a\0b.wav", "x" * 1100 + ".wav"])
    def test_names_that_no_object_can_have(self, store: S3Store, name: str) -> None:
        assert store.stat([name]) == [None]
        with pytest.raises(FileNotFoundError):
            store.fetch(name)

    def test_files_of_a_list_in_two_buckets(self, s3: S3) -> None:
        home = open_store(f"s3://{s3.bucket()}/lists", s3.storage_options)
        elsewhere = open_store(f"s3://{s3.bucket()}", s3.storage_options)
        home.replace("a.wav", b"1")
        elsewhere.replace("b c/d%.wav", b"22")
        listed = ListedStore(home, s3.storage_options)
        there = f"{elsewhere.url}/b c/d%.wav"
        found = listed.stat(["a.wav", there, "gone.wav", f"{elsewhere.url}/gone.wav"])
        assert [(e.name, e.size) if e else None for e in found] == [
            ("a.wav", 1),
            (there, 2),
            None,
            None,
        ]
        assert contents_of(listed.fetch(there)) == b"22"
        with pytest.raises(StorageError):
            listed.replace("a.wav", b"2")


def test_an_address_without_a_bucket() -> None:
    with pytest.raises(UsageError, match="names no bucket"):
        open_store("s3://")


@pytest.mark.parametrize(
    "body", [b"<html><body>log in</body></html>", b"<Error><Code>x</Code></Error>"]
)
def test_the_page_of_a_proxy_is_no_empty_listing(body: bytes) -> None:
    with pytest.raises(ConnectionError, match="no listing of a bucket"):
        parse_listing({"status_code": 200, "body": body}, {})
