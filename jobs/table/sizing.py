"""Estimate the size of a table, and choose its number of hash buckets. Pure functions."""

from __future__ import annotations

#: Intended size of a part.
PART_BYTES = 50_000_000

#: Limits of a hash bucket, all of whose parts are planned and merged at once.
BUCKET_BYTES = 2_000_000_000
BUCKET_FILES = 200_000

_BYTES_A_ROW_FIXED = 250
_BYTES_A_COLUMN = 4


def row_bytes(n_columns: int) -> float:
    """Return the approximate size of a row in bytes, without series."""
    return _BYTES_A_ROW_FIXED + _BYTES_A_COLUMN * n_columns


def table_bytes(
    n_files: int,
    n_seconds: float,
    *,
    rows_a_second: float,
    bytes_a_row: float,
    bytes_a_second: float,
) -> float:
    """Return the approximate size in bytes of the rows of all files.

    Parameters
    ----------
    n_files : int
        Number of files.
    n_seconds : float
        Total duration [s].
    rows_a_second : float
        Rows per second of audio; 0 if each file has one row.
    bytes_a_row : float
        Bytes per row, without series.
    bytes_a_second : float
        Bytes of series per second of audio.
    """
    n_rows = n_files + rows_a_second * n_seconds
    return n_rows * bytes_a_row + bytes_a_second * n_seconds


def bucket_count(n_files: int, n_bytes: float, n_labels: int) -> int:
    """Return the number of hash buckets of a new table, at least 1, for parts of about 50 MB.

    With very many labels the parts are smaller, because planning and merging process all
    files of a bucket at once.

    Parameters
    ----------
    n_files : int
        Number of files in the table.
    n_bytes : float
        Size of their rows in bytes.
    n_labels : int
        Number of label folders that share the rows of a bucket.
    """
    fitting = round(n_bytes / max(1, n_labels) / PART_BYTES)
    return max(1, fitting, n_files // BUCKET_FILES, int(n_bytes // BUCKET_BYTES))
