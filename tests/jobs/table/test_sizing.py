"""The size of a table, and its number of buckets."""

from __future__ import annotations

import pytest

from jobs.table.sizing import bucket_count, row_bytes, table_bytes


@pytest.mark.parametrize(
    ("n_files", "n_labels", "n_buckets"),
    [(0, 1, 1), (1000, 1, 1), (10**6, 1, 13), (10**6, 10, 5), (10**8, 1, 1300), (10**8, 1000, 500)],
)
def test_bucket_counts(n_files: int, n_labels: int, n_buckets: int) -> None:
    assert bucket_count(n_files, n_files * row_bytes(100), n_labels) == n_buckets


def test_buckets_follow_the_bytes_of_segments_and_series() -> None:
    sizes = {"bytes_a_row": 650.0, "rows_a_second": 0.0, "bytes_a_second": 0.0}
    one_a_file = table_bytes(1000, 30_000, **sizes)
    assert one_a_file == 1000 * 650
    segments = table_bytes(1000, 30_000, **{**sizes, "rows_a_second": 1 / 3})
    assert segments == pytest.approx(11_000 * 650)
    series = table_bytes(1000, 30_000, **{**sizes, "bytes_a_second": 43 * 80})
    assert series == one_a_file + 30_000 * 43 * 80
    assert bucket_count(1000, series, 1) == 2
    # however many labels, a bucket is no more than one merge deals with
    assert bucket_count(1000, 1e11, 1000) == 50
