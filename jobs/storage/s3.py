"""A store in an S3 bucket, or below a prefix of one, through s3fs."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import io
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, TypeVar, cast

import fsspec.asyn
import s3fs
from aiobotocore.httpchecksum import StreamingChecksumBody
from botocore.utils import determine_content_length

from jobs.errors import ConflictError, StorageError, UsageError
from jobs.storage import base
from jobs.storage.base import Contents, Entry, Fetched, Page, Precondition, Stated
from jobs.storage.key_ranges import KeyPage, list_in_ranges
from jobs.storage.names import decode_path, encode_path
from jobs.storage.retry import (
    http_status,
    is_transient,
    service_code,
    with_retries,
)
from jobs.storage.s3_errors import CLOCK_DIFFERS, as_oserror, refuses_condition
from jobs.storage.s3_listing import page_of, parse_listing
from jobs.storage.s3_reader import READ_AHEAD, RangeReader
from jobs.storage.scratch import temporary_file

#: Largest object written, by a single PUT: multipart uploads are not conditional.
MAX_PUT_BYTES = 4 * 2**30

_CONNECTIONS = 32

#: A request without a connection or without an answer for so long is sent again [s]. A body may
#: take longer at this speed [bytes/s].
_CONNECT_S, _ANSWER_S = 10.0, 20.0
_SLOWEST = 128 * 2**10

#: Requests for pages of one listing at the same time, unless the options say otherwise.
_LIST_AT_ONCE = 16

#: Keys of the first page of a range of keys.
_PROBED_KEYS = 100

_DELETE_AT_ONCE = 1000
_ATTEMPTS = 8

#: Attempts while the service has never answered (its address may be wrong), or refuses the clock.
_FIRST_ATTEMPTS = 3

#: Larger bodies wait for "100 Continue"; for smaller ones the round trip is not worth it.
_AT_ONCE_BYTES = 2**20

_CHUNK_BYTES = 4 * 2**20

#: Larger bodies are hashed in a thread, so that other requests continue meanwhile.
_HASHED_AT_ONCE_BYTES = 32 * 2**10

_MD5 = re.compile(r"[0-9a-f]{32}")

#: Suffix of the names of directory buckets, whose ETags are not MD5s and whose keys have no order.
_DIRECTORY_BUCKET = "--x-s3"

#: Begins the names of objects that test the service. Those that are older belong to nobody [s].
_PROBE, _PROBE_S = "_job/probe-", 3600.0

_MAX_KEY_BYTES = 1024

T = TypeVar("T")


class S3Store:
    """A `jobs.storage.base.Store` in an S3 bucket.

    Conditional writes are single ``PutObject`` requests with ``If-Match`` or
    ``If-None-Match``; `probe_conditions` tests whether the service honours them.

    Parameters
    ----------
    root : str
        ``bucket/prefix``.
    options : dict
        Options of `s3fs.S3FileSystem`, and ``check_etag`` (default true): compare a body with
        an ETag that looks like an MD5, if botocore has no checksum to compare. ``list_at_once``
        (default 16): requests for pages of a listing at the same time.
    retry_connect : bool
        Keep retrying from the first request on while the service does not answer.
    """

    in_place = False

    def __init__(self, root: str, options: dict[str, Any], *, retry_connect: bool = False) -> None:
        self.bucket, _, prefix = root.partition("/")
        self.prefix = prefix.strip("/")
        self.url = "s3://" + "/".join(p for p in (self.bucket, encode_path(self.prefix)) if p)
        self.address = decode_path(self.url)
        options = dict(options)
        is_directory_bucket = self.bucket.endswith(_DIRECTORY_BUCKET)
        at_once = options.pop("list_at_once", _LIST_AT_ONCE)
        if not isinstance(at_once, int) or at_once < 1:
            raise UsageError(f"the storage option list_at_once is {at_once!r}: give 1 or more")
        self._list_at_once = 1 if is_directory_bucket else at_once
        self._check_etag = options.pop("check_etag", True) and not is_directory_bucket
        config = {
            "max_pool_connections": _CONNECTIONS,
            "connect_timeout": _CONNECT_S,
            "read_timeout": _ANSWER_S,
            # `with_retries` has jitter, and knows which errors are transient
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            **options.get("config_kwargs", {}),
        }
        self._answer_s = float(config["read_timeout"])
        self.fs = s3fs.S3FileSystem(
            **{**options, "config_kwargs": config},
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        self.fs.retries = 1
        self.conditional = False
        self._has_no_conditions = False
        self._quote_etag = False
        self._answers = retry_connect

    def key(self, name: str) -> str:
        """Return the object key of a stored name."""
        return "/".join(p for p in (self.prefix, decode_path(name)) if p)

    def _ask(self, request: Callable[[], Awaitable[T]]) -> T:
        """Run a coroutine function that sends requests; retry transient errors."""
        n_tries = 0

        def call() -> T:
            nonlocal n_tries
            n_tries += 1
            try:
                answer = fsspec.asyn.sync(self.fs.loop, request)
            except Exception as error:
                self._answers = self._answers or http_status(error) is not None
                translated = as_oserror(error)
                if translated is error:
                    raise
                raise translated from error
            self._answers = True
            return cast(T, answer)

        def is_worth_retrying(error: BaseException) -> bool:
            if service_code(error) == CLOCK_DIFFERS and n_tries >= _FIRST_ATTEMPTS:
                return False
            return is_transient(error) and (self._answers or n_tries < _FIRST_ATTEMPTS)

        return with_retries(call, attempts=_ATTEMPTS, retry_if=is_worth_retrying)

    async def _send(self, method: str, **arguments: Any) -> dict[str, Any]:
        await self.fs.set_session()
        events = (await self.fs.get_s3(self.bucket)).meta.events
        for register, event, handler in (
            (events.register, "before-parse.s3.ListObjectsV2", parse_listing),
            (events.register_last, "before-call.s3", _send_small_bodies_at_once),
        ):
            register(event, handler, unique_id=f"{__name__}.{event}")  # once a client
        return cast(dict[str, Any], await self.fs._call_s3(method, Bucket=self.bucket, **arguments))

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        return self._ask(lambda: self._send(method, **arguments))

    def scan(
        self,
        prefix: str = "",
        *,
        descend: Callable[[str], bool] = lambda folder: True,
        in_order: bool = False,
    ) -> Iterator[Page]:
        under = self.key(prefix)
        start = f"{under}/" if under else ""
        skip = len(f"{self.prefix}/") if self.prefix else 0

        def ask(after: str | None, token: str | None) -> KeyPage:
            more: dict[str, Any] = {}
            if after is not None:  # it may be in vain, so it is small
                more = {"StartAfter": start + after, "MaxKeys": _PROBED_KEYS}
            elif token is not None:
                more = {"ContinuationToken": token}
            found = page_of(self._call("list_objects_v2", Prefix=start, **more))
            return found._replace(keys=[key.removeprefix(start) for key in found.keys])

        for found in list_in_ranges(ask, 1 if in_order else self._list_at_once):
            keys = [start + key for key in found.keys]
            files = [i for i, key in enumerate(keys) if not key.endswith("/")]
            if files:
                yield Page(
                    [encode_path(keys[i][skip:]) for i in files],
                    [found.sizes[i] for i in files],
                    [found.tags[i] for i in files],
                )

    def stat(self, names: list[str]) -> list[Entry | None]:
        limit = asyncio.Semaphore(_CONNECTIONS)

        async def head(name: str) -> Entry | None:
            if not _can_be(self.key(name)):
                return None
            async with limit:
                try:
                    answer = await self._send("head_object", Key=self.key(name))
                except Exception as error:
                    if http_status(error) == 404 or isinstance(error, FileNotFoundError):
                        return None
                    raise
            return Entry(name, answer["ContentLength"], _version(answer))

        async def heads() -> list[Entry | None]:
            return list(await asyncio.gather(*(head(name) for name in names)))

        return self._ask(heads)

    def stated_version(self, name: str, stated: Stated) -> str:
        if stated.tag is not None:
            return stated.tag.strip('"')
        return stated.version or f"{stated.modified}-{stated.size:x}"

    def fetch(self, name: str) -> Fetched:
        if not _can_be(self.key(name)):
            raise FileNotFoundError("no object can have this name")

        async def get() -> Fetched:
            answer = await self._send("get_object", Key=self.key(name))
            size, version = answer["ContentLength"], _version(answer)
            if size <= base.SPOOL_BYTES:
                return base.fetched_bytes(await self._body(name, answer), version)
            file = temporary_file()
            expected, digest = self._md5_of(answer), hashlib.md5(usedforsecurity=False)

            def keep(chunk: bytes) -> None:
                file.write(chunk)
                if expected is not None:
                    digest.update(chunk)

            try:
                async with answer["Body"] as body:
                    while chunk := await body.read(_CHUNK_BYTES):
                        await asyncio.to_thread(keep, chunk)
                _check_length(name, file.tell(), size)
                if expected is not None:
                    _check_md5(name, digest.hexdigest(), expected)
            except BaseException:
                file.close()
                raise
            return base.fetched_file(file, version)

        return self._ask(get)

    def supports_parallel_fetch(self, name: str) -> bool:
        return True

    def read(self, name: str) -> tuple[bytes, str]:
        async def get() -> tuple[bytes, str]:
            answer = await self._send("get_object", Key=self.key(name))
            return await self._body(name, answer), _version(answer)

        return self._ask(get)

    async def _body(self, name: str, answer: dict[str, Any]) -> bytes:
        """Return the body of an answer; raise ConnectionError if it is cut or damaged."""
        async with answer["Body"] as body:
            data = cast(bytes, await body.read())
        _check_length(name, len(data), answer["ContentLength"])
        expected = self._md5_of(answer)
        if expected is not None:
            is_small = len(data) <= _HASHED_AT_ONCE_BYTES
            digest = _md5(data) if is_small else await asyncio.to_thread(_md5, data)
            _check_md5(name, digest, expected)
        return data

    def _md5_of(self, answer: dict[str, Any]) -> str | None:
        """Return the MD5 that the body of an answer must have; None if it is not known.

        The ETag is the MD5 if the object was written in one part and is not encrypted with
        a KMS or client key. Where the answer has a checksum, botocore compares it itself.
        """
        tag = _version(answer)
        if (
            not self._check_etag
            or _MD5.fullmatch(tag) is None
            or not _is_whole(answer)
            or answer.get("ServerSideEncryption") not in (None, "AES256")
            or "SSECustomerAlgorithm" in answer
            or isinstance(answer["Body"], StreamingChecksumBody)
        ):
            return None
        return tag

    def open(self, name: str) -> tuple[BinaryIO, str]:
        async def get() -> RangeReader:
            # readers of Parquet begin at the end; one request fetches all of a small file
            try:
                answer = await self._send(
                    "get_object", Key=self.key(name), Range=f"bytes=-{READ_AHEAD}"
                )
            except Exception as error:
                if http_status(error) != 416:
                    raise
                answer = await self._send("get_object", Key=self.key(name))  # empty object
            tail = await self._body(name, answer)
            size = int(answer.get("ContentRange", f"/{len(tail)}").rpartition("/")[2])
            return RangeReader(self, name, _version(answer), size, tail)

        reader = self._ask(get)
        return cast(BinaryIO, reader), reader.version

    def read_range(self, name: str, start: int, end: int, version: str) -> bytes:
        """Return bytes ``start:end`` of one version of an object.

        Raises
        ------
        ConflictError
            If the object has another version now.
        """

        async def get() -> bytes:
            # no If-Match: services differ in its quotes, and the answer has the version anyway
            answer = await self._send(
                "get_object", Key=self.key(name), Range=f"bytes={start}-{end - 1}"
            )
            if _version(answer) != version:
                answer["Body"].close()
                raise ConflictError(f"{name} changed while it was read")
            return await self._body(name, answer)

        try:
            return self._ask(get)
        except OSError as error:
            if http_status(error) == 416:
                raise ConflictError(f"{name} changed while it was read") from error
            raise

    def replace(self, name: str, data: Contents, *, expected: Precondition = "any") -> str:
        n_bytes = base.size_of(data)
        if n_bytes > MAX_PUT_BYTES:
            raise StorageError(
                f"{name} would be {n_bytes / 2**30:.1f} GiB, more than one write takes: make a"
                " table of more buckets (featurelib extract --buckets), or export it to a local"
                " file and upload that"
            )
        condition: dict[str, Any] = {}
        if self._has_no_conditions:
            expected = "any"
        if expected is None:
            condition = {"IfNoneMatch": "*"}
        elif expected != "any":
            condition = {"IfMatch": f'"{expected}"' if self._quote_etag else expected}

        async def put() -> dict[str, Any]:
            if not isinstance(data, bytes):
                data.seek(0)  # an earlier attempt may have read some of it
            limit = self._answer_s + n_bytes / _SLOWEST
            try:
                # the client's own timeout begins when the body is sent
                async with asyncio.timeout(limit):
                    return await self._send(
                        "put_object", Key=self.key(name), Body=data, **condition
                    )
            except TimeoutError as error:
                raise TimeoutError(f"{name} was not written within {limit:.0f} s") from error

        try:
            return _version(self._ask(put))
        except OSError as error:
            if not condition or not refuses_condition(error):
                raise
            # the refused request may be a retry of one that succeeded unnoticed
            version = self._version_with(name, data)
            if version is not None:
                return version
            raise ConflictError(f"{name} is not the version it was merged from") from error

    def _version_with(self, name: str, data: Contents) -> str | None:
        """Return the version of an object if it has these contents, else None."""
        try:
            fetched = self.fetch(name)
        except FileNotFoundError:
            return None
        try:
            with base.contents_of(fetched) as stored:
                return fetched.version if _is_same(stored, data) else None
        finally:
            fetched.close()

    def age_s(self, name: str) -> float:
        """Return the seconds since an object was written, by the clock of the service alone."""
        answer = self._call("head_object", Key=self.key(name))
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return (now - answer["LastModified"]).total_seconds()

    def delete(self, names: list[str]) -> None:
        for start in range(0, len(names), _DELETE_AT_ONCE):
            keys = [{"Key": self.key(n)} for n in names[start : start + _DELETE_AT_ONCE]]
            answer = self._call("delete_objects", Delete={"Objects": keys, "Quiet": True})
            for failed in answer.get("Errors", ()):
                raise StorageError(f"cannot delete {failed['Key']}: {failed.get('Code')}")

    def delete_empty_folders(self, prefix: str) -> None:
        return  # a folder is a part of names

    def delete_leftovers(self) -> None:
        # a write is one request: there are no temporary files
        answer = self._call("list_objects_v2", Prefix=self.key(_PROBE))
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        found = page_of(answer)
        old = [
            key
            for key, time in zip(found.keys, found.times, strict=True)
            if (now - datetime.datetime.fromisoformat(time)).total_seconds() > _PROBE_S
        ]
        skip = len(self.key(_PROBE)) - len(_PROBE)
        self.delete([encode_path(key[skip:]) for key in old])

    def check_writable(self) -> None:
        name = f"{_PROBE}{uuid.uuid4().hex}"
        self.replace(name, b"may this be written?")
        self.delete([name])

    def probe_conditions(self) -> bool:
        """Test whether the service honours conditional writes; set `conditional`.

        Some services refuse the conditions, and some ignore them. They also differ in
        whether the ETag must be quoted.
        """
        name = f"{_PROBE}{uuid.uuid4().hex}"
        try:
            self.conditional = self._honours_conditions(name)
            self._has_no_conditions = not self.conditional
        finally:
            self.delete([name])
        return self.conditional

    def _honours_conditions(self, name: str) -> bool:
        version = self._try_to_replace(name, b"1", expected=None)
        if version is None or self._try_to_replace(name, b"2", expected=None) is not None:
            return False
        for self._quote_etag in (False, True):
            if self._try_to_replace(name, b"3", expected=version) is not None:
                return self._try_to_replace(name, b"4", expected=version) is None
        return False

    def _try_to_replace(self, name: str, data: bytes, *, expected: Precondition) -> str | None:
        try:
            return self.replace(name, data, expected=expected)
        except OSError as error:
            if isinstance(error, ConflictError) or http_status(error) in (400, 501):
                return None
            raise


def _is_same(stored: BinaryIO, data: Contents) -> bool:
    wanted = io.BytesIO(data) if isinstance(data, bytes) else data
    wanted.seek(0)
    while chunk := wanted.read(_CHUNK_BYTES):
        if stored.read(len(chunk)) != chunk:
            return False
    return not stored.read(1)


def _send_small_bodies_at_once(params: dict[str, Any], **_: Any) -> None:
    """Keep botocore from waiting for "100 Continue", which it does for bodies of any size."""
    length = determine_content_length(params["body"])
    if length is not None and length <= _AT_ONCE_BYTES:
        params["headers"].pop("Expect", None)


def _can_be(key: str) -> bool:
    """Return whether a key is valid; a list may name anything."""
    try:
        return len(key.encode()) <= _MAX_KEY_BYTES and "\0" not in key
    except UnicodeEncodeError:
        return False


def _is_whole(answer: dict[str, Any]) -> bool:
    """Return whether the body of an answer is the whole object, also where a range was asked."""
    size = answer["ContentLength"]
    return answer.get("ContentRange") in (None, f"bytes 0-{size - 1}/{size}")


def _version(answer: dict[str, Any]) -> str:
    return cast(str, answer["ETag"]).strip('"')


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _check_md5(name: str, digest: str, expected: str) -> None:
    if digest != expected:
        raise ConnectionError(
            f"{name}: its bytes are not those of its ETag, they were damaged on the way or in the"
            " store (on a service whose ETags are no MD5: --storage-option check_etag=false)"
        )


def _check_length(name: str, n_bytes: int, promised: int) -> None:
    if n_bytes != promised:
        raise ConnectionError(f"{name}: only {n_bytes} of {promised} bytes came")
