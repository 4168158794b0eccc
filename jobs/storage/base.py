"""What the job asks of a place that holds files: a folder, a bucket, any fsspec URL."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple, Protocol, cast

PAGE = 1000
"""Entries in a page of a listing."""

SPOOL_BYTES = 64 * 2**20
"""Larger files from elsewhere are fetched to a temporary file, not into memory."""

Contents = bytes | BinaryIO
"""What is written: bytes, or a file that is read from its start and can be rewound."""

Precondition = str | None | Literal["any"]
"""What a conditional write expects: a version, None for absent, ``"any"`` for no condition."""


class Entry(NamedTuple):
    """One file of a listing."""

    name: str
    """Stored form of the path relative to the store's root (see `jobs.storage.names`)."""
    size: int
    """In bytes; -1 for a link to nothing, whose target may be there at another time."""
    version: str
    """Changes when the contents do: S3's ETag; size and modification time locally."""


class Stated(NamedTuple):
    """What a list states of a file; at least one of the last three is known."""

    size: int
    tag: str | None = None
    """ETag, with or without its quotes."""
    version: str | None = None
    """Version as `Entry` has it."""
    modified: int | str | None = None
    """Modification time in nanoseconds since 1970, or a text that could not be read as one."""


@dataclass(frozen=True)
class Fetched:
    """A file made ready for decoding, and the version of what will be read."""

    source: str | bytes
    """A local path, or the contents."""
    size: int
    version: str
    is_unchanged: Callable[[], bool] = lambda: True
    """Whether `source` still is `version` once it has been read."""
    close: Callable[[], None] = lambda: None
    """Gives back what `source` takes up; it is not to be read any more then."""


class Store(Protocol):
    """Files below one root. Names are stored forms, relative to the root, with ``/``.

    Every method raises OSError (FileNotFoundError, PermissionError, … as they apply).
    """

    url: str
    """The root, canonical, without credentials."""
    address: str
    """Where another process opens the same root. It may hold a password: never for people."""
    in_place: bool
    """Whether `fetch` only looks at a file, which is then read where it lies."""
    conditional: bool
    """Whether `replace` checks its precondition against other machines' writes."""

    def scan(
        self, prefix: str = "", *, descend: Callable[[str], bool] = lambda folder: True
    ) -> Iterator[list[Entry]]:
        """Yield every regular file below `prefix`, page by page, in no stated order.

        `descend` may turn a folder down by name where there are folders. A folder
        that cannot be read is an error, never a smaller listing.
        """

    def stat(self, names: list[str]) -> list[Entry | None]:
        """Return each named file's entry, or None where there is none."""

    def stated_version(self, name: str, stated: Stated) -> str:
        """Return the version that `stat` gives a file of which a list states so much.

        Where that cannot be told, it is one that `stat` never gives.
        """

    def fetch(self, name: str) -> Fetched:
        """Make a file ready for decoding."""

    def supports_parallel_fetch(self, name: str) -> bool:
        """Say whether several threads can `fetch` files like this one at the same time."""

    def read(self, name: str) -> tuple[bytes, str]:
        """Return a file's contents and their version."""

    def open(self, name: str) -> tuple[BinaryIO, str]:
        """Open a file for random reads of one version, and say which."""

    def replace(self, name: str, data: Contents, *, expected: Precondition = "any") -> str:
        """Publish a file's whole contents in one atomic step; return the new version.

        Raises
        ------
        ConflictError
            If the file is not what `expected` says.
        """

    def delete(self, names: list[str]) -> None:
        """Delete files; one that is gone already is no error."""

    def delete_leftovers(self) -> None:
        """Delete temporary files of killed writers. Call only while holding the write lock."""

    def check_writable(self) -> None:
        """Raise OSError unless files can be made below the root (which is made too)."""


def contents_of(fetched: Fetched) -> BinaryIO:
    """Open what was fetched for reading."""
    source = fetched.source
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def size_of(data: Contents) -> int:
    """Return how many bytes will be written."""
    return len(data) if isinstance(data, bytes) else data.seek(0, io.SEEK_END)


def fetched_bytes(data: bytes, version: str) -> Fetched:
    """Return contents that are in memory.

    Where the system can, as a file there: decoders read it by themselves, where they would
    have to wait for Python's lock, and so for the threads that read ahead, at every bit.
    """
    try:
        file = os.fdopen(os.memfd_create("featurelib"), "wb")
    except (AttributeError, OSError):  # not this system, or not in this container
        return Fetched(data, len(data), version)
    file.write(data)
    return fetched_file(file, version)


def spool_file() -> BinaryIO:
    """Open a file for contents too large for memory; it has no name, so nothing is left of it."""
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="featurelib-"))


def fetched_file(file: BinaryIO, version: str) -> Fetched:
    """Return contents that were written to a file without a name."""
    file.flush()
    path = f"/proc/self/fd/{file.fileno()}"
    return Fetched(path, os.fstat(file.fileno()).st_size, version, close=file.close)


def local_version(status: os.stat_result) -> str:
    """Return the version token of a local file: modification time and size."""
    return version_token(status.st_mtime_ns, status.st_size)


def version_token(mtime_ns: int, size: int) -> str:
    """Return the version token of a local file of which so much is known."""
    return f"{mtime_ns:x}-{size:x}"
