"""Buffer of rows until the end of a file, in memory and in a temporary file."""

from __future__ import annotations

import functools
import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import spill
from featurelib.extraction import row_buffer
from featurelib.extraction.row_buffer import RowBuffer
from featurelib.spill import SpillBuffer
from tests.support.audio_files import open_below

WIDTHS = {"rms_series": None, "mfcc_series": 3, "chroma_series": 2}


def appended(buffer: RowBuffer, lengths: list[list[int]], n_values: int) -> list[tuple]:
    """Rows with different numbers."""
    rng = np.random.default_rng(0)
    rows = []
    for i, own in enumerate(lengths):
        values = rng.standard_normal(n_values).astype(np.float32)
        series = [
            rng.standard_normal((n,) if width is None else (n, width)).astype(np.float32)
            for n, width in zip(own, WIDTHS.values(), strict=False)
        ]
        buffer.append((float(i), i / 3), values, series)
        rows.append(((float(i), i / 3), values, series))
    return rows


def assert_given_back(buffer: RowBuffer, names: list[str], rows: list[tuple]) -> None:
    """All rows in order, for a bitwise comparison of any grouping."""
    i = 0
    for group in buffer.rows({"audio_hash": "a"}):
        assert group.facts == {"audio_hash": "a"}
        assert group.n == len(group.values) == len(group.columns["number"]) > 0
        for j in range(group.n):
            own, values, series = rows[i]
            assert (group.columns["number"][j], group.columns["third"][j]) == own
            np.testing.assert_array_equal(group.values[j], values)
            for name, expected in zip(names, series, strict=True):
                np.testing.assert_array_equal(group.columns[name][j], expected, strict=True)
            i += 1
    assert i == buffer.n_rows == len(rows)


@given(
    lengths=st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), max_size=40),
    n_series=st.integers(0, 3),
    n_values=st.integers(0, 4),
    chunk_rows=st.integers(1, 12),
    chunk_bytes=st.integers(1, 600),
    memory_bytes=st.integers(1, 400),
)
def test_rows_come_back_as_they_were(
    lengths, n_series, n_values, chunk_rows, chunk_bytes, memory_bytes
):
    names = list(WIDTHS)[:n_series]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_buffer, "_CHUNK_ROWS", chunk_rows)
        patch.setattr(row_buffer, "_CHUNK_BYTES", chunk_bytes)
        small = functools.partial(SpillBuffer, memory_bytes=memory_bytes)
        patch.setattr(row_buffer, "SpillBuffer", small)
        buffer = RowBuffer({"number": int, "third": float}, {name: WIDTHS[name] for name in names})
        rows = appended(buffer, [own[:n_series] for own in lengths], n_values)
        assert_given_back(buffer, names, rows)
        assert_given_back(buffer, names, rows)  # and once more


def test_many_rows_and_large_series_go_to_files_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(spill.tempfile, "tempdir", str(tmp_path))
    names = ["rms_series", "mfcc_series"]
    buffer = RowBuffer({"number": int, "third": float}, {name: WIDTHS[name] for name in names})
    rows = appended(buffer, [[3_000, 7_000]] * 300, 50)  # 29 MB
    assert len(open_below(tmp_path)) == 1  # of the wide series; the other series has less than 4 MB
    assert list(tmp_path.iterdir()) == []
    assert_given_back(buffer, names, rows)
    del buffer
    gc.collect()
    assert open_below(tmp_path) == []


def test_rows_are_given_back_in_groups_of_a_few_megabytes():
    buffer = RowBuffer({"number": int, "third": float}, {"rms_series": None})
    appended(buffer, [[100_000]] * 100, 1)  # 40 MB
    for group in buffer.rows({}):
        assert sum(one.nbytes for one in group.columns["rms_series"]) <= 8 * 2**20


def test_few_small_rows_need_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(spill.tempfile, "tempdir", str(tmp_path))
    buffer = RowBuffer({"number": int, "third": float}, {})
    rows = appended(buffer, [[]] * 200, 50)
    assert open_below(tmp_path) == []
    assert_given_back(buffer, [], rows)
