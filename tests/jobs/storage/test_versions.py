"""What stands for the version of a file that fsspec opens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jobs.corpus.discovery import open_corpus
from jobs.errors import CorpusError, StorageError
from jobs.storage.fsspec import GenericStore
from jobs.storage.opening import open_store
from tests.jobs.storage.web import listed


class Told(MemoryFileSystem):
    """A file system that returns prepared information about its files."""

    cachable = False
    says: dict[str, Any] = {}  # noqa: RUF012

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return self._say(super().info(path, **kwargs))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list:
        return [self._say(info) for info in super().ls(path, detail=True, **kwargs)]

    def _say(self, info: dict[str, Any]) -> dict[str, Any]:
        kept = {key: info[key] for key in ("name", "size", "type")}
        return kept | (self.says if info["type"] == "file" else {})


@pytest.fixture
def told(memory: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[GenericStore]:
    monkeypatch.setattr("fsspec.get_filesystem_class", lambda protocol: Told)
    store = open_store(memory)
    assert isinstance(store, GenericStore)
    store.replace("a.wav", b"1")
    yield store
    monkeypatch.setattr(Told, "says", {})


@pytest.mark.parametrize(
    "key", ["modify", "modificationTime", "Last-Modified", "last_modified", "mtime", "ETag"]
)
def test_every_kind_of_version(
    told: GenericStore, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = set()
    for value in ("1", "2", 3, 0):
        monkeypatch.setattr(Told, "says", {key: value})
        [[entry]] = told.scan()
        assert told.stat(["a.wav"]) == [entry]
        fetched = told.fetch("a.wav")
        assert fetched.version == entry.version
        assert fetched.is_unchanged()
        versions.add(entry.version)
    assert len(versions) == 4


def test_a_tag_is_the_same_whatever_else_is_said(
    told: GenericStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Told, "says", {"etag": "1"})
    first = told.stat(["a.wav"])
    monkeypatch.setattr(Told, "says", {"etag": "1", "last_modified": "2", "created": "3"})
    assert told.stat(["a.wav"]) == first


def test_neither_time_nor_tag(told: GenericStore) -> None:
    with pytest.raises(StorageError, match="neither times nor tags"):
        list(told.scan())
    corpus = open_corpus(told.address)
    with pytest.raises(CorpusError, match=r"cannot list memory://.*neither times nor tags"):
        listed(corpus)
    [entry] = told.stat(["a.wav"])
    assert entry is not None
    assert told.fetch("a.wav").version != entry.version
    assert told.fetch("a.wav").version == told.fetch("a.wav").version
