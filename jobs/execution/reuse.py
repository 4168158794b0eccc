"""Rows of another table of the same corpus, whose columns are copied instead of computed."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import featurelib
from jobs.corpus.hashing import bucket_of, path_hashes
from jobs.errors import ConflictError, TableError
from jobs.execution.context import TaskContext, spec_of
from jobs.execution.sharding import Shard
from jobs.storage.parquet import is_storage_error, open_parquet, read_groups
from jobs.storage.retry import with_retries
from jobs.table import schema
from jobs.table.layout import is_errors
from jobs.table.reader import Table, open_table
from jobs.table.reused import ReusedTable

#: Columns by which a row is found.
_INDEX = (schema.PATH, "source_version", "spec_fingerprint")

#: Column that is equal if the same samples were decoded.
_HASH = "audio_hash"

#: Rows that are kept in memory at a time [bytes].
_BATCH_BYTES = 64 * 2**20

#: A file with larger rows is extracted as if there were no other table [bytes].
_MOST_BYTES_OF_FILE = 256 * 2**20


class OtherRowsError(Exception):
    """The rows of a file are not those that were copied: its samples or segments differ."""


class _Group(NamedTuple):
    """Rows of some files in one row group of a part."""

    part: str
    version: str
    group: int
    n_bytes_of_row: float
    rows: np.ndarray
    files: np.ndarray


class OldRows:
    """Rows of the other table, for the files of a shard.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    shard : Shard
        The files.

    Raises
    ------
    TableError
        If the table cannot be read.
    """

    def __init__(self, context: TaskContext, shard: Shard) -> None:
        assert context.reuse is not None
        self._reuse = context.reuse
        options = json.dumps(context.table_options, sort_keys=True)
        self._table = _open(self._reuse.location, options, context.run_id)
        self._paths = pa.array([path for path, _ in shard.files], pa.string())
        self._versions = pa.array([version for _, version in shard.files], pa.string())
        self._groups: list[_Group] = []
        wanted = {**self._reuse.columns, **self._reuse.others}
        self._names = sorted({schema.PATH, *schema.ROW_KEY, _HASH, *wanted.values()})
        self._find()
        self._order = self._batches()
        self._loaded: dict[int, pa.Table] = {}

    @property
    def files(self) -> list[int]:
        """Indices of the files that have rows of their listed version."""
        return list(self._order)

    def rows(self, index: int) -> pa.Table | None:
        """Return the rows of a file by its index in the shard; None if there are none.

        Rows are in order of channel and segment. Files must be asked for in the shard's order.
        """
        if index in self._order and index not in self._loaded:
            self._loaded = self._load(self._order[index])
        return self._loaded.get(index)

    def _find(self) -> None:
        """Find the rows of current files in the parts that may hold them."""
        n_buckets = self._table.metadata.n_buckets
        buckets = np.unique(bucket_of(path_hashes(self._paths), n_buckets))
        parts = [part for b in buckets for part in self._table.parts_of(int(b))]
        for part in parts:
            if not is_errors(part):
                self._find_in(part)

    def _find_in(self, part: str) -> None:
        fingerprint = self._reuse.fingerprint

        def find() -> None:
            self._groups = [group for group in self._groups if group.part != part]
            source, version = self._table.store.open(part)
            with source, open_parquet(source) as file:
                for number in range(file.metadata.num_row_groups):
                    rows = read_groups(file, _INDEX, [number])
                    files = pc.index_in(rows[schema.PATH], self._paths)
                    versions = self._versions.take(files.combine_chunks())
                    is_found = pc.and_(
                        pc.equal(rows["source_version"], versions),
                        pc.equal(rows["spec_fingerprint"], fingerprint),
                    )
                    at = np.flatnonzero(pc.fill_null(is_found, False).to_numpy())
                    if not len(at):
                        continue
                    of_file = files.take(pa.array(at)).to_numpy().astype(np.int64)
                    metadata = file.metadata.row_group(number)
                    n_bytes = metadata.total_byte_size / metadata.num_rows
                    self._groups.append(_Group(part, version, number, n_bytes, at, of_file))

        try:
            with_retries(find, attempts=4, retry_if=_is_conflict)
        except FileNotFoundError:  # its rows moved to another part meanwhile
            return
        except (pa.ArrowException, OSError) as error:
            raise self._failure(part, error) from error

    def _failure(self, part: str, error: Exception) -> TableError:
        if is_storage_error(error):
            return TableError(f"a worker cannot read {self._table.store.url}: {error}")
        return self._table.damaged(part, error)

    def _batches(self) -> dict[int, list[int]]:
        """Return for each file the files that are read together with it."""
        n_bytes: dict[int, float] = defaultdict(float)
        for group in self._groups:
            for file, n in zip(*np.unique(group.files, return_counts=True), strict=True):
                n_bytes[int(file)] += int(n) * group.n_bytes_of_row
        order: dict[int, list[int]] = {}
        batch: list[int] = []
        total = 0.0
        for file in sorted(n_bytes):
            if n_bytes[file] > _MOST_BYTES_OF_FILE:
                continue
            if batch and total + n_bytes[file] > _BATCH_BYTES:
                batch, total = [], 0.0
            batch.append(file)
            total += n_bytes[file]
            order[file] = batch
        return order

    def _load(self, files: Sequence[int]) -> dict[int, pa.Table]:
        """Read the rows of some files; leave out those whose part has changed."""
        pieces = []
        by_part: dict[str, list[_Group]] = defaultdict(list)
        for group in self._groups:
            if np.isin(group.files, files).any():
                by_part[group.part].append(group)
        for part, groups in by_part.items():
            try:
                source, version = self._table.store.open(part)
                with source, open_parquet(source) as file:
                    if version != groups[0].version:
                        continue
                    for group in groups:
                        at = group.rows[np.isin(group.files, files)]
                        pieces.append(
                            read_groups(file, self._names, [group.group]).take(pa.array(at))
                        )
            except (FileNotFoundError, ConflictError):
                continue
            except (pa.ArrowException, OSError) as error:
                raise self._failure(part, error) from error
        if not pieces:
            return {}
        rows = pa.concat_tables(pieces).combine_chunks()
        of_file = pc.index_in(rows[schema.PATH], self._paths).to_numpy()
        channel = pc.fill_null(rows[schema.CHANNEL], -1).to_numpy()
        segment = rows[schema.SEGMENT].to_numpy()
        order = np.lexsort((segment, channel, of_file))
        key = np.stack([of_file, channel, segment])[:, order]
        # rows that move between parts are in both for a while
        order = order[np.append(True, (np.diff(key, axis=1) != 0).any(axis=0))]
        rows, of_file = rows.take(pa.array(order)), of_file[order]
        starts = np.searchsorted(of_file, files, "left")
        stops = np.searchsorted(of_file, files, "right")
        return {
            file: rows.slice(start, stop - start)
            for file, start, stop in zip(files, starts.tolist(), stops.tolist(), strict=True)
            if stop > start
        }


class Copier:
    """Makes the rows of a spec from those of the other table.

    Parameters
    ----------
    context : TaskContext
        Parameters of the run.
    """

    def __init__(self, context: TaskContext) -> None:
        assert context.reuse is not None
        self._reuse: ReusedTable = context.reuse
        self._value_names = featurelib.feature_names(spec_of(context))
        columns = self._reuse.columns
        self._values = [(i, columns[n]) for i, n in enumerate(self._value_names) if n in columns]
        values = set(self._value_names)
        self._others = {new: old for new, old in columns.items() if new not in values}
        self.missing: featurelib.FeatureSpec | None = None
        if self._reuse.missing is not None:
            self.missing = featurelib.FeatureSpec.from_dict(
                self._reuse.missing, sources=context.sources
            )
            place = {name: i for i, name in enumerate(self._value_names)}
            self._computed = [place[name] for name in featurelib.feature_names(self.missing)]

    def copied(self, old: pa.Table) -> featurelib.Rows:
        """Return rows of which every column is copied."""
        return featurelib.Rows(
            len(old),
            {},
            {**self._columns(old), **_read(old, self._reuse.others)},
            self._matrix(old),
        )

    def joined(
        self, computed: Iterable[featurelib.Rows], old: pa.Table
    ) -> Iterator[featurelib.Rows]:
        """Yield computed rows with the copied columns added.

        Raises
        ------
        OtherRowsError
            If the computed rows are of other samples, channels or segments.
        """
        start = 0
        for rows in computed:
            part = old.slice(start, rows.n)
            start += rows.n
            found = {name: rows.columns.get(name, [rows.facts.get(name)] * rows.n) for name in _KEY}
            if any(list(found[name]) != part[name].to_pylist() for name in _KEY):
                raise OtherRowsError
            values = self._matrix(part)
            assert rows.values is not None
            values[:, self._computed] = rows.values
            yield rows._replace(columns={**rows.columns, **self._columns(part)}, values=values)
        if start != len(old):
            raise OtherRowsError

    def _columns(self, old: pa.Table) -> dict[str, Any]:
        return _read(old, self._others)

    def _matrix(self, old: pa.Table) -> np.ndarray:
        values = np.empty((len(old), len(self._value_names)), np.float32)
        for i, name in self._values:
            values[:, i] = old[name].to_numpy()
        return values


_KEY = (*schema.ROW_KEY, _HASH)


def _read(rows: pa.Table, names: dict[str, str]) -> dict[str, Any]:
    return {new: _objects(rows[old]) for new, old in names.items()}


def _objects(column: pa.ChunkedArray) -> list[Any]:
    """Return a column as `featurelib.Rows` has it: a series as one array per row."""
    if not pa.types.is_large_list(column.type):
        return column.to_pylist()
    arrays = []
    for chunk in column.chunks:
        for row in chunk:
            values = row.values
            if pa.types.is_fixed_size_list(values.type):
                width = values.type.list_size
                arrays.append(values.flatten().to_numpy().reshape(len(values), width))
            else:
                arrays.append(values.to_numpy())
    return arrays


@functools.lru_cache(maxsize=2)
def _open(location: str, options: str, run_id: str) -> Table:
    """Open the other table; each process does so once a run."""
    try:
        return open_table(location, json.loads(options))
    except OSError as error:
        raise TableError(f"a worker cannot read {location}: {error}") from error


def _is_conflict(error: BaseException) -> bool:
    return isinstance(error, ConflictError)
