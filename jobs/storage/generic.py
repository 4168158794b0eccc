"""Any other fsspec file system: enough to read a corpus, and to write with one driver only."""

from __future__ import annotations

import datetime
import functools
import io
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import fsspec

from jobs.errors import ConflictError, StorageError
from jobs.paths import decode_path, encode_path
from jobs.retry import with_retries
from jobs.storage import base
from jobs.storage.base import PAGE, Entry, Fetched, Precondition

_CHUNK_BYTES = 4 * 2**20
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "md5", "checksum", "mtime", "LastModified", "created")


class GenericStore:
    """See `jobs.storage.base.Store`. It cannot write conditionally."""

    conditional = False

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.fs, self.root = fsspec.core.url_to_fs(url, **options)
        self.root = self.root.rstrip("/")
        protocol = url.split("://", 1)[0]
        self.url = f"{protocol}://{encode_path(self.root)}"

    def path(self, name: str) -> str:
        """Return a stored name's path on the file system."""
        return f"{self.root}/{decode_path(name)}" if name else self.root

    def _entry(self, path: str, info: dict[str, Any]) -> Entry:
        size = int(info.get("size") or 0)
        parts = [_token(info[key]) for key in _VERSION_KEYS if info.get(key) is not None]
        return Entry(encode_path(path[len(self.root) + 1 :]), size, "-".join([*parts, f"{size:x}"]))

    def scan(
        self, prefix: str = "", *, descend: Callable[[str], bool] = lambda folder: True
    ) -> Iterator[list[Entry]]:
        page: list[Entry] = []
        for folder, _, files in self.fs.walk(self.path(prefix), detail=True, on_error="raise"):
            for name, info in files.items():
                page.append(self._entry(f"{folder.rstrip('/')}/{name}", info))
                if len(page) >= PAGE:
                    yield page
                    page = []
        if page:
            yield page

    def stat(self, names: list[str]) -> list[Entry | None]:
        entries: list[Entry | None] = []
        for name in names:
            try:
                info = with_retries(functools.partial(self.fs.info, self.path(name)))
            except FileNotFoundError:
                entries.append(None)
                continue
            entries.append(self._entry(self.path(name), info))
        return entries

    def fetch(self, name: str) -> Fetched:
        [entry] = self.stat([name])
        if entry is None:
            raise FileNotFoundError(name)

        def still() -> bool:
            return self._version(name) == entry.version

        if entry.size <= base.SPOOL_BYTES:
            data = with_retries(lambda: self.fs.cat_file(self.path(name)))
            return Fetched(data, len(data), entry.version, still)
        file = with_retries(lambda: self._spool(name))
        return replace(base.fetched_file(file, entry.version), still=still)

    def _spool(self, name: str) -> BinaryIO:
        file = base.spool_file()
        try:
            with self.fs.open(self.path(name), "rb") as contents:
                shutil.copyfileobj(contents, file, _CHUNK_BYTES)
        except BaseException:
            file.close()
            raise
        return file

    def _version(self, name: str) -> str | None:
        [entry] = self.stat([name])
        return entry.version if entry else None

    def read(self, name: str) -> tuple[bytes, str]:
        version = self._version(name)
        if version is None:
            raise FileNotFoundError(name)
        return with_retries(lambda: self.fs.cat_file(self.path(name))), version

    def open(self, name: str) -> tuple[BinaryIO, str]:
        data, version = self.read(name)
        return io.BytesIO(data), version

    def replace(self, name: str, data: bytes, *, expected: Precondition = "any") -> str:
        if expected != "any" and self._version(name) != expected:
            raise ConflictError(f"{name} is not the version it was merged from")
        path = self.path(name)
        self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        # pipe_file: an `open` that is left by an error would publish half a file
        with_retries(lambda: self.fs.pipe_file(path, data))
        version = self._version(name)
        if version is None:
            raise StorageError(f"{name} was written, but is not there")
        return version

    def delete(self, names: list[str]) -> None:
        for name in names:
            try:
                self.fs.rm_file(self.path(name))
            except FileNotFoundError:
                continue

    def check_writable(self) -> None:
        name = f"_job/probe-{uuid.uuid4().hex}"
        self.replace(name, b"may this be written?")
        self.delete([name])


def _token(value: object) -> str:
    # some file systems give a time as a number in a listing, and as a date for one file
    return str(value.timestamp() if isinstance(value, datetime.datetime) else value)
