"""Merge a hash bucket: make new parts from the rows of old parts and staged files."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa

from jobs.diagnostics.events import PartStarted, PartWritten
from jobs.errors import ConflictError, StorageError
from jobs.storage.parquet import Writer, is_storage_error, open_parquet
from jobs.storage.spool import LocalFiles, Section, Spool
from jobs.table.assembly import Cache, Pick, Picks, RowSource, write_part
from jobs.table.changes import (
    EXTRACTED,
    Assignment,
    TableEntry,
    classify,
    is_reusable,
    resolve,
)
from jobs.table.layout import is_errors
from jobs.table.staging import open_staged, outcome_rows, outcomes_of
from jobs.table.transaction import Transaction

#: A bucket's new parts are moved from memory to disk when they are larger.
_SPOOL_BYTES = 32 * 2**20


class DamagedStagedFileError(StorageError):
    """A staged file cannot be read; its files must be extracted again."""

    def __init__(self, name: str, why: object) -> None:
        super().__init__(f"{name} is damaged ({str(why).splitlines()[0]})")
        self.name = name


@dataclass(frozen=True)
class MergedBucket:
    """Contents of a committed hash bucket.

    Attributes
    ----------
    n_files : int
        Number of files with feature rows.
    n_rows : int
        Number of feature rows.
    n_errors : int
        Number of files with an error row.
    parts_written : tuple of str
        Names of the parts that were written.
    moving : bool
        Whether some rows are in two parts now and must still leave one of them.
    moving_features : bool
        Whether some of the moving rows go from one feature part to another.
    """

    n_files: int
    n_rows: int
    n_errors: int
    parts_written: tuple[str, ...]
    moving: bool
    moving_features: bool


class BucketMerge:
    """The merge of one hash bucket; a context manager that closes its source files.

    Parameters
    ----------
    run : Transaction
        The run. Rows that it staged itself are used for any version of their file.
    bucket : int
        Number of the bucket.

    Attributes
    ----------
    placed : list of Assignment
        Where the rows of each file come from and go to.
    unfinished : list of str
        Paths of files that had to be extracted but are in no staged file.

    Raises
    ------
    ConflictError
        If a part changed since the bucket was planned.
    DamagedStagedFileError
        If a staged file is damaged.
    """

    def __init__(self, run: Transaction, bucket: int) -> None:
        table, options = run.table, run.options
        self._run = run
        self.table = table
        planned = {part: table.parts[part] for part in table.parts_of(bucket)}
        self.held = table.held(bucket)
        for part, version in planned.items():
            if table.parts[part] != version:
                raise ConflictError(f"{part} changed since it was planned")
        items = run.listing.items(bucket)
        self._n_rows = table.n_rows_by_part(bucket)
        self._files = LocalFiles(table.store, _SPOOL_BYTES)
        self._sources: dict[str, RowSource] = {}
        try:
            outcomes = self._open_staged(run.staged.of_bucket(bucket))
        except BaseException:
            self._files.__exit__()
            raise
        chosen = outcomes_of(
            outcomes,
            lambda o: o.run_id == run.run_id or is_reusable(o, items.get(o.path), options),
        )
        self._staged_in = {path: name for path, (_, name, _) in chosen.items()}
        self.placed = resolve(
            items,
            self.held,
            {path: outcome for path, (outcome, _, _) in chosen.items()},
            options,
            lambda label, kind: table.part_for(bucket, label, kind),
        )
        self.unfinished = [
            path
            for path, item in items.items()
            if path not in chosen
            and classify(item, self.held.get(path, ()), options)[0] in EXTRACTED
        ]
        self._gains = self._find_gains()
        self._losses = self._find_losses()
        self._moving = self._find_moving()

    def __enter__(self) -> BucketMerge:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.__exit__()

    def _open_staged(self, names: Sequence[str]) -> dict[str, pa.Table]:
        """Open staged files as sources of rows, and return their first rows by name."""
        outcomes = {}
        for name in names:
            try:
                source, _ = self._files.open(name)
            except FileNotFoundError:
                continue
            with source:
                file = open_staged(source, self.table.staged_schema, self.table.origin)
                rows = outcome_rows(file) if file is not None else None
            if file is not None and rows is not None:
                outcomes[name] = rows
                opener = functools.partial(self._open, name, None)
                damaged = functools.partial(DamagedStagedFileError, name)
                self._sources[name] = RowSource(opener, file.metadata, damaged)
        return outcomes

    def n_files_and_errors(self) -> tuple[int, int]:
        """Return the number of files with feature rows and with an error row after the merge."""
        n_errors = sum(is_errors(placed.part) for placed in self.placed)
        return len(self.placed) - n_errors, n_errors

    def _find_gains(self) -> dict[str, list[Assignment]]:
        """Return, by part, the files whose rows are new in it, or whose attributes changed."""
        gains: dict[str, list[Assignment]] = {}
        for placed in self.placed:
            source = placed.source
            if (
                source is None
                or source.part != placed.part
                or source.attributes != placed.attributes
            ):
                gains.setdefault(placed.part, []).append(placed)
        return gains

    def _find_losses(self) -> dict[str, set[str]]:
        """Return, by part, the paths whose rows leave the part or are replaced."""
        stays: dict[str, TableEntry | None] = {
            placed.path: placed.source
            for placed in self.placed
            if placed.source is not None and placed.source.attributes == placed.attributes
        }
        losses: dict[str, set[str]] = {}
        for path, entries in self.held.items():
            for entry in entries:
                kept = stays.get(path)
                if kept is None or kept.part != entry.part:
                    losses.setdefault(entry.part, set()).add(path)
        return losses

    def _find_moving(self) -> dict[str, set[str]]:
        """Return, by part, the lost paths that another part gains."""
        gained_by = {p.path: part for part, gains in self._gains.items() for p in gains}
        moving = {
            part: {path for path in paths if gained_by.get(path, part) != part}
            for part, paths in self._losses.items()
        }
        return {part: paths for part, paths in moving.items() if paths}

    def _moves_features(self) -> bool:
        """Return whether a row goes from one feature part to another."""
        losing = {
            path for part, paths in self._moving.items() if not is_errors(part) for path in paths
        }
        return any(
            placed.path in losing
            for part, gains in self._gains.items()
            if not is_errors(part)
            for placed in gains
        )

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
            opened = RowSource(opener, metadata, damaged)
            if not opened.schema.equals(self.table.schema_of(part)):
                raise damaged("its columns are not those of this table")
            self._sources[part] = opened
        return self._sources[part]

    def _picks(self, part: str, keep_moving: bool) -> Picks:
        """Return the sources of the rows of a new part.

        Parameters
        ----------
        part : str
            Name of the part.
        keep_moving : bool
            Keep the rows that go to another part.
        """
        gains = {placed.path for placed in self._gains.get(part, ())}
        still_kept = self._moving.get(part, set()) if keep_moving else set()
        numbers: dict[tuple[str, bool], int] = {}
        of_file = np.full(len(self.placed), -1, np.int32)
        for index, placed in enumerate(self.placed):
            if placed.part == part:
                source = placed.source.part if placed.source else self._staged_in[placed.path]
                pick = (source, placed.path not in gains)
            elif placed.path in still_kept:
                pick = (part, True)
            else:
                continue
            of_file[index] = numbers.setdefault(pick, len(numbers))
        picks = [Pick(self._source(source), as_it_is) for source, as_it_is in numbers]
        return Picks(picks, of_file)

    def _attributes(self) -> pa.Table:
        """Return the label and carried columns of each file, in the order of `placed`."""
        names = self.table.attribute_names
        columns = list(zip(*(placed.attributes for placed in self.placed), strict=True))
        wanted = pa.schema([self.table.feature_schema.field(name) for name in names])
        return pa.table(columns, schema=wanted) if columns else wanted.empty_table()

    def _write(self, parts: Sequence[str], spool: Spool, keep_moving: bool) -> list[Section]:
        """Write the contents of parts into sections of a temporary file."""
        paths = pa.array([placed.path for placed in self.placed], pa.string())
        attributes, cache = self._attributes(), Cache()
        sections: list[Section] = []
        for part in parts:
            section = spool.section()
            wanted = self.table.schema_of(part)
            picks = self._picks(part, keep_moving)
            with Writer(cast(BinaryIO, section), wanted) as writer:
                n_rows = write_part(writer, wanted, paths, attributes, picks, cache, part)
            if not is_errors(part):
                self._n_rows[part] = n_rows
            sections.append(section)
        return sections

    def commit(self, *, keep_moving: bool) -> MergedBucket:
        """Write the changed parts, each by one atomic replacement.

        Parameters
        ----------
        keep_moving : bool
            Keep moving rows in both parts, so that no reader misses them. A later merge of
            the bucket removes them from the part that loses them.

        Raises
        ------
        ConflictError
            If a part changed since it was read.
        TableBusyError
            If this driver has lost the write lock.
        """
        parts = sorted(self._gains.keys() | self._losses.keys())
        if keep_moving:
            parts = [
                p for p in parts if p in self._gains or self._losses[p] - self._moving.get(p, set())
            ]
        written: dict[str, str] = {}
        with Spool(_SPOOL_BYTES) as spool:
            # all parts are made before the first is written: an error here changes nothing
            contents = self._write(parts, spool, keep_moving)
            for part, data in zip(parts, contents, strict=True):
                self._run.notify(PartStarted(part))
                self._run.lock.check()
                expected = self.table.parts.get(part)
                written[part] = self.table.store.replace(
                    part, cast(BinaryIO, data), expected=expected
                )
                self._run.notify(PartWritten(part))
        for part, version in written.items():
            self.table.set_part(part, version)
        n_files, n_errors = self.n_files_and_errors()
        still_moving = bool(self._moving) and keep_moving
        return MergedBucket(
            n_files,
            sum(self._n_rows.values()),
            n_errors,
            tuple(parts),
            still_moving,
            still_moving and self._moves_features(),
        )
