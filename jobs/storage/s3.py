"""A bucket, or a prefix in one, through s3fs."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

import fsspec.asyn
import s3fs

from jobs.errors import ConflictError, StorageError
from jobs.paths import decode_path, encode_path
from jobs.retry import http_status, service_code, with_retries
from jobs.storage.base import Entry, Fetched, Precondition

MAX_PUT_BYTES = 4 * 2**30
"""Largest object written: beyond it S3 takes several parts, which cannot be conditional."""

_CONNECTIONS = 32
_DELETE_AT_ONCE = 1000


class S3Store:
    """See `jobs.storage.base.Store`.

    Conditional writes are single ``PutObject`` requests with ``If-Match`` or
    ``If-None-Match``; `probe_conditions` finds out whether the service honours them.
    """

    def __init__(self, root: str, options: dict[str, Any]) -> None:
        self.bucket, _, prefix = root.partition("/")
        self.prefix = prefix.strip("/")
        self.url = "s3://" + "/".join(p for p in (self.bucket, encode_path(self.prefix)) if p)
        config = {"max_pool_connections": _CONNECTIONS, **options.get("config_kwargs", {})}
        self.fs = s3fs.S3FileSystem(
            **{**options, "config_kwargs": config},
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        self.fs.retries = 1  # ours are jittered, and know what may be repeated
        self.conditional = False
        self._quote_etag = False

    def key(self, name: str) -> str:
        """Return a stored name's object key."""
        return "/".join(p for p in (self.prefix, decode_path(name)) if p)

    def _call(self, method: str, *, attempts: int = 8, **arguments: Any) -> Any:
        def call() -> Any:
            try:
                return self.fs.call_s3(method, Bucket=self.bucket, **arguments)
            except Exception as error:
                raise _as_oserror(error) from error

        return with_retries(call, attempts=attempts)

    def scan(
        self, prefix: str = "", *, descend: Callable[[str], bool] = lambda folder: True
    ) -> Iterator[list[Entry]]:
        under = self.key(prefix)
        start = f"{under}/" if under else ""
        skip = len(f"{self.prefix}/") if self.prefix else 0
        more: dict[str, Any] = {}
        while True:
            answer = self._call("list_objects_v2", Prefix=start, **more)
            page = [
                Entry(encode_path(item["Key"][skip:]), item["Size"], item["ETag"].strip('"'))
                for item in answer.get("Contents", ())
                if not item["Key"].endswith("/")
            ]
            if page:
                yield page
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def stat(self, names: list[str]) -> list[Entry | None]:
        limit = asyncio.Semaphore(_CONNECTIONS)

        async def head(name: str) -> Entry | None:
            async with limit:
                try:
                    answer = await self.fs._call_s3(
                        "head_object", Bucket=self.bucket, Key=self.key(name)
                    )
                except Exception as error:
                    if http_status(error) == 404 or isinstance(error, FileNotFoundError):
                        return None
                    raise _as_oserror(error) from error
            return Entry(name, answer["ContentLength"], answer["ETag"].strip('"'))

        async def heads() -> list[Entry | None]:
            return list(await asyncio.gather(*(head(name) for name in names)))

        return with_retries(lambda: fsspec.asyn.sync(self.fs.loop, heads))

    def fetch(self, name: str) -> Fetched:
        data, version = self.read(name)
        return Fetched(data, len(data), version, still=lambda: True)

    def read(self, name: str) -> tuple[bytes, str]:
        async def get() -> tuple[bytes, str]:
            answer = await self.fs._call_s3("get_object", Bucket=self.bucket, Key=self.key(name))
            async with answer["Body"] as body:
                data = await body.read()
            if len(data) != answer["ContentLength"]:
                raise ConnectionError(f"{name}: {len(data)} of {answer['ContentLength']} bytes")
            return data, answer["ETag"].strip('"')

        def call() -> tuple[bytes, str]:
            try:
                return fsspec.asyn.sync(self.fs.loop, get)
            except Exception as error:
                raise _as_oserror(error) from error

        return with_retries(call)

    def open(self, name: str) -> tuple[BinaryIO, str]:
        answer = self._call("head_object", Key=self.key(name))
        version = answer["ETag"].strip('"')
        return cast(BinaryIO, _RangeReader(self, name, version, answer["ContentLength"])), version

    def read_range(self, name: str, start: int, end: int, version: str) -> bytes:
        """Return bytes ``start:end`` of one version of an object."""

        async def get() -> bytes:
            answer = await self.fs._call_s3(
                "get_object",
                Bucket=self.bucket,
                Key=self.key(name),
                Range=f"bytes={start}-{end - 1}",
                IfMatch=f'"{version}"' if self._quote_etag else version,
            )
            async with answer["Body"] as body:
                data = await body.read()
            if len(data) != end - start:
                raise ConnectionError(f"{name}: {len(data)} of {end - start} bytes")
            return data

        def call() -> bytes:
            try:
                return fsspec.asyn.sync(self.fs.loop, get)
            except Exception as error:
                if http_status(error) == 412:
                    raise ConflictError(f"{name} changed while it was read") from error
                raise _as_oserror(error) from error

        return with_retries(call)

    def replace(self, name: str, data: bytes, *, expected: Precondition = "any") -> str:
        if len(data) > MAX_PUT_BYTES:
            raise StorageError(
                f"{name} would be {len(data) / 2**30:.1f} GiB, more than one conditional write"
                " takes: make a table of more buckets (featurelib extract --buckets)"
            )
        condition: dict[str, Any] = {}
        if expected is None:
            condition = {"IfNoneMatch": "*"}
        elif expected != "any":
            condition = {"IfMatch": f'"{expected}"' if self._quote_etag else expected}
        try:
            answer = self._call("put_object", Key=self.key(name), Body=data, **condition)
        except OSError as error:
            if condition and http_status(error) in (404, 409, 412):
                # a request that was repeated may have met its own first success
                found, version = self._read_or_none(name)
                if found == data and version is not None:
                    return version
                raise ConflictError(f"{name} is not the version it was merged from") from error
            raise
        return cast(str, answer["ETag"].strip('"'))

    def _read_or_none(self, name: str) -> tuple[bytes | None, str | None]:
        try:
            return self.read(name)
        except FileNotFoundError:
            return None, None

    def delete(self, names: list[str]) -> None:
        for start in range(0, len(names), _DELETE_AT_ONCE):
            keys = [{"Key": self.key(n)} for n in names[start : start + _DELETE_AT_ONCE]]
            answer = self._call("delete_objects", Delete={"Objects": keys, "Quiet": True})
            for failed in answer.get("Errors", ()):
                raise StorageError(f"cannot delete {failed['Key']}: {failed.get('Code')}")

    def check_writable(self) -> None:
        name = f"_job/probe-{uuid.uuid4().hex}"
        self.replace(name, b"may this be written?")
        self.delete([name])

    def probe_conditions(self) -> bool:
        """Find out whether the service honours conditional writes; set `conditional`.

        Some services take the conditions and ignore them, and they differ in whether
        the ETag wants its quotes.
        """
        name = f"_job/probe-{uuid.uuid4().hex}"
        try:
            first = self.replace(name, b"1", expected=None)
            self.conditional = not self._succeeds(name, b"2", expected=None)
            if self.conditional:
                second = self._probe_if_match(name, first)
                self.conditional = second and not self._succeeds(name, b"4", expected="0" * 32)
        finally:
            self.delete([name])
        return self.conditional

    def _probe_if_match(self, name: str, version: str) -> bool:
        for self._quote_etag in (False, True):
            if self._succeeds(name, b"3", expected=version):
                return True
        return False

    def _succeeds(self, name: str, data: bytes, *, expected: Precondition) -> bool:
        try:
            self.replace(name, data, expected=expected)
        except OSError as error:
            if isinstance(error, ConflictError) or http_status(error) in (400, 501):
                return False
            raise
        return True


class _RangeReader(io.RawIOBase):
    """Random reads of one version of an object, each a request of its own."""

    def __init__(self, store: S3Store, name: str, version: str, size: int) -> None:
        self._store, self._name, self._version, self._size = store, name, version, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._position + size)
        if end <= self._position:
            return b""
        data = self._store.read_range(self._name, self._position, end, self._version)
        self._position = end
        return data


def _as_oserror(error: Exception) -> OSError:
    """Return an error of s3fs or botocore as an OSError that says what to do about it."""
    status, code = http_status(error), service_code(error)
    name = type(error).__name__
    if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
        return error
    if code == "NoSuchBucket":
        return FileNotFoundError("there is no such bucket")
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return PermissionError(
            "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
            " a profile (AWS_PROFILE), or --storage-option anon=true for a public bucket"
        )
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return PermissionError(f"the credentials are refused ({code})")
    if isinstance(error, PermissionError) or status in (401, 403):
        return PermissionError(f"access denied ({code or status})")
    if status == 404:
        return FileNotFoundError(str(error))
    if isinstance(error, OSError):
        return error
    return StorageError(f"{name}: {error}")
