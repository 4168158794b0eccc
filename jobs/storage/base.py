"""The `Store` protocol, for files in a folder, a bucket or another fsspec file system."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple, Protocol, overload

#: Entries in a page of a listing.
PAGE = 1000

#: Larger remote files are fetched to a temporary file, not into memory.
SPOOL_BYTES = 64 * 2**20

_TOKEN = "%x-%x"

#: Contents to write: bytes, or a seekable file that is read from its start.
Contents = bytes | BinaryIO

#: Expected state for a conditional write: a version, None for absent, ``"any"`` for no condition.
Precondition = str | None | Literal["any"]


class Entry(NamedTuple):
    """One file of a listing.

    Attributes
    ----------
    name : str
        Stored form of the path relative to the store's root (see `jobs.storage.names`).
    size : int
        Size in bytes; -1 for a dangling symlink (its target may be on an unmounted disk).
    version : str
        Changes when the contents change: the ETag on S3; modification time and size locally.
    """

    name: str
    size: int
    version: str


class Page(Sequence[Entry]):
    """Some files of a listing, in columns; as a sequence it gives each `Entry`.

    Attributes
    ----------
    names : list of str
        Names of the files, in stored form.
    sizes : list of int
        Their sizes in bytes, as in `Entry`.
    versions : list of str
        Their versions.
    """

    def __init__(self, names: list[str], sizes: list[int], versions: list[str]) -> None:
        self.names, self.sizes, self.versions = names, sizes, versions

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> Page: ...

    def __getitem__(self, index: int | slice) -> Entry | Page:
        if isinstance(index, slice):
            return Page(self.names[index], self.sizes[index], self.versions[index])
        return Entry(self.names[index], self.sizes[index], self.versions[index])

    def __iter__(self) -> Iterator[Entry]:
        return map(Entry, self.names, self.sizes, self.versions)


class Stated(NamedTuple):
    """Size and version that a list states for a file; at least one of the last three is known.

    Attributes
    ----------
    size : int
        Size in bytes.
    tag : str, optional
        ETag, with or without quotes.
    version : str, optional
        Version token, as in `Entry`.
    modified : int or str, optional
        Modification time in nanoseconds since 1970, or a text that is not a known time format.
    """

    size: int
    tag: str | None = None
    version: str | None = None
    modified: int | str | None = None


@dataclass(frozen=True)
class Fetched:
    """A file that is ready for decoding.

    Attributes
    ----------
    source : str or bytes
        A local path, or the contents.
    size : int
        Size in bytes.
    version : str
        Version of the contents that will be read.
    is_unchanged : callable
        Returns whether `source` still has `version`; to be asked after reading.
    close : callable
        Releases the memory or disk space of `source`, which must not be read afterwards.
    """

    source: str | bytes
    size: int
    version: str
    is_unchanged: Callable[[], bool] = lambda: True
    close: Callable[[], None] = lambda: None


class Store(Protocol):
    """Files below one root.

    Names are stored forms, relative to the root, with ``/``. Every method raises OSError
    or a subclass (FileNotFoundError, PermissionError, …).

    Attributes
    ----------
    url : str
        The root, canonical, without credentials.
    address : str
        Location by which another process opens the same root. It may hold a password, so it
        must not be shown.
    in_place : bool
        Whether files are decoded where they are, so that `fetch` copies nothing.
    conditional : bool
        Whether `replace` checks its precondition against the writes of other machines.
    """

    url: str
    address: str
    in_place: bool
    conditional: bool

    def scan(
        self,
        prefix: str = "",
        *,
        descend: Callable[[str], bool] = lambda folder: True,
        in_order: bool = False,
    ) -> Iterator[Page]:
        """Yield every regular file below `prefix`, page by page, in no defined order.

        Parameters
        ----------
        prefix : str
            Folder to list; the root by default.
        descend : callable
            Returns whether to list a folder, by its name. Object stores have no folders and
            do not ask.
        in_order : bool
            List in the order of the service, the same every time, though it may take longer.

        Raises
        ------
        OSError
            If a folder cannot be read: a listing is never silently incomplete.
        """

    def stat(self, names: list[str]) -> list[Entry | None]:
        """Return the entry of each named file; None for a file that does not exist."""

    def stated_version(self, name: str, stated: Stated) -> str:
        """Return the version that `stat` would return for a file with these statements.

        If it cannot be derived, the result is a version that `stat` never returns.
        """

    def fetch(self, name: str) -> Fetched:
        """Make a file ready for decoding."""

    def supports_parallel_fetch(self, name: str) -> bool:
        """Return whether several threads can `fetch` files like this one in parallel."""

    def read(self, name: str) -> tuple[bytes, str]:
        """Return the contents of a file and their version."""

    def open(self, name: str) -> tuple[BinaryIO, str]:
        """Open one version of a file for random reads; return the file and the version."""

    def replace(self, name: str, data: Contents, *, expected: Precondition = "any") -> str:
        """Replace the whole contents of a file atomically; return the new version.

        Raises
        ------
        ConflictError
            If the file does not have the `expected` version.
        """

    def delete(self, names: list[str]) -> None:
        """Delete files; a file that does not exist is not an error."""

    def delete_empty_folders(self, prefix: str) -> None:
        """Delete the folders below `prefix` that have no files; object stores have none."""

    def delete_leftovers(self) -> None:
        """Delete temporary files of killed writers. Call only while holding the write lock."""

    def check_writable(self) -> None:
        """Create the root if it is missing; raise OSError if no file can be created below it."""


def contents_of(fetched: Fetched) -> BinaryIO:
    """Open a fetched file for reading."""
    source = fetched.source
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def size_of(data: Contents) -> int:
    """Return the number of bytes in contents to be written."""
    return len(data) if isinstance(data, bytes) else data.seek(0, io.SEEK_END)


def fetched_bytes(data: bytes, version: str) -> Fetched:
    """Return contents that are in memory as a fetched file.

    Linux makes them an in-memory file, which decoders read without Python. Each read of a
    Python object would wait for the GIL, which the prefetching threads also use.
    """
    try:
        file = os.fdopen(os.memfd_create("featurelib"), "wb")
    except (AttributeError, OSError):  # not Linux, or forbidden in this container
        return Fetched(data, len(data), version)
    file.write(data)
    return fetched_file(file, version)


def fetched_file(file: BinaryIO, version: str) -> Fetched:
    """Return the contents of an unnamed file as a fetched file."""
    file.flush()
    path = f"/proc/self/fd/{file.fileno()}"
    return Fetched(path, os.fstat(file.fileno()).st_size, version, close=file.close)


def local_version(status: os.stat_result) -> str:
    """Return the version token of a local file: modification time and size."""
    return version_token(status.st_mtime_ns, status.st_size)


def version_token(mtime_ns: int, size: int) -> str:
    """Return the version token of a local file with this modification time and size."""
    return _TOKEN % (mtime_ns, size)


def version_tokens(times: Iterable[int], sizes: Iterable[int]) -> list[str]:
    """Return the version tokens of local files with these modification times [ns] and sizes."""
    return list(map(_TOKEN.__mod__, zip(times, sizes, strict=True)))
