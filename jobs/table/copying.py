"""Copy a table into one with other hash buckets or partitions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.partitioned_rows import repeated
from jobs.diagnostics.events import Counted, Observer, PartStarted, PartWritten
from jobs.errors import TableError
from jobs.storage.base import Store
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.storage.parquet import FileSchema, Writer
from jobs.storage.scratch import spooled_file
from jobs.table.assembly import Cache, Pick, SpilledSource, rows_of_parts
from jobs.table.layout import REPARTITION_JSON, TABLE_JSON, bucket_of_part
from jobs.table.lock import WriteGuard
from jobs.table.metadata import TableMetadata
from jobs.table.parts import list_parts
from jobs.table.reader import Table
from jobs.table.rebucket import BucketRows
from jobs.table.schema import LABEL, PATH, is_first

#: A new part is moved from memory to disk when it is larger.
_SPOOL_BYTES = 32 * 2**20


def begun_copy(store: Store) -> dict[str, Any] | None:
    """Return what an unfinished copy is of; None if there is none."""
    try:
        begun = json.loads(store.read(REPARTITION_JSON)[0])
        return {"source": begun["source"], **begun}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(
            f"{store.url}/{REPARTITION_JSON} cannot be read: delete {store.url}, and run the same"
            " command again"
        ) from error


class TableCopy:
    """A copy of a table with other hash buckets or partitions, while it is made.

    Parameters
    ----------
    source : Table
        The table that is copied.
    store : Store
        Store of the copy.
    metadata : TableMetadata
        Metadata of the copy.
    lock : WriteGuard
        Write lock of the copy.
    notify : callable
        Observer of events.

    Attributes
    ----------
    table : Table
        The copy; it has no ``table.json`` before `publish`.
    """

    def __init__(
        self,
        source: Table,
        store: Store,
        metadata: TableMetadata,
        lock: WriteGuard,
        notify: Observer,
    ) -> None:
        self._source, self._store, self._metadata = source, store, metadata
        self._lock, self._notify = lock, notify

    def _begin(self) -> None:
        """Find out what is done; delete it if it is the copy of another state of the table."""
        wanted = {
            "source": self._source.store.url,
            "parts": dict(sorted(self._source.parts.items())),
            "table": json.loads(self._metadata.to_json()),
        }
        begun = begun_copy(self._store)
        if begun != wanted:
            self._lock.check()
            if begun is not None:  # killed meanwhile, it must not be taken for the copy that it was
                self._write_begun({"source": wanted["source"]})
            self._store.delete(list(list_parts(self._store)))
            self._write_begun(wanted)
        self.table = Table(self._store, self._metadata)

    def _write_begun(self, begun: dict[str, Any]) -> None:
        self._store.replace(REPARTITION_JSON, json.dumps(begun).encode())

    def write(self, rows_of: Callable[[int], BucketRows]) -> None:
        """Write the parts, bucket by bucket; go on after those that an earlier copy has written.

        The last bucket that has parts is written again, since others of its parts may be missing.

        Parameters
        ----------
        rows_of : callable
            Returns the rows of a bucket of the copy; called in their order.

        Raises
        ------
        TableError
            If a file is in the table twice.
        TableBusyError
            If this driver has lost the write lock.
        """
        self._begin()
        done = [bucket_of_part(part) or 0 for part in self.table.parts]
        for bucket in range(max(done, default=0), self._metadata.n_buckets):
            rows = rows_of(bucket)
            files = _Files(rows, self._source.store.url)
            self._replace(self._encoded(bucket, rows, files))
            self._notify(Counted(len(files.paths)))

    def _encoded(
        self, bucket: int, rows: BucketRows, files: _Files
    ) -> Iterator[tuple[str, BinaryIO]]:
        """Yield each part of a bucket with its contents."""
        by_label = self._metadata.partition_by == "label"
        features: list[tuple[str, list[Pick]]] = []
        if len(rows.features):
            held = SpilledSource(rows.features)
            for label, of_label in files.by_label() if by_label else [(None, files.with_features)]:
                part = self.table.part_for(bucket, label, is_error=False)
                features.append((part, [Pick(held, True, of_label)]))
        errors: list[tuple[str, list[Pick]]] = []
        if len(rows.errors):
            picks = [Pick(SpilledSource(rows.errors), True, files.failed)]
            errors.append((self.table.part_for(bucket, None, is_error=True), picks))
        elif not bucket:  # readers find errors/
            errors.append((self.table.part_for(bucket, None, is_error=True), []))
        for parts in (features, errors):
            for part, data in self._encoded_parts(parts, files.paths):
                yield part, data

    def _encoded_parts(
        self, parts: Sequence[tuple[str, Sequence[Pick]]], paths: pa.Array
    ) -> Iterator[tuple[str, BinaryIO]]:
        if not parts:
            return
        form = FileSchema(self.table.schema_of(parts[0][0]))
        no_attributes = pa.table({})
        for rows in rows_of_parts(parts, form.schema, paths, no_attributes, Cache()):
            data = spooled_file(_SPOOL_BYTES)
            with Writer(data, form) as writer:
                rows.write_to(writer)
            yield rows.part, data

    def _replace(self, parts: Iterator[tuple[str, BinaryIO]]) -> None:
        """Write parts, several at once."""

        def replace(item: tuple[str, BinaryIO]) -> tuple[str, str]:
            part, data = item
            with data:
                version = self._store.replace(part, data, expected=self.table.parts.get(part))
            return part, version

        def announced() -> Iterator[tuple[str, BinaryIO]]:
            for part, data in parts:
                self._notify(PartStarted(part))
                self._lock.check()
                yield part, data

        for part, version in in_threads(replace, announced(), requests_at_once(self._store)):
            self.table.set_part(part, version)
            self._notify(PartWritten(part))

    def publish(self) -> None:
        """Make the copy a table."""
        self._lock.check()
        self._store.replace(TABLE_JSON, self._metadata.to_json(), expected=None)
        self._store.delete([REPARTITION_JSON])


class _Files:
    """The files of a hash bucket.

    Parameters
    ----------
    rows : BucketRows
        Rows of the bucket.
    source : str
        Location of the table that they are from, for errors.

    Attributes
    ----------
    paths : pyarrow.Array
        Their paths, sorted.
    with_features, failed : np.ndarray
        Indices in `paths`, in order, of the files with features and of those with an error row.

    Raises
    ------
    TableError
        If a file is there twice.
    """

    def __init__(self, rows: BucketRows, source: str) -> None:
        first = rows.features.select([PATH, LABEL]).filter(is_first(rows.features))
        both = pa.concat_tables([first.select([PATH]), rows.errors.select([PATH])])
        if (path := repeated(both[PATH])) is not None:
            raise TableError(
                f"{source} holds {path!r} twice, since a run was interrupted: run featurelib"
                " extract once, then this command again"
            )
        paths = both[PATH].combine_chunks()
        self.paths = paths.take(pc.sort_indices(paths))
        self._labels = first[LABEL].combine_chunks()
        self._file = pc.index_in(first[PATH].combine_chunks(), self.paths).to_numpy()
        self.with_features = np.sort(self._file)
        failed = pc.index_in(rows.errors[PATH].combine_chunks(), self.paths).to_numpy()
        self.failed = np.sort(failed)

    def by_label(self) -> Iterator[tuple[str | None, np.ndarray]]:
        """Yield each label and the files that have it, as in `with_features`."""
        encoded = self._labels.dictionary_encode(null_encoding="encode")
        codes = encoded.indices.to_numpy()
        order = np.lexsort((self._file, codes))
        ends = np.searchsorted(codes[order], np.arange(len(encoded.dictionary)), "right")
        files = np.split(self._file[order], ends[:-1])
        yield from zip(encoded.dictionary.to_pylist(), files, strict=True)
