"""Commit: what readers see while rows move from one part to another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from jobs.diagnostics.events import BucketCommitted, Event, PartStarted, PartWritten
from jobs.errors import TableError
from jobs.table import commit as publication
from jobs.table.changes import Change
from jobs.table.merge import BucketMerge
from jobs.table.prepared import PreparedBucket
from jobs.table.transaction import Transaction
from tests.support import light
from tests.support.driver import wait_until
from tests.support.tables import write_labels

LABELS = ("blues", "jazz", "rock")


def labels_of(table: Path) -> list[tuple[str, str]]:
    rows = ds.dataset(table / "features", format="parquet").to_table(["path", "label"])
    return sorted(zip(*(column.to_pylist() for column in rows.columns), strict=True))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for number in range(12):
        light.write(tmp_path / "corpus" / f"{number:02d}.wav", str(number))
    return tmp_path / "corpus"


def test_rows_that_move_are_in_both_parts_for_the_time_of_grace(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels are exchanged in a circle, over several buckets."""
    table, label_file = tmp_path / "table", tmp_path / "labels.csv"
    names = [f"{number:02d}.wav" for number in range(12)]
    before = {name: LABELS[i % 3] for i, name in enumerate(names)}
    after = {name: LABELS[(i + 1) % 3] for i, name in enumerate(names)}
    write_labels(label_file, before)
    light.run(corpus, table, labels=str(label_file), buckets=3)
    seen = []

    def sleep(seconds: float) -> None:
        seen.append((seconds, labels_of(table)))

    monkeypatch.setattr(publication.time, "sleep", sleep)
    write_labels(label_file, after)
    report = light.run(corpus, table, labels=str(label_file), buckets=3, reader_grace_s=7.0)

    # every part has what it gains, and none has given up anything yet
    assert seen == [(7.0, sorted([*before.items(), *after.items()]))]
    assert labels_of(table) == sorted(after.items())
    assert (report.n_read, report.n_files) == (0, 12)


def test_nobody_waits_where_no_row_moves(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(seconds: float) -> None:
        pytest.fail("a publication without moves has nothing to wait for")

    monkeypatch.setattr(publication.time, "sleep", sleep)
    light.run(corpus, tmp_path / "table", reader_grace_s=7.0)
    light.write(corpus / "00.wav", "other")
    (corpus / "01.wav").unlink()
    light.write(corpus / "02.wav", "bad")
    light.run(corpus, tmp_path / "table", reader_grace_s=7.0)


@pytest.mark.parametrize("text", ["good", "bad"])
@pytest.mark.parametrize("settings", [{}, {"labels": "parent"}], ids=["flat", "by label"])
def test_the_last_file_of_a_bucket_is_deleted(
    tmp_path: Path, text: str, settings: dict[str, str]
) -> None:
    corpus, table = tmp_path / "corpus", tmp_path / "table"
    names = [f"rock/{number}.wav" for number in range(6)]
    for name in names:
        light.write(corpus / name, text)
    options = {**settings, "buckets": 64, "max_deleted": 1.0}
    light.run(corpus, table, **options)
    for left in range(5, 0, -1):  # at least three of them are alone in their buckets
        (corpus / names[left]).unlink()
        report = light.run(corpus, table, **options)
        assert report.n_files + report.n_errors == left
        held = ds.dataset(table / ("errors" if text == "bad" else "features"), format="parquet")
        assert sorted(held.to_table(["path"])["path"].to_pylist()) == names[:left]


def test_buckets_are_prepared_ahead_and_written_in_order(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2, timeout=30)
    prepare = BucketMerge.prepare

    def prepare_together(self: BucketMerge, **options: Any) -> PreparedBucket:
        together.wait()
        return prepare(self, **options)

    monkeypatch.setattr(BucketMerge, "prepare", prepare_together)
    writers, events = set(), []

    def observe(event: Event) -> None:
        writers.add(threading.current_thread())
        if isinstance(event, PartWritten | BucketCommitted):
            events.append(event)

    light.run(corpus, tmp_path / "table", buckets=4, observer=observe)
    assert writers == {threading.current_thread()}
    committed = [event for event in events if isinstance(event, BucketCommitted)]
    assert [event.bucket for event in committed] == [0, 1, 2, 3]
    written = [event.part for event in events if isinstance(event, PartWritten)]
    assert written == [part for event in committed for part in event.parts]
    assert written[0] == "errors/part-00000.parquet"  # only once, for readers


def test_a_bucket_that_cannot_be_prepared_stops_those_after_it(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merges: list[BucketMerge] = []
    numbers: dict[BucketMerge, int] = {}
    make, prepare = BucketMerge.__init__, BucketMerge.prepare

    def noted(self: BucketMerge, run: Transaction, bucket: int) -> None:
        make(self, run, bucket)
        numbers[self] = bucket
        merges.append(self)

    spools: list[Any] = []

    def fail(self: BucketMerge, **options: Any) -> PreparedBucket:
        if numbers[self] == 1:
            raise TableError("made for the test")
        made = prepare(self, **options)
        spools.append(made._spool)
        return made

    monkeypatch.setattr(BucketMerge, "__init__", noted)
    monkeypatch.setattr(BucketMerge, "prepare", fail)
    with pytest.raises(TableError, match="made for the test"):
        light.run(corpus, tmp_path / "table", buckets=4)
    parts = [path.name for path in (tmp_path / "table" / "features").rglob("*.parquet")]
    assert parts == ["part-00000.parquet"]
    assert len(merges) <= 3
    assert all(spool._file.closed for spool in spools)
    assert not [t for t in threading.enumerate() if t.name.startswith("featurelib-storage")]

    monkeypatch.undo()
    report = light.run(corpus, tmp_path / "table", buckets=4)  # what was staged is used
    assert (report.n_reused, report.n_files) == (12 - report.counts[Change.UNCHANGED], 12)


@pytest.mark.parametrize("error", [KeyboardInterrupt, TableError])
def test_an_interrupted_commit_waits_for_no_part(
    tmp_path: Path, corpus: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    told, prepare = [], BucketMerge.prepare

    def slowly(self: BucketMerge, *, keep_moving: bool, is_over: Callable[[], bool]) -> Any:
        if self._bucket:  # not the first one
            wait_until(is_over, "the commit is over", timeout=30)
            told.append(threading.current_thread())
        return prepare(self, keep_moving=keep_moving, is_over=is_over)

    def stop(event: Event) -> None:
        if isinstance(event, PartStarted):
            raise error("made for the test")

    monkeypatch.setattr(BucketMerge, "prepare", slowly)
    with pytest.raises(error):
        light.run(corpus, tmp_path / "table", buckets=2, observer=stop)
    assert told
    assert not [*(tmp_path / "table" / "features").rglob("*.parquet")]
