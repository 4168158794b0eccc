"""A folder on a local or mounted file system."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import stat as stat_module
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from jobs.errors import ConflictError, StorageError
from jobs.storage.base import (
    PAGE,
    Contents,
    Entry,
    Fetched,
    Page,
    Precondition,
    Stated,
    local_version,
    version_token,
    version_tokens,
)
from jobs.storage.names import decode_local, encode_local, utf8_name
from jobs.storage.retry import with_retries

#: Folder for files that are being written; on the same file system as their destination.
TEMPORARY = "_job/tmp"

_COPY_BYTES = 2**20

#: Size of a dangling symlink.
_UNKNOWN = -1

#: Error numbers that mean that no file has this name.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


class LocalStore:
    """A `jobs.storage.base.Store` in a local folder.

    Parameters
    ----------
    root : str
        The folder, as Python's `os` functions take it.
    """

    in_place = True
    conditional = False  # flock excludes other drivers, see jobs.table.lock

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self.url = encode_local(self.root)
        self.address = f"file://{utf8_name(self.root)}"  # a worker may have another locale

    def path(self, name: str) -> str:
        """Return the path of a stored name, for Python's `os` functions."""
        path = os.path.join(self.root, decode_local(name))
        if "\0" in path:
            raise FileNotFoundError(errno.ENOENT, "no file's name has a zero byte", name)
        return path

    def scan(
        self,
        prefix: str = "",
        *,
        descend: Callable[[str], bool] = lambda folder: True,
        in_order: bool = False,
    ) -> Iterator[Page]:
        names: list[str] = []
        sizes: list[int] = []
        times: list[int] = []
        start = len(self.root.rstrip("/")) + 1
        top = self.path(prefix) if prefix else self.root
        # the ancestors of each folder, by device and inode, stop cycles of symlinks
        pending: list[tuple[str, frozenset[tuple[int, int]]]] = [(top, frozenset())]
        while pending:
            folder, ancestors = pending.pop()
            status = os.stat(folder)
            identity = (status.st_dev, status.st_ino)
            if identity in ancestors:
                continue
            below = encode_local(os.path.join(folder, "")[start:])
            with os.scandir(folder) as items:
                while some := list(itertools.islice(items, PAGE - len(names))):
                    try:
                        found = _all_files(some) or _files_and_folders(some, below, descend)
                    except OSError:
                        found = _files_and_folders(some, below, descend)
                    names += [below + _encoded(name) for name in found.names]
                    sizes += found.sizes
                    times += found.times
                    pending += [(path, ancestors | {identity}) for path in found.folders]
                    if len(names) >= PAGE:
                        yield _page(names, sizes, times)
                        names, sizes, times = [], [], []
        if names:
            yield _page(names, sizes, times)

    def stat(self, names: list[str]) -> list[Entry | None]:
        entries: list[Entry | None] = []
        for name in names:
            try:
                status = os.stat(self.path(name))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                entries.append(None)
                continue
            entries.append(Entry(name, status.st_size, local_version(status)))
        return entries

    def stated_version(self, name: str, stated: Stated) -> str:
        if stated.version is None and isinstance(stated.modified, int):
            return version_token(stated.modified, stated.size)
        return stated.version or f"{stated.tag or stated.modified}-{stated.size:x}"

    def fetch(self, name: str) -> Fetched:
        return with_retries(lambda: self._fetch(name), attempts=4)  # network shares may fail

    def _fetch(self, name: str) -> Fetched:
        path = self.path(name)
        # O_NONBLOCK: opening a pipe must not wait for a writer
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _ABSENT:
                raise FileNotFoundError(errno.ENOENT, error.strerror, path) from error
            raise
        try:
            status = os.fstat(fd)
            if not stat_module.S_ISREG(status.st_mode):
                raise StorageError(f"not a regular file: {name}")
            with contextlib.suppress(OSError):  # only a hint to load it into the page cache
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(fd)
        version = local_version(status)

        def is_unchanged() -> bool:
            try:
                return local_version(os.stat(path)) == version
            except FileNotFoundError:
                return False

        return Fetched(path, status.st_size, version, is_unchanged)

    def supports_parallel_fetch(self, name: str) -> bool:
        return True

    def read(self, name: str) -> tuple[bytes, str]:
        with open(self.path(name), "rb") as file:
            return file.read(), local_version(os.fstat(file.fileno()))

    def open(self, name: str) -> tuple[BinaryIO, str]:
        file = open(self.path(name), "rb")  # noqa: SIM115 - the caller closes it
        return file, local_version(os.fstat(file.fileno()))

    def replace(self, name: str, data: Contents, *, expected: Precondition = "any") -> str:
        path = self.path(name)
        if expected != "any":
            [entry] = self.stat([name])
            version_now = entry.version if entry else None
            if version_now != expected:
                raise ConflictError(f"{name} is not the version it was merged from")
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        temporary = os.path.join(self.root, TEMPORARY, uuid.uuid4().hex)
        os.makedirs(os.path.dirname(temporary), exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                if isinstance(data, bytes):
                    file.write(data)
                else:
                    data.seek(0)
                    shutil.copyfileobj(data, file, _COPY_BYTES)
                file.flush()
                os.fsync(file.fileno())
                version = local_version(os.fstat(file.fileno()))
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        _sync_folder(folder)
        return version

    def append(self, name: str, data: bytes) -> None:
        """Append to a file, or create it; after an error the file is as it was before."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab", buffering=0) as file:
            size = file.tell()
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:])
            except OSError:
                file.truncate(size)  # not half a line
                raise

    def delete(self, names: list[str]) -> None:
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(name))

    def delete_empty_folders(self, prefix: str) -> None:
        top = self.path(prefix)
        for folder, _, _ in os.walk(top, topdown=False):
            if folder != top:
                with contextlib.suppress(OSError):  # it is not empty
                    os.rmdir(folder)

    def delete_leftovers(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for page in self.scan(TEMPORARY):
                self.delete([entry.name for entry in page])

    def check_writable(self) -> None:
        folder = Path(self.root, TEMPORARY)  # leftovers there are not taken for foreign files
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / uuid.uuid4().hex
        probe.touch(exist_ok=False)
        probe.unlink(missing_ok=True)  # another run that starts may have deleted it


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class _Found(NamedTuple):
    """Files in a folder, in columns, and the paths of folders to list."""

    names: list[str]
    sizes: list[int]
    times: list[int]
    folders: list[str]


def _all_files(items: list[os.DirEntry[str]]) -> _Found | None:
    """Return files that are all regular, as nearly always; None if others are among them.

    Raises
    ------
    OSError
        If there is an error with one of them.
    """
    if not all(map(os.DirEntry.is_file, items)):
        return None
    statuses = [item.stat() for item in items]
    return _Found(
        [item.name for item in items],
        [status.st_size for status in statuses],
        [status.st_mtime_ns for status in statuses],
        [],
    )


def _files_and_folders(
    items: list[os.DirEntry[str]], below: str, descend: Callable[[str], bool]
) -> _Found:
    """Return the files and folders among the items of a folder.

    Raises
    ------
    OSError
        If an item cannot be read, and is no folder that is left out.
    """
    found = _Found([], [], [], [])
    for item in items:
        size = time = _UNKNOWN
        try:
            is_folder = item.is_dir()
            status = item.stat()
        except OSError as error:
            if error.errno in _ABSENT:  # deleted meanwhile, or a dangling symlink
                if error.errno == errno.ELOOP or not item.is_symlink():
                    continue
                # its target may be there tomorrow
            elif not descend(below + _encoded(item.name)):
                continue
            else:
                raise
        else:
            if is_folder:
                if descend(below + _encoded(item.name)):
                    found.folders.append(item.path)
                continue
            if not stat_module.S_ISREG(status.st_mode):
                continue
            size, time = status.st_size, status.st_mtime_ns
        found.names.append(item.name)
        found.sizes.append(size)
        found.times.append(time)
    return found


def _page(names: list[str], sizes: list[int], times: list[int]) -> Page:
    versions = version_tokens(times, sizes)
    if _UNKNOWN in sizes:
        versions = ["" if s == _UNKNOWN else v for v, s in zip(versions, sizes, strict=True)]
    return Page(names, sizes, versions)


def _encoded(name: str) -> str:
    """Return `encode_local` of a name, at little cost where nothing is to be encoded."""
    return name if name.isascii() and "\\" not in name else encode_local(name)
