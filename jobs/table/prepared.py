"""Write the new parts of a hash bucket, which a merge has made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from jobs.diagnostics.events import PartStarted, PartWritten
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.storage.parquet import Writer
from jobs.storage.spool import Section, Spool
from jobs.table.layout import is_errors
from jobs.table.transaction import Transaction


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


class PreparedBucket:
    """The new parts of a hash bucket, made but not written; a context manager.

    All parts are made before the first is written, so an error before `commit` changes nothing.

    Parameters
    ----------
    run : Transaction
        The run.
    bucket : int
        Number of the bucket.
    merged : MergedBucket
        Contents of the bucket after `commit`.
    contents : dict
        Contents of each part, by name.
    spool : Spool
        The temporary file of the contents.
    """

    def __init__(
        self,
        run: Transaction,
        bucket: int,
        merged: MergedBucket,
        contents: dict[str, Section],
        spool: Spool,
    ) -> None:
        self._run, self._bucket, self._merged = run, bucket, merged
        self._contents, self._spool = contents, spool

    def __enter__(self) -> PreparedBucket:
        return self

    def __exit__(self, *error: object) -> None:
        self._spool.__exit__()

    def commit(self) -> MergedBucket:
        """Write the parts, each by one atomic replacement.

        Raises
        ------
        ConflictError
            If a part changed since it was read.
        TableBusyError
            If this driver has lost the write lock.
        """
        table = self._run.table
        if self._contents and not any(map(is_errors, [*table.parts, *self._contents])):
            self._add_errors()
        for part, version in self._replace().items():
            table.set_part(part, version)
        return replace(self._merged, parts_written=tuple(self._contents))

    def _add_errors(self) -> None:
        """Add an empty part of errors, so that readers of a new table find ``errors/``."""
        table, section = self._run.table, self._spool.section()
        with Writer(cast(BinaryIO, section), table.error_schema) as writer:
            writer.n_rows = 0
        self._contents = {table.part_for(self._bucket, None, True): section, **self._contents}

    def _replace(self) -> dict[str, str]:
        """Replace parts, several at once; return their new versions by name."""

        def announced() -> Iterator[tuple[str, Section]]:
            for part, data in self._contents.items():
                self._run.notify(PartStarted(part))
                self._run.lock.check()
                yield part, data

        def write(item: tuple[str, Section]) -> tuple[str, str]:
            part, data = item
            expected = self._run.table.parts.get(part)
            return part, store.replace(part, cast(BinaryIO, data), expected=expected)

        store, written = self._run.table.store, {}
        for part, version in in_threads(write, announced(), requests_at_once(store)):
            written[part] = version
            self._run.notify(PartWritten(part))
        return written
