"""Many small files in one unnamed temporary file, which vanishes with the process."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable
from typing import Any, BinaryIO, cast

from jobs.storage.base import Fetched, Store, contents_of
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.storage.scratch import spooled_file
from jobs.storage.seekable import Seekable

_COPY_BYTES = 2**20


class Section(Seekable):
    """A byte range of a file as a file object; writing extends it.

    Threads may use different sections of a file at the same time.

    Parameters
    ----------
    file : binary file object
        The whole file; using a section moves its position.
    lock : lock
        Lock of the file's position.
    start : int
        Offset of the section's first byte.
    size : int
        Number of bytes in the section.
    """

    def __init__(self, file: BinaryIO, lock: threading.Lock, start: int, size: int = 0) -> None:
        super().__init__(size)
        self._file, self._lock, self._start = file, lock, start

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        n_bytes = max(0, min(len(view), self._size - self._position))
        with self._lock:
            self._file.seek(self._start + self._position)
            data = self._file.read(n_bytes)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        with self._lock:
            self._file.seek(self._start + self._position)
            n_bytes = self._file.write(cast(bytes, memoryview(data).cast("B")))
        self._position += n_bytes
        self._size = max(self._size, self._position)
        return n_bytes

    def reopened(self) -> Section:
        """Return a second file object for the section, positioned at its start."""
        return Section(self._file, self._lock, self._start, self._size)

    @property
    def end(self) -> int:
        """Offset of the first byte after the section."""
        return self._start + self._size


class Spool:
    """A temporary file of sections, which is in memory while it is small.

    Parameters
    ----------
    n_bytes : int
        A larger file is moved to disk.
    """

    def __init__(self, n_bytes: int) -> None:
        self._file = spooled_file(n_bytes)
        self._lock = threading.Lock()
        self._last = Section(self._file, self._lock, 0)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def section(self) -> Section:
        """Begin a new section; earlier sections must not be written to any more."""
        self._last = Section(self._file, self._lock, self._last.end)
        return self._last


class LocalFiles:
    """Context manager that opens files of a store any number of times, copying remote ones.

    All copies share one temporary file, so few files are open at once.

    Parameters
    ----------
    store : Store
        Store of the files.
    n_bytes : int
        Copies that are larger in total are moved to disk.
    """

    def __init__(self, store: Store, n_bytes: int) -> None:
        self._store = store
        self._spool = Spool(n_bytes)
        self._copies: dict[str, tuple[Section, str]] = {}

    def __enter__(self) -> LocalFiles:
        return self

    def __exit__(self, *error: object) -> None:
        self._spool.__exit__()

    def open(self, name: str) -> tuple[BinaryIO, str]:
        """Open one version of a file for random reads; return the file and the version."""
        if self._store.in_place:
            return self._store.open(name)
        if name not in self._copies:
            self._keep(name, self._store.fetch(name))
        section, version = self._copies[name]
        return cast(BinaryIO, section.reopened()), version

    def copy(self, names: Iterable[str]) -> None:
        """Copy remote files, several at once; a file that does not exist is left out."""
        if self._store.in_place:
            return

        def fetch(name: str) -> tuple[str, Fetched] | None:
            try:
                return name, self._store.fetch(name)
            except FileNotFoundError:
                return None

        for found in in_threads(fetch, names, requests_at_once(self._store)):
            if found is not None:
                self._keep(*found)

    def _keep(self, name: str, fetched: Fetched) -> None:
        try:
            section = self._spool.section()
            with contents_of(fetched) as contents:
                shutil.copyfileobj(contents, section, _COPY_BYTES)
        finally:
            fetched.close()
        self._copies[name] = section, fetched.version
