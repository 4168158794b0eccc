"""Merge a hash bucket: make new parts from the rows of old parts and staged files."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.errors import ConflictError, StorageError
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.storage.parquet import FileSchema, Writer, is_storage_error, open_parquet
from jobs.storage.spool import LocalFiles, Section, Spool
from jobs.table.assembly import (
    Cache,
    FileSource,
    PartRows,
    Pick,
    RowSource,
    load_keys,
    rows_of_parts,
)
from jobs.table.changes import PART, compare, lost_entries, place, unfinished, usable_outcomes
from jobs.table.layout import is_errors
from jobs.table.prepared import MergedBucket, PreparedBucket
from jobs.table.staging import open_staged, outcome_rows, planning_schema
from jobs.table.transaction import Transaction

#: A bucket's new parts are moved from memory to disk when they are larger.
_SPOOL_BYTES = 16 * 2**20


#: Number of small parts that are encoded at the same time.
_ENCODERS = 2


class DamagedStagedFileError(StorageError):
    """A staged file cannot be read; its files must be extracted again."""

    def __init__(self, name: str, why: object) -> None:
        super().__init__(f"{name} is damaged ({str(why).splitlines()[0]})")
        self.name = name


class BucketMerge:
    """The merge of one hash bucket; a context manager that closes its source files.

    It only reads. Threads may merge several buckets of a run at the same time.

    Parameters
    ----------
    run : Transaction
        The run. Rows that it staged itself are used for any version of their file.
    bucket : int
        Number of the bucket.

    Attributes
    ----------
    placement : Placement
        Where the rows of each file come from and go to.
    unfinished : pyarrow.Array
        Paths of files that had to be extracted but are in no staged file.

    Raises
    ------
    ConflictError
        If a part changed since the bucket was planned.
    DamagedStagedFileError
        If a staged file is damaged.
    """

    def __init__(self, run: Transaction, bucket: int) -> None:
        table = run.table
        self._run, self._bucket = run, bucket
        self.table = table
        planned = {part: table.parts[part] for part in table.parts_of(bucket)}
        held = table.held(bucket)
        for part, version in planned.items():
            if table.parts[part] != version:
                raise ConflictError(f"{part} changed since it was planned")
        items = run.listing.items(bucket)
        self._n_rows = table.n_rows_by_part(bucket)
        self._files = LocalFiles(table.store, _SPOOL_BYTES)
        self._sources: dict[str, RowSource] = {}
        try:
            staged = self._open_staged(run.staged.of_bucket(bucket))
        except BaseException:
            self._files.__exit__()
            raise
        none = planning_schema(table.staged_schema).empty_table()
        outcomes = pa.concat_tables([none, *staged.values()]).combine_chunks()
        compared = compare(items, held, run.options)
        chosen = usable_outcomes(outcomes, items, run.options, run.run_id)
        self.unfinished = unfinished(compared, outcomes, chosen)
        self.placement = placed = place(
            compared,
            outcomes,
            chosen,
            functools.partial(table.part_for, bucket),
            own_labels=run.options.own_labels,
        )
        # parts and staged files are sources by number, in the order of these names
        self._parts = [*placed.parts, *(p for p in planned if p not in placed.parts)]
        self._source_names = [*self._parts, *staged]
        of_entry = pc.index_in(held[PART], pa.array(self._parts, pa.string())).to_numpy()
        n_rows = [len(rows) for rows in staged.values()]
        of_outcome = np.repeat(np.arange(len(staged)), n_rows) + len(self._parts)
        self._source_of = np.where(
            placed.outcome < 0,
            np.append(of_entry, -1)[placed.entry],
            np.append(of_outcome, -1)[placed.outcome],
        )
        # entries that leave their part, and those of them whose rows another part gains
        lost = lost_entries(compared, placed)
        self._loses = of_entry[lost]
        at = pc.index_in(held["path"].combine_chunks().take(pa.array(lost)), placed.paths)
        file = pc.fill_null(at, -1).to_numpy()
        is_moving = np.append(placed.is_new, False)[file]
        is_moving &= np.append(placed.part, -1)[file] != self._loses
        self._is_moving = is_moving
        self._moving_file, self._moves_from = file[is_moving], self._loses[is_moving]

    def __enter__(self) -> BucketMerge:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.__exit__()

    def _open_staged(self, names: Sequence[str]) -> dict[str, pa.Table]:
        """Open staged files as sources of rows, and return their first rows by name."""
        outcomes = {}
        self._files.copy(names)
        found = in_threads(self._read_staged, names, requests_at_once(self.table.store))
        for name, read in zip(names, found, strict=True):
            if read is not None:
                metadata, outcomes[name] = read
                opener = functools.partial(self._open, name, None)
                damaged = functools.partial(DamagedStagedFileError, name)
                self._sources[name] = FileSource(opener, metadata, damaged)
        return outcomes

    def _read_staged(self, name: str) -> tuple[pq.FileMetaData, pa.Table] | None:
        """Return the footer and the first rows of a staged file; None if it cannot be used."""
        try:
            source, _ = self._files.open(name)
        except FileNotFoundError:
            return None
        with source:
            file = open_staged(source, self.table.staged_schema, self.table.origin)
            rows = outcome_rows(file) if file is not None else None
        return (file.metadata, rows) if file is not None and rows is not None else None

    def n_files_and_errors(self) -> tuple[int, int]:
        """Return the number of files with feature rows and with an error row after the merge."""
        in_errors = np.array([is_errors(part) for part in self.placement.parts], bool)
        n_errors = int(in_errors[self.placement.part].sum())
        return len(self.placement.part) - n_errors, n_errors

    def _changed_parts(self, keep_moving: bool) -> list[str]:
        """Return the names of the parts whose rows change."""
        placed = self.placement
        loses = self._loses[~self._is_moving] if keep_moving else self._loses
        return sorted({self._parts[n] for n in np.union1d(placed.part[placed.is_new], loses)})

    def _moves_features(self) -> bool:
        """Return whether a row goes from one feature part to another."""
        in_errors = np.array([is_errors(part) for part in self._parts], bool)
        moves_to = self.placement.part[self._moving_file]
        return bool((~in_errors[self._moves_from] & ~in_errors[moves_to]).any())

    def _open(self, name: str, version: str | None) -> BinaryIO:
        """Open a part or staged file; raise ConflictError if it has another version."""
        source, opened_version = self._files.open(name)
        if version not in (None, opened_version):
            source.close()
            raise ConflictError(f"{name} changed while it was merged")
        return source

    def _source(self, part: str) -> RowSource:
        """Return the rows of an old part or a staged file."""
        if part not in self._sources:
            opener = functools.partial(self._open, part, self.table.parts[part])
            damaged = functools.partial(self.table.damaged, part)
            try:
                with opener() as source, open_parquet(source) as file:
                    metadata = file.metadata
            except (pa.ArrowException, OSError) as error:
                if is_storage_error(error):
                    raise
                raise damaged(error) from error
            opened = FileSource(opener, metadata, damaged)
            if not opened.schema.equals(self.table.schema_of(part)):
                raise damaged("its columns are not those of this table")
            self._sources[part] = opened
        return self._sources[part]

    def _picks(self, keep_moving: bool) -> dict[str, list[Pick]]:
        """Return the sources of the rows of each part.

        Parameters
        ----------
        keep_moving : bool
            Keep the rows that go to another part.
        """
        placed = self.placement
        file = np.arange(len(placed.part))
        part, source, as_it_is = placed.part, self._source_of, ~placed.is_new
        if keep_moving:
            file = np.append(file, self._moving_file)
            part = np.append(part, self._moves_from)
            source = np.append(source, self._moves_from)
            as_it_is = np.append(as_it_is, np.ones(len(self._moving_file), bool))
        picks: dict[str, list[Pick]] = {}
        order = np.lexsort((file, as_it_is, source, part))
        key = np.stack([part, source, as_it_is])[:, order]
        starts = np.flatnonzero((np.diff(key, axis=1, prepend=-1) != 0).any(axis=0))
        for start, end in itertools.pairwise([*starts, len(order)]):  # none in an empty bucket
            of_part, of_source, unchanged = key[:, start]
            source_rows = self._source(self._source_names[of_source])
            pick = Pick(source_rows, bool(unchanged), file[order[start:end]])
            picks.setdefault(self._parts[of_part], []).append(pick)
        return picks

    def _write(
        self, parts: Sequence[str], spool: Spool, keep_moving: bool, is_over: Callable[[], bool]
    ) -> dict[str, Section]:
        """Write the contents of parts into sections of a temporary file, and return those."""
        names = self.table.attribute_names
        fields = pa.schema([self.table.feature_schema.field(name) for name in names])
        attributes = self.placement.attributes.select(names).cast(fields)
        picks, contents = self._picks(keep_moving), dict[str, Section]()
        sources = dict.fromkeys(pick.source for of_part in picks.values() for pick in of_part)
        load_keys(sources, self.placement.paths)
        with Cache() as cache:
            for in_errors, of_kind in itertools.groupby(parts, is_errors):
                wanted = self.table.error_schema if in_errors else self.table.feature_schema
                of_parts = ((part, picks.get(part, ())) for part in of_kind)
                rows = rows_of_parts(of_parts, wanted, self.placement.paths, attributes, cache)
                for part, section in _encode(rows, FileSchema(wanted), spool):
                    if is_over():
                        raise CancelledError
                    if not in_errors:
                        self._n_rows[part.part] = part.n_rows
                    contents[part.part] = section
        return contents

    def prepare(
        self, *, keep_moving: bool, is_over: Callable[[], bool] = lambda: False
    ) -> PreparedBucket:
        """Make the contents of the changed parts; nothing is written to the table.

        Parameters
        ----------
        keep_moving : bool
            Keep moving rows in both parts, so that no reader misses them. A later merge of
            the bucket removes them from the part that loses them.
        is_over : callable
            Returns whether to give up, since the merge is not needed any more.

        Raises
        ------
        ConflictError
            If a part changed since it was read.
        """
        with contextlib.ExitStack() as stack:
            spool = stack.enter_context(Spool(_SPOOL_BYTES))
            contents = self._write(self._changed_parts(keep_moving), spool, keep_moving, is_over)
            stack.pop_all()
        n_files, n_errors = self.n_files_and_errors()
        still_moving = keep_moving and len(self._moving_file) > 0
        merged = MergedBucket(
            n_files,
            sum(self._n_rows.values()),
            n_errors,
            tuple(contents),
            still_moving,
            still_moving and self._moves_features(),
        )
        return PreparedBucket(self._run, self._bucket, merged, contents, spool)


def _encode(
    rows: Iterator[PartRows], form: FileSchema, spool: Spool
) -> Iterator[tuple[PartRows, Section]]:
    """Write parts into sections; small ones are encoded ahead, a large one when it is its turn."""
    for part, data in in_threads(functools.partial(_encoded, form), rows, _ENCODERS):
        section = spool.section()
        if data is not None:
            section.write(data)
        else:
            with Writer(cast(BinaryIO, section), form) as writer:
                part.write_to(writer)
        yield part, section


def _encoded(form: FileSchema, rows: PartRows) -> tuple[PartRows, bytes | None]:
    """Return a part with its contents, if its rows are in memory."""
    if not rows.is_small:
        return rows, None
    sink = io.BytesIO()
    with Writer(sink, form) as writer:
        rows.write_to(writer)
    return rows, sink.getvalue()
