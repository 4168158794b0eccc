"""A read-only store of the files that a list names, by relative path, full path or URL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import fsspec

from jobs.errors import StorageError, UsageError
from jobs.storage.base import Contents, Entry, Fetched, Page, Precondition, Stated, Store
from jobs.storage.opening import open_store
from jobs.storage.urls import is_chained, is_url, protocol_of, redacted

#: Protocols that a remote list may name: none of them reads files of this machine.
_REMOTE = frozenset(
    {
        "abfs",
        "abfss",
        "adl",
        "az",
        "ftp",
        "gcs",
        "gdrive",
        "gs",
        "hdfs",
        "hf",
        "http",
        "https",
        "oci",
        "oss",
        "s3",
        "sftp",
        "smb",
        "ssh",
        "tos",
        "webdav",
        "webhdfs",
    }
)


class ListedStore:
    """A read-only `jobs.storage.base.Store` whose names may be full URLs.

    Parameters
    ----------
    home : Store
        The list's folder, to which other names are relative.
    options : dict, optional
        Storage options for URLs of the same protocol as `home`. If `home` is a local folder,
        which has no options, they are for all URLs.
    """

    in_place = False
    conditional = False

    def __init__(self, home: Store, options: dict[str, Any] | None) -> None:
        self.home = home
        self.url = home.url
        self.address = home.address
        self._protocol = protocol_of(home.url)
        self._options = options
        self._others: dict[str, Store] = {}

    def check(self, names: Iterable[str], list_name: str) -> None:
        """Raise UsageError if the list names a file that it may not name.

        Parameters
        ----------
        names : iterable of str
            The names in the list, in stored form.
        list_name : str
            The list's name, for errors.

        Raises
        ------
        UsageError
            If a remote list names files of this machine, or a URL is chained or has a user
            or password. Also if the options could be for URLs of several protocols.
        """
        is_local = self._protocol == "file"
        protocols = set()
        for name in names:
            protocol = protocol_of(name)
            if is_chained(name):
                raise UsageError(f"{list_name} names {redacted(name)}: chained URLs are not read")
            if not is_local and protocol not in (_REMOTE | {self._protocol}):
                if is_url(name) or name.startswith("/"):
                    raise UsageError(
                        f"{list_name} names {redacted(name)}, and a list from elsewhere may name"
                        " no file of this machine: copy the list to this machine"
                    )
                continue
            if is_url(name) and redacted(name).partition("://")[2] != name.partition("://")[2]:
                raise UsageError(
                    f"{list_name} gives a user or password for {redacted(name)}, which would get"
                    " into the table with the path: give them with --storage-option"
                )
            protocols.add(protocol)
        protocols.discard("file")
        if self._options and is_local and len(protocols) > 1:
            raise UsageError(
                f"{list_name} names URLs of {' and '.join(sorted(protocols))}, and the storage"
                " options are for one of them: make a list for each"
            )

    def _store_of(self, name: str) -> tuple[Store, str]:
        if not is_url(name):
            return self.home, name
        protocol, _, rest = name.partition("://")
        place, _, below = rest.partition("/")
        base = f"{protocol}://{place}"
        if base not in self._others:
            takes_options = self._protocol in ("file", protocol_of(base))
            self._others[base] = open_store(base, self._options if takes_options else None)
        return self._others[base], below

    def _open_of(self, name: str) -> tuple[Store, str]:
        try:
            return self._store_of(name)
        except UsageError as error:
            raise StorageError(str(error)) from error

    def scan(
        self,
        prefix: str = "",
        *,
        descend: Callable[[str], bool] = lambda folder: True,
        in_order: bool = False,
    ) -> Iterator[Page]:
        return self.home.scan(prefix, descend=descend, in_order=in_order)

    def stat(self, names: list[str]) -> list[Entry | None]:
        by_store: dict[int, tuple[Store, list[tuple[int, str]]]] = {}
        for index, name in enumerate(names):
            store, below = self._store_of(name)
            by_store.setdefault(id(store), (store, []))[1].append((index, below))
        entries: list[Entry | None] = [None] * len(names)
        for store, wanted in by_store.values():
            for (index, _), entry in zip(
                wanted, store.stat([below for _, below in wanted]), strict=True
            ):
                if entry is not None:
                    entries[index] = entry._replace(name=names[index])
        return entries

    def stated_version(self, name: str, stated: Stated) -> str:
        if "://" not in name:  # nearly all names of very long lists
            return self.home.stated_version(name, stated)
        store, below = self._store_of(name)
        return store.stated_version(below, stated)

    def fetch(self, name: str) -> Fetched:
        store, below = self._open_of(name)
        return store.fetch(below)

    def supports_parallel_fetch(self, name: str) -> bool:
        if not is_url(name):
            return self.home.supports_parallel_fetch(name)
        try:
            return bool(fsspec.get_filesystem_class(protocol_of(name)).async_impl)
        except (ImportError, ValueError):
            return False  # `fetch` raises an error that names the missing package

    def read(self, name: str) -> tuple[bytes, str]:
        store, below = self._open_of(name)
        return store.read(below)

    def open(self, name: str) -> tuple[BinaryIO, str]:
        store, below = self._open_of(name)
        return store.open(below)

    def replace(self, name: str, data: Contents, *, expected: Precondition = "any") -> str:
        raise StorageError("the files of a list are only read")

    def delete(self, names: list[str]) -> None:
        raise StorageError("the files of a list are only read")

    def delete_empty_folders(self, prefix: str) -> None:
        raise StorageError("the files of a list are only read")

    def delete_leftovers(self) -> None:
        raise StorageError("the files of a list are only read")

    def check_writable(self) -> None:
        raise StorageError("the files of a list are only read")
