"""What the job asks of a place that holds files, of every kind of place."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import ConflictError
from jobs.storage import base
from jobs.storage.base import PAGE, Fetched, Store
from jobs.storage.names import encode_path
from jobs.storage.spool import LocalFiles, Spool

NAMES = [
    "plain.wav",
    "a b.wav",
    " leading and trailing ",
    "x=1/y=2.wav",
    "100%.wav",
    "%41%2F.wav",
    "c#.wav",
    "p+q&r;s,t.wav",
    'it\'s "quoted" <b>.wav',
    "ünï/日本/\U0001f3b5.wav",
    "back\\slash.wav",
    "not\\xff escaped.wav",
    "new\nline.wav",
    "tab\tand\rreturn.wav",
    "q?.wav",
    "star*[a-z]{1,2}.wav",
    "~/$HOME.wav",
    "dots../..a.wav",
]


class Contract:
    """Tests of any store; a subclass gives an empty one."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        raise NotImplementedError

    def test_folders_without_files_are_deleted_and_files_stay(self, store: Store) -> None:
        names = ["a/deep/1.wav", "a/2.wav", "b/3.wav", "top.wav"]
        for name in names:
            store.replace(name, b"1")
        store.delete(["a/deep/1.wav", "b/3.wav"])
        store.delete_empty_folders("a")
        store.delete_empty_folders("never there")
        assert names_in(store) == ["a/2.wav", "top.wav"]

    def test_every_name_is_kept(self, store: Store) -> None:
        for name in filter(self.takes, NAMES):
            stored, data = encode_path(name), name.encode()
            version = store.replace(stored, data)
            [[entry]] = store.scan()
            assert entry == (stored, len(data), version)
            assert store.stat([stored]) == [entry]
            assert store.read(stored) == (data, version)
            assert contents_of(store.fetch(stored)) == data
            file, opened = store.open(stored)
            with file:
                assert (file.read(), opened) == (data, version)
            store.delete([stored])
            assert list(store.scan()) == []

    def test_names_do_not_get_in_each_others_way(self, store: Store) -> None:
        names = list(filter(self.takes, NAMES))
        for name in names:
            store.replace(encode_path(name), name.encode())
        listed = {e.name: e.size for page in store.scan() for e in page}
        assert listed == {encode_path(name): len(name.encode()) for name in names}
        store.delete([encode_path(name) for name in names[1:]])
        assert names_in(store) == [names[0]]

    def takes(self, name: str) -> bool:
        return True

    def test_a_long_listing_comes_in_pages(self, store: Store) -> None:
        n = PAGE + 3
        names = {f"many/{i % 7}/{i:05d}.wav" for i in range(n)}
        self.fill(store, sorted(names))
        pages = list(store.scan("many"))
        assert {len(page) for page in pages[:-1]} <= {PAGE}
        assert len(pages) > 1
        listed = [entry.name for page in pages for entry in page]
        assert len(listed) == n
        assert set(listed) == names
        some = sorted(names)[: PAGE + 1]
        assert [e.name if e else None for e in store.stat([*some, "many/gone"])] == [*some, None]
        store.delete(sorted(names))  # more than a thousand at once
        assert names_in(store) == []

    def fill(self, store: Store, names: list[str]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: store.replace(name, b"1"), names))

    def test_a_prefix_is_a_folder_and_not_a_beginning(self, store: Store) -> None:
        for name in ("a/1", "a/b/2", "ab/3", "a.wav", "b/a/4"):
            store.replace(name, b"1")
        assert names_in(store, "a") == ["a/1", "a/b/2"]
        assert names_in(store, "a/b") == ["a/b/2"]

    def test_nothing_is_an_empty_listing_or_not_found(self, store: Store) -> None:
        with contextlib.suppress(FileNotFoundError):
            assert list(store.scan("nothing")) == []

    def test_what_is_not_there(self, store: Store) -> None:
        store.replace("there", b"1")
        assert store.stat(["gone", "there"])[0] is None
        for look in (store.read, store.fetch, store.open):
            with pytest.raises(FileNotFoundError):
                look("gone")
        store.delete(["gone", "there"])
        store.delete(["there"])
        store.delete([])
        assert store.stat(["there"]) == [None]

    def test_a_file_is_published_from_its_start(self, store: Store) -> None:
        """Wherever it was left, and where it is a section of another one."""
        data = bytes(range(256)) * 5000  # too large to be sent without asking
        file = io.BytesIO(data)
        file.seek(100)
        version = store.replace("a", file)
        assert store.read("a") == (data, version)
        with Spool(10) as spool:
            spool.section().write(b"before")
            section = spool.section()
            section.write(b"other" + data)
            later = store.replace("a", section, expected=version)
            assert store.read("a") == (b"other" + data, later)
            with pytest.raises(ConflictError):
                store.replace("a", io.BytesIO(b"third"), expected=version)
            section.seek(0)
            assert section.read() == b"other" + data

    def test_files_for_many_random_reads(self, store: Store) -> None:
        store.replace("a", b"aaaaa")
        store.replace("b", b"bbbbbb")
        with LocalFiles(store, 3) as files:
            (one, version), (other, _) = files.open("a"), files.open("b")
            with one, other:
                assert other.read(2) == b"bb"
                assert one.read() == b"aaaaa"
                assert other.read() == b"bbbb"
            again, found = files.open("a")
            with again:
                assert again.seek(-2, io.SEEK_END) == 3
                assert again.read() == b"aa"
            [entry] = store.stat(["a"])
            assert entry is not None
            assert version == found == entry.version
            with pytest.raises(FileNotFoundError):
                files.open("gone")

    def test_a_version_changes_with_the_contents(self, store: Store) -> None:
        first = store.replace("a", b"12")
        second = store.replace("a", b"21")
        assert first != second
        assert store.read("a") == (b"21", second)
        assert [e.version for e in store.stat(["a"]) if e] == [second]
        assert store.read("a")[1] == second

    @pytest.mark.parametrize("data", [b"", b"x" * 3_000_000], ids=["empty", "3 MB"])
    def test_sizes(self, store: Store, data: bytes) -> None:
        store.replace("a", data)
        assert store.read("a")[0] == data
        fetched = store.fetch("a")
        assert (contents_of(fetched), fetched.size) == (data, len(data))

    def test_conditions(self, store: Store) -> None:
        first = store.replace("p", b"1", expected=None)
        with pytest.raises(ConflictError):
            store.replace("p", b"2", expected=None)
        assert store.read("p") == (b"1", first)
        second = store.replace("p", b"3", expected=first)
        with pytest.raises(ConflictError):
            store.replace("p", b"4", expected=first)
        assert store.read("p") == (b"3", second)
        store.replace("p", b"5", expected="any")
        store.delete(["p"])
        with pytest.raises(ConflictError):
            store.replace("p", b"6", expected=second)
        assert store.stat(["p"]) == [None]

    def test_parquet_is_read_by_pieces_of_one_version(self, store: Store) -> None:
        rows = pa.table({"a": np.arange(50_000), "b": np.random.default_rng(0).random(50_000)})
        sink = io.BytesIO()
        pq.write_table(rows, sink, row_group_size=5000, compression="none")
        data = sink.getvalue()
        version = store.replace("p.parquet", data)
        file, opened = store.open("p.parquet")
        with file:
            assert opened == version
            assert pq.read_table(file, columns=["a"], partitioning=None).equals(rows.select(["a"]))
        file, _ = store.open("p.parquet")
        with file:
            for offset, whence, n in [(5, 0, 7), (-9, 2, 9), (3, 1, 4), (0, 0, -1), (9, 2, 1)]:
                file.seek(offset, whence)
                reference = io.BytesIO(data)
                reference.seek(file.tell())
                assert file.read(n) == reference.read(n)

    def test_a_large_file_is_fetched_to_disk(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = np.random.default_rng(0).bytes(9_000_000)
        version = store.replace("a", data)
        monkeypatch.setattr(base, "SPOOL_BYTES", len(data) - 1)
        fetched = store.fetch("a")
        try:
            assert isinstance(fetched.source, str)
            assert Path(fetched.source).read_bytes() == data
            assert (fetched.size, fetched.version, fetched.is_unchanged()) == (
                len(data),
                version,
                True,
            )
        finally:
            fetched.close()
        monkeypatch.setattr(base, "SPOOL_BYTES", len(data))
        fetched = store.fetch("a")
        try:
            assert os.path.realpath(fetched.source).startswith("/memfd:") == self.in_memory
            assert Path(fetched.source).read_bytes() == data
        finally:
            fetched.close()

    in_memory = True

    def test_a_place_to_write(self, store: Store) -> None:
        store.check_writable()
        assert names_in(store) == []

    def test_a_reader_sees_whole_contents_only(self, store: Store) -> None:
        store.replace("p", bytes(100_000))
        done = threading.Event()

        def write() -> None:
            try:
                for i in range(40):
                    store.replace("p", bytes([i % 250]) * 100_000)
            finally:
                done.set()

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            n_seen = 0
            while not done.is_set() or n_seen == 0:
                data = store.read("p")[0]
                assert len(data) == 100_000
                assert len(set(data)) == 1
                n_seen += 1
            writing.result()


def contents_of(fetched: Fetched) -> bytes:
    try:
        if isinstance(fetched.source, bytes):
            return fetched.source
        return Path(fetched.source).read_bytes()
    finally:
        fetched.close()


def names_in(store: Store, prefix: str = "") -> list[str]:
    return sorted(entry.name for page in store.scan(prefix) for entry in page)
