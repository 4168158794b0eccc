"""Commit: what readers see while rows move from one part to another."""

from __future__ import annotations

from pathlib import Path

import pyarrow.dataset as ds
import pytest

from jobs.table import commit as publication
from tests.support import light
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
