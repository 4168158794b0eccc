"""A store on any fsspec file system. Its writes are safe only with a single driver."""

from __future__ import annotations

import contextlib
import datetime
import functools
import io
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, BinaryIO, TypeVar

import fsspec
import xxhash

from jobs.errors import ConflictError, StorageError
from jobs.storage import base
from jobs.storage.base import PAGE, Contents, Entry, Fetched, Page, Precondition, Stated
from jobs.storage.names import decode_path, encode_path
from jobs.storage.retry import http_status, is_transient, with_retries
from jobs.storage.scratch import temporary_file
from jobs.storage.urls import redacted

_CHUNK_BYTES = 4 * 2**20
_STATS_AT_ONCE = 16

_TAG_KEYS = (
    "ETag",
    "etag",
    "md5Hash",
    "md5",
    "checksum",
    "sha",
    "blob_id",
    "hex",
    "content_hash",
    "Content-MD5",
    "Digest",
)
_TIME_KEYS = (
    "mtime",
    "LastModified",
    "Last-Modified",
    "last_modified",
    "last_write_time",
    "modificationTime",
    "modified",
    "modified_at",
    "modify",
    "updated",
    "created",
)

#: Exceptions that some file systems raise, wrapped in FileNotFoundError, for a missing file.
_ABSENT = (LookupError, StopIteration, ValueError)

_USER_IN_URL = re.compile(r"://[^/\s'\"]*@")

#: Version prefix for files without tag and time. Never the version of a file that was read.
_UNVERSIONED = "?-"

T = TypeVar("T")


class GenericStore:
    """A `jobs.storage.base.Store` on an fsspec file system, without conditional writes.

    A file with neither tag nor time is read again by every run: `fetch` returns the hash of
    its contents as its version, which no listing knows. A folder of such files is refused.

    Parameters
    ----------
    address : str
        URL of the root; it may contain a password.
    options : dict
        Options of the URL's file system.
    """

    in_place = False
    conditional = False

    def __init__(self, address: str, options: dict[str, Any]) -> None:
        self.address = address
        protocol, _, rest = redacted(address).partition("://")
        self.url = encode_path(f"{protocol}://{rest.rstrip('/')}")
        self._has_quoted_tags = protocol in ("http", "https")
        self._class = fsspec.get_filesystem_class(protocol)
        own = address.partition("://")[2].rstrip("/")
        probe = str(self._class._strip_protocol(f"{protocol}://{own}/x"))
        self._start = probe.removesuffix("x")
        self.root = self._start.rstrip("/") or self._start
        self._options = {
            **self._class._get_kwargs_from_urls(address),
            **options,
            "skip_instance_cache": True,
        }
        # a connection is not thread-safe
        self._turn: AbstractContextManager[Any] = (
            contextlib.nullcontext() if self._class.async_impl else threading.RLock()
        )
        self._fs: Any = None
        try:
            _ = self.fs
        except OSError:
            pass  # the next request connects again
        except (TypeError, ValueError, ImportError):
            raise
        except Exception as error:
            if not is_transient(error):
                raise _as_oserror(error, "") from error

    @property
    def fs(self) -> Any:
        """The fsspec file system; reconnects after a broken connection."""
        if self._fs is None:
            self._fs = self._class(**self._options)
        return self._fs

    def _ask(self, call: Callable[[], T], name: str = "") -> T:
        """Call a function that uses the file system; retry transient errors."""

        def attempt() -> T:
            try:
                with self._turn:
                    return call()
            except Exception as error:
                translated = _as_oserror(error, name)
                if not self._class.async_impl and is_transient(translated):
                    self._fs = None
                if translated is error:
                    raise
                raise translated from _without_secrets(error)

        return with_retries(attempt)

    def path(self, name: str) -> str:
        """Return the path of a stored name on the file system."""
        return self._start + decode_path(name) if name else self.root

    def scan(
        self,
        prefix: str = "",
        *,
        descend: Callable[[str], bool] = lambda folder: True,
        in_order: bool = False,
    ) -> Iterator[Page]:
        self._ask(lambda: self.fs.invalidate_cache())
        page: list[Entry] = []
        pending = [prefix]
        while pending:
            folder = pending.pop()
            for info in self._ask(functools.partial(self._list, folder), folder):
                below = encode_path(info["name"].rstrip("/").rpartition("/")[2])
                name = f"{folder}/{below}" if folder else below
                if info["type"] == "directory":
                    if descend(name):
                        pending.append(name)
                    continue
                entry = _entry(name, info)
                if entry.version.startswith(_UNVERSIONED):
                    raise StorageError(
                        "its listing has neither times nor tags of files, so a change would"
                        " never be seen: give a list of files, or copy them to where it has"
                    )
                page.append(entry)
                if len(page) >= PAGE:
                    yield _page(page)
                    page = []
        if page:
            yield _page(page)

    def _list(self, folder: str) -> list[dict[str, Any]]:
        path = self.path(folder)
        infos = self.fs.ls(path, detail=True)
        own = path.rstrip("/")
        below = [info for info in infos if info["name"].rstrip("/") != own]
        if infos and not below and infos[0]["type"] != "directory" and infos[0].get("size"):
            raise NotADirectoryError(f"{folder or self.url} is one file: give its folder")
        return below

    def _info(self, name: str) -> dict[str, Any] | None:
        try:
            return self._ask(lambda: self.fs.info(self.path(name)), name)
        except FileNotFoundError:
            return None

    def stat(self, names: list[str]) -> list[Entry | None]:
        self._ask(lambda: self.fs.invalidate_cache())
        if self._class.async_impl and len(names) > 1:
            with ThreadPoolExecutor(_STATS_AT_ONCE) as pool:
                infos = list(pool.map(self._info, names))
        else:
            infos = [self._info(name) for name in names]
        return [
            _entry(name, info) if info is not None else None
            for name, info in zip(names, infos, strict=True)
        ]

    def stated_version(self, name: str, stated: Stated) -> str:
        tag, modified = stated.tag, stated.modified
        if stated.version is not None and tag is None:
            return stated.version
        if tag is not None and self._has_quoted_tags and not tag.endswith('"'):
            tag = f'"{tag}"'
        if isinstance(modified, int):
            modified = str(modified / 10**9)
        return f"{tag or modified}-{stated.size:x}"

    def _present(self, name: str) -> tuple[Entry, bool]:
        """Return the entry of a file that exists, and whether its size is known."""
        self._ask(lambda: self.fs.invalidate_cache())
        info = self._info(name)
        if info is None:
            raise FileNotFoundError(name)
        return _entry(name, info), info.get("size") is not None

    def fetch(self, name: str) -> Fetched:
        entry, has_size = self._present(name)

        def is_unchanged() -> bool:
            return self._version(name) == entry.version

        if has_size and entry.size <= base.SPOOL_BYTES:
            data = self._ask(lambda: bytes(self.fs.cat_file(self.path(name))), name)
            fetched = base.fetched_bytes(data, entry.version)
            digest = xxhash.xxh3_128_hexdigest(data)
        else:
            file, digest = self._ask(lambda: self._spool(name), name)
            fetched = base.fetched_file(file, entry.version)
        if entry.version.startswith(_UNVERSIONED):
            return replace(fetched, version=digest)
        return replace(fetched, is_unchanged=is_unchanged)

    def _spool(self, name: str) -> tuple[BinaryIO, str]:
        file = temporary_file()
        try:
            with self.fs.open(self.path(name), "rb") as contents:
                shutil.copyfileobj(contents, file, _CHUNK_BYTES)
            file.seek(0)
            digest = xxhash.xxh3_128()
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        except BaseException:
            file.close()
            raise
        return file, digest.hexdigest()

    def _version(self, name: str) -> str | None:
        [entry] = self.stat([name])
        return entry.version if entry else None

    def supports_parallel_fetch(self, name: str) -> bool:
        return bool(self._class.async_impl)

    def read(self, name: str) -> tuple[bytes, str]:
        entry, _ = self._present(name)
        return self._ask(lambda: bytes(self.fs.cat_file(self.path(name))), name), entry.version

    def open(self, name: str) -> tuple[BinaryIO, str]:
        data, version = self.read(name)
        return io.BytesIO(data), version

    def replace(self, name: str, data: Contents, *, expected: Precondition = "any") -> str:
        if expected != "any" and self._version(name) != expected:
            raise ConflictError(f"{name} is not the version it was merged from")
        path = self.path(name)
        if not isinstance(data, bytes):
            data.seek(0)
        contents = data if isinstance(data, bytes) else data.read()

        def put() -> None:
            self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            # not `open`: when an error leaves its context, it publishes half a file
            self.fs.pipe_file(path, contents)

        self._ask(put, name)
        version = self._version(name)
        if version is None:
            raise StorageError(f"{name} was written, but is not there")
        return version

    def delete(self, names: list[str]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._ask(functools.partial(self._remove, name), name)

    def _remove(self, name: str) -> None:
        self.fs.rm_file(self.path(name))

    def delete_empty_folders(self, prefix: str) -> None:
        return  # a folder is a part of names

    def delete_leftovers(self) -> None:
        return  # a write is one request: there are no temporary files

    def check_writable(self) -> None:
        name = f"_job/probe-{uuid.uuid4().hex}"
        self.replace(name, b"may this be written?")
        self.delete([name])


def _page(entries: list[Entry]) -> Page:
    names, sizes, versions = map(list, zip(*entries, strict=True))
    return Page(names, sizes, versions)


def _entry(name: str, info: dict[str, Any]) -> Entry:
    size = int(info.get("size") or 0)
    # the first key in a fixed order: `info` of a file returns more keys than a listing does
    for key in (*_TAG_KEYS, *_TIME_KEYS):
        if info.get(key) not in (None, ""):
            return Entry(name, size, f"{_token(info[key])}-{size:x}")
    return Entry(name, size, f"{_UNVERSIONED}{size:x}")


def _token(value: object) -> str:
    # some file systems return a time as a number in a listing, and as a date from `info`
    return str(value.timestamp() if isinstance(value, datetime.datetime) else value)


def _as_oserror(error: Exception, name: str) -> OSError:
    """Return any error of a file system as an OSError without credentials."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and cause is not None and not _says_absent(cause):
        assert isinstance(cause, Exception)
        error = cause  # some file systems turn every error into FileNotFoundError
    status = http_status(error)
    text = _USER_IN_URL.sub("://", " ".join(str(error).split()))
    message = f"{name}: {text}" if name and name not in text else text
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return FileNotFoundError(message)
    if isinstance(error, PermissionError) or status in (401, 403, 407):
        return PermissionError(f"{name or 'access'}: denied, {status or text}")
    if isinstance(error, OSError) and text == str(error):
        return error
    message = f"{message} ({type(error).__name__})" if text else f"{message}{type(error).__name__}"
    return ConnectionError(message) if is_transient(error) else StorageError(message)


def _says_absent(cause: BaseException) -> bool:
    if http_status(cause) is not None:
        return http_status(cause) in (404, 410)
    if isinstance(cause, OSError):
        return isinstance(cause, FileNotFoundError)
    return isinstance(cause, _ABSENT) or str(cause).startswith("550")  # FTP's code


def _without_secrets(error: Exception) -> Exception | None:
    return None if _USER_IN_URL.search(str(error)) else error
