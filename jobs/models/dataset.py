"""The rows of a table as a classifier needs them: features, labels, groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.path_labels import PathLabels, path_labels
from jobs.errors import TableError, UsageError
from jobs.models.columns import columns_by_feature
from jobs.models.grouping import joined, numbered, shared_codes
from jobs.settings import did_you_mean
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.storage.urls import is_url
from jobs.table.layout import is_errors
from jobs.table.metadata import check_features
from jobs.table.reader import Table
from jobs.table.schema import CHANNEL, LABEL, PATH, ROW_KEY, SEGMENT
from jobs.table.signs import CUT, DAMAGED

if TYPE_CHECKING:
    import pandas as pd


class NoRowsError(UsageError):
    """No row is left."""


SILENT, UNLABELLED = "silent", "without a label"

HASH = "audio_hash"
_KEY = (PATH, CHANNEL, SEGMENT)
_FACTS = (*_KEY, LABEL, HASH, "decoding", "is_silent")


@dataclass(frozen=True)
class Contradiction:
    """Copies of the same audio that have different labels.

    Attributes
    ----------
    audio_hash : str
        Hash of the samples.
    files : tuple of (str, str)
        Path and label of each file.
    """

    audio_hash: str
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Dataset:
    """Rows of a table, sorted by path, channel and segment.

    Attributes
    ----------
    X : pandas.DataFrame [shape=(n_rows, n_columns), dtype=float32]
        The feature columns with one number per row, in the order of the spec. What is null or
        infinite in the table is NaN.
    y : pandas.Series
        Label of each row.
    groups : np.ndarray [shape=(n_rows,), dtype=int64]
        Number of each row's group. Rows of one file, of copies of it (equal `audio_hash`), and
        of files that share a value of a `group_by` column are in one group.
    tracks : np.ndarray [shape=(n_rows,), dtype=int64]
        Number of each row's file, from 0, ascending.
    rows : pandas.DataFrame
        Columns ``path``, ``channel``, ``segment``, ``audio_hash``, ``decoding``, ``is_silent``
        and those that were asked for.
    features : mapping of str to list of str
        Columns of each feature of the spec.
    left_out : mapping of str to int
        Number of files left out, by the reason.
    contradictions : tuple of Contradiction
        Copies with different labels.
    """

    X: pd.DataFrame
    y: pd.Series
    groups: np.ndarray
    tracks: np.ndarray
    rows: pd.DataFrame
    features: Mapping[str, list[str]]
    left_out: Mapping[str, int] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    @property
    def track_rows(self) -> np.ndarray:
        """Position of the first row of each track, int64 [shape=(n_tracks,)]."""
        return np.flatnonzero(np.diff(self.tracks, prepend=-1))

    @property
    def has_segments(self) -> bool:
        """Whether some file has several rows."""
        return len(self.track_rows) < len(self)

    @property
    def silent_tracks(self) -> np.ndarray:
        """Whether all rows of each track are silent, bool [shape=(n_tracks,)]."""
        is_silent = self.rows["is_silent"].eq(True).to_numpy(bool)
        return np.logical_and.reduceat(is_silent, self.track_rows)

    def encoded(self) -> tuple[list[str], np.ndarray]:
        """Return the classes, sorted, and the number of each row's class, int64."""
        labels = pa.chunked_array(pa.Array.from_pandas(self.y)).combine_chunks()
        encoded = labels.cast(pa.string()).dictionary_encode()
        names = encoded.dictionary.to_pylist()
        classes = sorted(names)
        place = {name: i for i, name in enumerate(classes)}
        codes = np.array([place[name] for name in names], np.int64)
        return classes, codes[encoded.indices.to_numpy()]

    def take(self, indices: np.ndarray) -> Dataset:
        """Return some rows as a dataset of their own.

        Parameters
        ----------
        indices : np.ndarray of int
            Positions of the rows; their order does not matter. For whole files, give all of
            their rows: ``np.flatnonzero(np.isin(dataset.tracks, wanted))``.
        """
        indices = np.sort(np.asarray(indices, np.int64))
        return replace(
            self,
            X=self.X.iloc[indices].reset_index(drop=True),
            y=self.y.iloc[indices].reset_index(drop=True),
            groups=numbered(self.groups[indices]),
            tracks=numbered(self.tracks[indices]),
            rows=self.rows.iloc[indices].reset_index(drop=True),
        )


def read_dataset(
    table: Table,
    *,
    group_by: Sequence[str] = (),
    columns: Sequence[str] = (),
    partial: bool = False,
    silent: bool = False,
    unlabelled: bool = False,
) -> Dataset:
    """Read the features, labels and groups of a table.

    The matrix of features is in memory once; parts are read one after the other.

    Parameters
    ----------
    table : Table
        The table.
    group_by : sequence of str
        Columns, such as ``artist``, or parts of paths: ``parent`` for the folder,
        ``name:PATTERN`` for the part ``{group}`` of a pattern, as for labels. Files that share a
        value are in one group. Null and empty text are no value.
    columns : sequence of str
        More columns for `Dataset.rows`.
    partial : bool
        Keep files that were decoded only in part (damaged or cut).
    silent : bool
        Keep silent files.
    unlabelled : bool
        Keep files without a label; their `y` is null.

    Returns
    -------
    Dataset

    Raises
    ------
    UsageError
        If there is no such column, the spec has no feature with one number per row, or the
        table is of images.
    NoRowsError
        If no file is left.
    TableError
        If the table is damaged, or a run changes it meanwhile.
    """
    url = table.store.url
    check_features(table.metadata, url)
    names = table.metadata.recorded_spec.feature_names
    if not names:
        raise UsageError(
            f"{url} has series only, and a classifier needs one number per column: make a table"
            " with statistics such as mean and std"
        )
    rules = {text: path_labels(text, option="--group-by", field="{group}") for text in group_by}
    more = [*dict.fromkeys([*(text for text in rules if rules[text] is None), *columns])]
    _check_columns(table, names, more)
    parts = [name for name in sorted(table.parts) if not is_errors(name)]
    wanted = [*dict.fromkeys([*_FACTS, *more])]
    rows = pa.concat_tables([_schema(table, wanted).empty_table(), *_read(table, parts, wanted)])
    order, left_out = _selected(rows, partial=partial, silent=silent, unlabelled=unlabelled)
    if not len(order):
        raise NoRowsError(_nothing_left(url, left_out))
    target = np.full(len(rows), -1, np.int64)
    target[order] = np.arange(len(order))
    matrix = np.empty((len(order), len(names)), np.float32)
    start = 0
    for values in _read(table, parts, [*_KEY, *names]):
        stop = start + len(values)
        if not values.select(_KEY).equals(rows.select(_KEY).slice(start, len(values))):
            raise _changed(url)
        _fill(matrix, values.select(names), target[start:stop])
        start = stop
    if start != len(rows):
        raise _changed(url)
    del values
    dataset = _dataset(rows.take(order), matrix, names, table, rules, left_out)
    pa.default_memory_pool().release_unused()
    return dataset


def _dataset(
    rows: pa.Table,
    matrix: np.ndarray,
    names: list[str],
    table: Table,
    group_by: Mapping[str, PathLabels | None],
    left_out: Mapping[str, int],
) -> Dataset:
    """Return the dataset of rows that are selected and sorted."""
    import pandas as pd

    rows = rows.combine_chunks()
    is_first = _is_new(rows[PATH])
    tracks = np.cumsum(is_first) - 1
    firsts = rows if is_first.all() else rows.filter(pa.array(is_first))
    shared = [firsts[HASH].combine_chunks()]
    for name, rule in group_by.items():
        known = firsts[PATH if rule else name].combine_chunks()
        shared.append(rule.of(known) if rule else known)
    frame = rows.drop_columns([LABEL]).to_pandas()
    return Dataset(
        X=pd.DataFrame(matrix, columns=names, copy=False),
        y=rows[LABEL].to_pandas(),
        groups=joined(len(firsts), shared)[tracks],
        tracks=tracks,
        rows=frame,
        features=columns_by_feature(table.metadata.spec, names),
        left_out=left_out,
        contradictions=_contradictions(firsts),
    )


def _check_columns(table: Table, features: Sequence[str], names: Sequence[str]) -> None:
    no_names = {*features, LABEL, *ROW_KEY}
    known = [name for name in table.feature_schema.names if name not in no_names]
    for name in names:
        if name not in known or pa.types.is_nested(table.feature_schema.field(name).type):
            others = [*table.attribute_names[1:], *table.metadata.tags]
            raise UsageError(
                f"{table.store.url} has no column {name!r} by which files can be grouped or"
                f" split{did_you_mean(name, others or known)}"
            )


def _schema(table: Table, names: Sequence[str]) -> pa.Schema:
    return pa.schema([table.feature_schema.field(name).remove_metadata() for name in names])


def _read(table: Table, parts: Sequence[str], names: list[str]) -> Iterator[pa.Table]:
    """Yield columns of all parts, one row group at a time."""
    schema = _schema(table, names)

    def read(part: str) -> Iterator[pa.Table]:
        for rows in table.row_groups(part, names):
            try:
                yield rows.replace_schema_metadata(None).cast(schema)
            except pa.ArrowInvalid as error:
                raise table.damaged(part, error) from error

    try:
        if is_url(table.store.url):  # of several parts at once, since each answer is waited for
            for groups in in_threads(
                lambda part: list(read(part)), parts, requests_at_once(table.store)
            ):
                yield from groups
        else:
            for part in parts:
                yield from read(part)
    except FileNotFoundError as error:
        raise _changed(table.store.url) from error


def _changed(url: str) -> TableError:
    return TableError(f"{url} was changed by a run while it was read: try again")


def _selected(
    rows: pa.Table, *, partial: bool, silent: bool, unlabelled: bool
) -> tuple[np.ndarray, dict[str, int]]:
    """Return the positions of the rows to keep, in order, and how many files are left out."""
    order = pc.sort_indices(rows, [(name, "ascending") for name in _KEY])
    keys = rows.select(_KEY).take(order)
    is_repeated = np.zeros(len(rows), bool)  # a row that a run is moving is in two parts
    if len(rows) > 1:
        is_repeated[1:] = True
        for name in _KEY:
            column = keys[name].combine_chunks()
            if name == CHANNEL:
                column = pc.fill_null(column, -1)
            is_repeated[1:] &= pc.equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    kept = order.to_numpy()[~is_repeated]
    facts = rows.select([PATH, LABEL, "decoding", "is_silent"]).take(kept)
    reasons: list[tuple[str, pa.ChunkedArray]] = []
    if not unlabelled:
        reasons.append((UNLABELLED, pc.is_null(facts[LABEL])))
    if not partial:
        reasons += [(sign, pc.equal(facts["decoding"], sign)) for sign in (DAMAGED, CUT)]
    if not silent:
        reasons.append((SILENT, pa.chunked_array([_of_whole_files(facts)])))
    is_kept = np.ones(len(kept), bool)
    left_out = {}
    for reason, column in reasons:
        mask = pc.fill_null(column, False).to_numpy() & is_kept
        if mask.any():
            left_out[reason] = pc.count_distinct(facts[PATH].filter(pa.array(mask))).as_py()
            is_kept &= ~mask
    return kept[is_kept], left_out


def _of_whole_files(facts: pa.Table) -> pa.Array:
    """Return whether all rows of each row's file are silent; rows are sorted by path."""
    if not len(facts):
        return pa.array([], pa.bool_())
    is_first = _is_new(facts[PATH])
    is_silent = pc.fill_null(facts["is_silent"], False).to_numpy()
    of_files = np.logical_and.reduceat(is_silent, np.flatnonzero(is_first))
    return pa.array(of_files[np.cumsum(is_first) - 1])


def _is_new(paths: pa.ChunkedArray) -> np.ndarray:
    """Return whether each path is another one than that before it."""
    joined_paths = paths.combine_chunks()
    is_new = np.ones(len(paths), bool)
    is_new[1:] = pc.not_equal(joined_paths[1:], joined_paths[:-1]).to_numpy(zero_copy_only=False)
    return is_new


def _nothing_left(url: str, left_out: Mapping[str, int]) -> str:
    if not left_out:
        return f"{url} has no rows: extract files into it first"
    reasons = ", ".join(f"{n} {reason}" for reason, n in left_out.items())
    if list(left_out) == [UNLABELLED]:
        return (
            f"no file in {url} has a label: extract them with --labels parent, or another source"
            " of labels, into a new table"
        )
    return f"no file in {url} is left to learn from ({reasons})"


def _fill(matrix: np.ndarray, values: pa.Table, target: np.ndarray) -> None:
    """Write the rows of a part to their places; -1 is none."""
    is_kept = target >= 0
    if not is_kept.any():
        return
    columns = [column.to_numpy(zero_copy_only=False) for column in values.columns]
    block = np.stack(columns, axis=1, dtype=np.float32, casting="unsafe")
    block[np.isinf(block)] = np.nan
    matrix[target[is_kept]] = block if is_kept.all() else block[is_kept]


def _contradictions(firsts: pa.Table) -> tuple[Contradiction, ...]:
    """Return the copies with different labels among the first rows of files."""
    is_copy = shared_codes(firsts[HASH].combine_chunks()) >= 0
    found: dict[str, list[tuple[str, str]]] = {}
    for row in firsts.select([HASH, LABEL, PATH]).filter(pa.array(is_copy)).to_pylist():
        found.setdefault(row[HASH], []).append((row[PATH], row[LABEL]))
    return tuple(
        Contradiction(digest, tuple(files))
        for digest, files in found.items()
        if len({label for _, label in files if label is not None}) > 1
    )
