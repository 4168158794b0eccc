"""Folders, and what fsspec opens, as places that hold files."""

from __future__ import annotations

import os
import resource
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from jobs.storage import base
from jobs.storage.base import Store
from jobs.storage.fsspec import GenericStore
from jobs.storage.local import LocalStore
from jobs.storage.names import encode_path
from jobs.storage.opening import open_store
from tests.jobs.storage.contract import Contract, names_in


class TestLocal(Contract):
    in_memory = False

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return open_store(str(tmp_path / "root"))

    @pytest.fixture(autouse=True)
    def _made(self, store: Store, tmp_path: Path) -> Iterator[None]:
        (tmp_path / "root").mkdir()
        yield
        assert not list(tmp_path.glob("root/_job/tmp/*"))

    def test_the_probe_may_be_cleaned_up_by_another(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        touch = Path.touch

        def touched_and_cleaned_up(path: Path, **kwargs: bool) -> None:
            touch(path, **kwargs)
            path.unlink()

        monkeypatch.setattr(Path, "touch", touched_and_cleaned_up)
        store.check_writable()

    def test_empty_folders_are_gone_below_a_prefix_only(self, store: LocalStore) -> None:
        for name in ("in/a/1", "in/b/2", "out/3"):
            store.replace(name, b"1")
        store.delete(["in/a/1", "out/3"])
        store.delete_empty_folders("in")
        root = Path(store.root)
        folders = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir()}
        assert folders - {"_job", "_job/tmp"} == {"in", "in/b", "out"}

    def test_bytes_that_are_not_utf8(self, store: LocalStore) -> None:
        name = encode_path("\udcff\udc80/ü\udcff.wav")
        store.replace(name, b"1")
        assert names_in(store) == [name]
        assert Path(store.root, "\udcff\udc80").is_dir()


class TestMemory(Contract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = open_store(f"memory://{uuid.uuid4().hex}/root")
        assert isinstance(store, GenericStore)
        yield store
        fsspec.filesystem("memory").rm(store.root.rsplit("/", 1)[0], recursive=True)

    @pytest.fixture(autouse=True)
    def _made(self, store: GenericStore) -> None:
        store.fs.makedirs(store.root)


class TestGenericFiles(Contract):
    """The generic store over a file system that can be looked at without it."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        (tmp_path / "root").mkdir()
        return GenericStore(f"file://{tmp_path}/root", {})

    @pytest.mark.skip(reason="not promised: other file systems are written by their own means")
    def test_a_reader_sees_whole_contents_only(self, store: Store) -> None: ...


def test_contents_are_whole_in_memory_or_refused() -> None:
    data = b"1" * 3 * 2**20
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            base.fetched_bytes(data, "version")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    fetched = base.fetched_bytes(data, "version")
    assert Path(os.fsdecode(fetched.source)).read_bytes() == data
    fetched.close()
