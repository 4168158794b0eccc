"""The files that a list names: below the list's own folder, or anywhere by full path or URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from jobs.errors import StorageError
from jobs.storage.base import Entry, Fetched, Precondition, Store


class ListedStore:
    """Read-only; see `jobs.storage.base.Store`. A name may be a full URL."""

    conditional = False

    def __init__(self, home: Store, options: dict[str, Any] | None) -> None:
        self.home = home
        self.url = home.url
        self._options = options
        self._others: dict[str, Store] = {}

    def _store_of(self, name: str) -> tuple[Store, str]:
        from jobs.storage import is_url, open_store

        if not is_url(name):
            return self.home, name
        protocol, _, rest = name.partition("://")
        place, _, below = rest.partition("/")
        base = f"{protocol}://{place}"
        if base not in self._others:
            self._others[base] = open_store(base, self._options)
        return self._others[base], below

    def scan(
        self, prefix: str = "", *, descend: Callable[[str], bool] = lambda folder: True
    ) -> Iterator[list[Entry]]:
        return self.home.scan(prefix, descend=descend)

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

    def fetch(self, name: str) -> Fetched:
        store, below = self._store_of(name)
        return store.fetch(below)

    def read(self, name: str) -> tuple[bytes, str]:
        store, below = self._store_of(name)
        return store.read(below)

    def open(self, name: str) -> tuple[BinaryIO, str]:
        store, below = self._store_of(name)
        return store.open(below)

    def replace(self, name: str, data: bytes, *, expected: Precondition = "any") -> str:
        raise StorageError("the files of a list are only read")

    def delete(self, names: list[str]) -> None:
        raise StorageError("the files of a list are only read")

    def check_writable(self) -> None:
        raise StorageError("the files of a list are only read")
