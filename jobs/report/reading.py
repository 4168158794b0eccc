"""What a report reads of a table: one row for each track, features of a sample, and the errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from jobs.status import errors_of
from jobs.table.layout import is_errors
from jobs.table.reader import Table
from jobs.table.schema import LABEL, PATH

#: Columns about files that few files do not share: read as categories.
_CATEGORIES = (LABEL, "format", "subtype", "decoder", "decoding")

#: Columns about a file, which are the same in each of its rows.
_OF_FILE = (
    *("duration_s", "header_duration_s", "sample_rate_hz", "channels"),
    *("format", "subtype", "decoder", "decoding", "lost_s", "n_streams"),
    *("size_bytes", "audio_hash", "cutoff_hz"),
)

#: Columns that differ between the rows of a file, and what a track has of them.
_OF_ROWS = {"peak": "max", "mix_peak": "max", "clipped_fraction": "mean", "is_silent": "min"}

#: Column of tracks: the number of rows of a file.
N_ROWS = "n_rows"


class Features(NamedTuple):
    """Features of some tracks.

    Attributes
    ----------
    tracks : pandas.DataFrame
        The rows of `read_tracks` of these tracks, with their index.
    values : pandas.DataFrame [dtype=float32]
        Feature columns with one number a row, in the order of the table, and with the index of
        `tracks`: the mean over the rows of a file. Unknown values are NaN.
    is_sample : bool
        Whether there are more tracks in the table.
    """

    tracks: pd.DataFrame
    values: pd.DataFrame
    is_sample: bool


def read_tracks(table: Table) -> pd.DataFrame:
    """Return what a table knows about its files, one row for each, sorted by path.

    Parameters
    ----------
    table : Table
        The table.

    Returns
    -------
    pandas.DataFrame
        ``path`` and ``audio_hash`` are texts of Arrow; ``label``, ``format``, ``subtype``,
        ``decoder`` and ``decoding`` are categories. ``duration_s`` [s], ``header_duration_s``
        [s], ``sample_rate_hz`` [Hz], ``channels``, ``lost_s`` [s], ``n_streams``,
        ``size_bytes`` and ``cutoff_hz`` [Hz] are those of the file. ``peak`` and ``mix_peak``
        are the largest of its rows, ``clipped_fraction`` is their mean, ``is_silent`` says
        whether all of them are, and ``n_rows`` is their number. What is null in the table is
        NaN or None. A column that an older table does not have is left out.

    Raises
    ------
    TableError
        If a part is damaged.
    """
    has = {field.name for field in table.metadata.recorded_spec.schema} | {PATH, LABEL}
    has.add("size_bytes")
    names = [name for name in (PATH, LABEL, *_OF_FILE, *_OF_ROWS) if name in has]
    fields = pa.schema([table.feature_schema.field(name).remove_metadata() for name in names])
    pieces = [fields.append(pa.field(N_ROWS, pa.int64())).empty_table()]
    for part, rows in table.each_first_rows(names):
        rows = rows.select(names).cast(fields)
        if table.n_rows(part) == len(rows):
            n_rows = pa.array(np.ones(len(rows), np.int64))
            pieces.append(rows.append_column(N_ROWS, n_rows))
        else:
            pieces.append(_of_all_rows(table, part, rows))
    return _as_frame(pa.concat_tables(pieces).combine_chunks())


def _of_all_rows(table: Table, part: str, first: pa.Table) -> pa.Table:
    """Replace what differs between the rows of a file by what holds for all of them."""
    rows = table.read_columns(part, [PATH, *_OF_ROWS])
    groups = rows.group_by(PATH).aggregate([*_OF_ROWS.items(), ([], "count_all")])
    groups = groups.take(pc.index_in(first[PATH], groups[PATH].combine_chunks()))
    for name, function in _OF_ROWS.items():
        place = first.schema.get_field_index(name)
        values = groups[f"{name}_{function}"].cast(first.schema.field(name).type)
        first = first.set_column(place, first.schema.field(name), values)
    return first.append_column(N_ROWS, groups["count_all"])


def _as_frame(rows: pa.Table) -> pd.DataFrame:
    rows = rows.take(pc.sort_indices(rows[PATH]))
    paths = rows[PATH].combine_chunks()
    if len(paths) > 1:  # a file that a run is moving is in two parts
        is_new = pc.not_equal(paths[1:], paths[:-1]).to_numpy(zero_copy_only=False)
        rows = rows.filter(np.append(True, is_new))
    for name in rows.column_names:
        column, place = rows[name], rows.schema.get_field_index(name)
        if name in _CATEGORIES:
            rows = rows.set_column(place, name, column.combine_chunks().dictionary_encode())
        elif pa.types.is_string(column.type):
            rows = rows.set_column(place, name, column.cast(pa.large_string()))
    frame = rows.to_pandas(types_mapper=_dtype)
    for name in _CATEGORIES:
        if name in frame:
            frame[name] = frame[name].cat.reorder_categories(sorted(frame[name].cat.categories))
    return frame


def _dtype(kind: pa.DataType) -> pd.ArrowDtype | None:
    return pd.ArrowDtype(kind) if pa.types.is_large_string(kind) else None


def sample_tracks(tracks: pd.DataFrame, n: int, *, seed: int = 0) -> pd.DataFrame:
    """Return at most `n` tracks, chosen by a hash of their paths: the same ones each time.

    Parameters
    ----------
    tracks : pandas.DataFrame
        Tracks, as `read_tracks` returns them, or some of them.
    n : int
        Most tracks.
    seed : int
        Another seed chooses other tracks.

    Returns
    -------
    pandas.DataFrame
        Rows of `tracks`, in their order.
    """
    if len(tracks) <= n:
        return tracks
    digest = xxhash.xxh3_64_intdigest
    hashes = np.fromiter(
        (digest(path.encode(), seed) for path in tracks[PATH]), np.uint64, len(tracks)
    )
    return tracks.iloc[np.sort(np.argsort(hashes, kind="stable")[:n])]


def read_features(
    table: Table, tracks: pd.DataFrame, sample: int = 20_000, *, seed: int = 0
) -> Features:
    """Return the features of tracks, or of a sample of them.

    Parameters
    ----------
    table : Table
        The table.
    tracks : pandas.DataFrame
        Tracks, as `read_tracks` returns them, or some of them.
    sample : int
        Most tracks; they are chosen by `sample_tracks`.
    seed : int
        As for `sample_tracks`.

    Returns
    -------
    Features
        Without columns, if the table has series only.

    Raises
    ------
    TableError
        If a part is damaged.
    """
    chosen = sample_tracks(tracks, sample, seed=seed)
    names = table.metadata.recorded_spec.feature_names
    paths = pa.array(chosen[PATH], pa.string())
    sums = np.zeros((len(chosen), len(names)))
    counts = np.zeros(len(chosen), np.int64)
    if names and len(chosen):
        for rows in _rows(table, names):
            file = pc.index_in(rows[PATH], paths)
            is_wanted = pc.is_valid(file)
            files = file.filter(is_wanted).to_numpy()
            if len(files):
                _add(sums, counts, files, _matrix(rows.select(names).filter(is_wanted)))
    with np.errstate(invalid="ignore"):  # a track that has left the table meanwhile
        values = (sums / counts[:, None]).astype(np.float32)
    frame = pd.DataFrame(values, index=chosen.index, columns=names)
    return Features(chosen, frame, len(chosen) < len(tracks))


def _rows(table: Table, names: Sequence[str]) -> Iterator[pa.Table]:
    for part in sorted(table.parts):
        if not is_errors(part):
            yield from table.row_groups(part, [PATH, *names])


def _matrix(rows: pa.Table) -> np.ndarray:
    """Return columns as a matrix, shape (rows, columns), with NaN for null."""
    values = np.empty((len(rows), rows.num_columns))
    for i, column in enumerate(rows.columns):
        values[:, i] = column.to_numpy()
    return values


def _add(sums: np.ndarray, counts: np.ndarray, files: np.ndarray, values: np.ndarray) -> None:
    """Add rows to the sums of their files."""
    order = np.argsort(files, kind="stable")
    files = files[order]
    starts = np.flatnonzero(np.diff(files, prepend=-1))
    sums[files[starts]] += np.add.reduceat(values[order], starts)
    counts[files[starts]] += np.diff(np.append(starts, len(files)))


def read_errors(table: Table) -> pd.DataFrame:
    """Return the files that could not be used, sorted by path.

    Returns
    -------
    pandas.DataFrame
        Columns ``path``, ``label``, ``error_kind``, ``error_class``, ``message`` and
        ``size_bytes``.

    Raises
    ------
    TableError
        If a part is damaged.
    """
    names = [PATH, LABEL, "error_kind", "error_class", "message", "size_bytes"]
    rows = errors_of(table).select(names)
    return rows.to_pandas()
