"""Staged files: extracted rows of a shard, kept until their hash bucket is merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import featurelib
from jobs.errors import TableError, with_remedy
from jobs.storage.base import Store
from jobs.storage.names import encode_path
from jobs.storage.parallel import in_threads, requests_at_once
from jobs.storage.parquet import (
    ROW_GROUP_BYTES,
    Writer,
    is_storage_error,
    open_parquet,
    read_groups,
)
from jobs.storage.scratch import spooled_file
from jobs.table.layout import RUNS, run_and_bucket, staged_name
from jobs.table.schema import (
    ERROR_KIND,
    LABEL,
    MAX_MESSAGE,
    PATH,
    ROW_KEY,
    is_first,
)
from jobs.table.signs import COLUMNS

#: Uncompressed size of the rows that a worker keeps in memory before it writes a staged file.
STAGED_BYTES = 64 * 2**20

_SPOOL_BYTES = 8 * 2**20
_OUTCOME_COLUMNS = (PATH, *ROW_KEY, "source_version", "spec_fingerprint", "run_id", ERROR_KIND)


class StagedFiles:
    """Names of staged files, by hash bucket."""

    def __init__(self) -> None:
        self._by_bucket: dict[int, list[str]] = {}

    def add(self, name: str) -> None:
        """Add a name; ignore names of other files."""
        parsed = run_and_bucket(name)
        if parsed is not None:
            self._by_bucket.setdefault(parsed[1], []).append(name)

    def update(self, names: Iterable[str]) -> None:
        """Add names."""
        for name in names:
            self.add(name)

    def of_bucket(self, bucket: int) -> list[str]:
        """Return the names of the staged files of a hash bucket, earliest run first."""
        return sorted(self._by_bucket.get(bucket, ()))

    def beyond(self, n_buckets: int) -> list[str]:
        """Return the names of staged files whose hash bucket the table does not have."""
        return [
            n for bucket, names in self._by_bucket.items() if bucket >= n_buckets for n in names
        ]

    def discard(self, name: str) -> None:
        """Remove a name."""
        for names in self._by_bucket.values():
            if name in names:
                names.remove(name)

    def names(self) -> list[str]:
        """Return all names."""
        return [name for names in self._by_bucket.values() for name in names]

    def __len__(self) -> int:
        return sum(len(names) for names in self._by_bucket.values())


@dataclass(frozen=True)
class Origin:
    """The corpus and the bucket count of staged rows; rows of another origin are not used.

    Attributes
    ----------
    corpus : str
        Canonical location to which paths are relative.
    n_buckets : int
        Number of hash buckets.
    """

    corpus: str
    n_buckets: int

    def metadata(self) -> dict[str, str]:
        """Return the origin as metadata of an Arrow schema."""
        return {"corpus": self.corpus, "n_buckets": str(self.n_buckets)}

    def is_of(self, file: pq.ParquetFile) -> bool:
        """Return whether the metadata of a file names this origin."""
        metadata = file.metadata.metadata or {}
        return all(metadata.get(k.encode()) == v.encode() for k, v in self.metadata().items())


class RowForm(NamedTuple):
    """Form of the rows of a run.

    Attributes
    ----------
    schema : pyarrow.Schema
        Schema of staged files.
    value_names : list of str
        Names of the columns in `featurelib.Rows.values`.
    fingerprint : str
        Fingerprint of the spec.
    """

    schema: pa.Schema
    value_names: list[str]
    fingerprint: str


class StagingWriter:
    """Collect the rows and errors of a shard, and write them to staged files.

    All rows of a file are in the same staged file. A staged file holds many files, or a
    single file whose rows did not fit into memory.

    Parameters
    ----------
    store : Store
        Store of the table.
    bucket : int
        Hash bucket of the shard.
    form : RowForm
        Form of the rows.
    run_id : str
        Name of the run.
    origin : Origin
        Written to the metadata of the staged files.

    Attributes
    ----------
    names : list of str
        Names of the staged files that are written.
    """

    def __init__(
        self,
        store: Store,
        bucket: int,
        form: RowForm,
        run_id: str,
        origin: Origin,
    ) -> None:
        self._store, self._bucket = store, bucket
        self._common = {"spec_fingerprint": form.fingerprint, "run_id": run_id}
        self._run_id = run_id
        self._schema = form.schema.with_metadata(origin.metadata())
        self._value_names = form.value_names
        self._rows = self._collector()
        self.names: list[str] = []

    def _collector(self) -> featurelib.RowCollector:
        return featurelib.RowCollector(self._schema, self._value_names)

    def file(self, path: str, version: str, size: int | None) -> FileRows:
        """Return a new, empty `FileRows`; pass it to `add_file` when it is complete."""
        common = {PATH: path, "size_bytes": size, "source_version": version, **self._common}
        return FileRows(common, self._collector, self._rows.n_bytes_of, self._schema)

    def add_file(self, rows: FileRows) -> None:
        """Add all rows of a file; write a staged file if the memory limit is reached.

        Raises
        ------
        TableError
            If the staged file cannot be written.
        """
        if rows.spooled is not None:
            self._replace(rows.spooled)
            return
        for batch in rows.waiting:
            self._rows.add(batch)
        if self._rows.n_bytes >= STAGED_BYTES:
            self.flush()

    def add_error(
        self,
        path: str,
        version: str,
        size: int | None,
        kind: str,
        message: str,
        label: str | None = None,
    ) -> None:
        """Add an error row of a file; its label is left out where labels are not staged."""
        attributes = {
            PATH: path,
            "size_bytes": size,
            "source_version": version,
            ERROR_KIND: kind,
            # a message may quote a name that is not UTF-8
            "message": encode_path(message)[:MAX_MESSAGE],
            LABEL: label,
            **self._common,
        }
        self._rows.add(featurelib.Rows(1, attributes, {}))

    def flush(self) -> None:
        """Write the rows in memory to a staged file, if there are any."""
        if not self._rows.n_rows:
            return
        rows, self._rows = self._rows.table(), self._collector()
        with spooled_file(_SPOOL_BYTES) as sink:
            with Writer(sink, self._schema) as writer:
                writer.write(rows)
            del rows
            self._replace(sink)

    def _replace(self, data: BinaryIO) -> None:
        name = staged_name(self._run_id, self._bucket)  # unique, so no condition is needed
        try:
            self._store.replace(name, data)
        except OSError as error:
            raise TableError(
                f"a worker cannot write to {self._store.url}: {with_remedy(error)}"
            ) from error
        self.names.append(name)


class FileRows:
    """The rows of one file: in memory, or spilled to a temporary file if they are many.

    Parameters
    ----------
    common : dict
        Values of the columns that are equal in all rows.
    collector : callable
        Returns an empty `featurelib.RowCollector`.
    n_bytes_of : callable
        Returns the memory size of rows in bytes.
    schema : pyarrow.Schema
        Schema of a staged file.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    waiting : list of featurelib.Rows
        Rows in memory.
    spooled : binary file object, optional
        A staged file with all rows, if they were spilled.
    """

    def __init__(
        self,
        common: dict[str, Any],
        collector: Callable[[], featurelib.RowCollector],
        n_bytes_of: Callable[[featurelib.Rows], int],
        schema: pa.Schema,
    ) -> None:
        self._common, self._collector, self._schema = common, collector, schema
        self._n_bytes_of = n_bytes_of
        self._n_bytes = 0
        self._writer: Writer | None = None
        self.n_rows = 0
        self.waiting: list[featurelib.Rows] = []
        self.spooled: BinaryIO | None = None

    def add(self, rows: featurelib.Rows) -> None:
        """Append rows."""
        self.n_rows += rows.n
        self.waiting.append(rows._replace(facts={**rows.facts, **self._common}))
        self._n_bytes += self._n_bytes_of(rows)
        limit = STAGED_BYTES if self._writer is None else ROW_GROUP_BYTES
        if self._n_bytes >= limit:
            self._spill()

    def end(self) -> None:
        """Finish the file after its last row."""
        if self._writer is not None:
            self._spill()
            self._writer.close()

    def close(self) -> None:
        """Release the memory and the temporary file of the rows."""
        self.waiting = []
        if self._writer is not None:
            self._writer.close()
        if self.spooled is not None:
            self.spooled.close()

    def _spill(self) -> None:
        if self._writer is None:
            self.spooled = spooled_file(_SPOOL_BYTES)
            self._writer = Writer(self.spooled, self._schema)
        collector = self._collector()
        for rows in self.waiting:
            collector.add(rows)
        self.waiting, self._n_bytes = [], 0
        self._writer.write(collector.table())


def open_staged(source: BinaryIO, schema: pa.Schema, origin: Origin) -> pq.ParquetFile | None:
    """Open a staged file; return None if it is damaged or has another schema or origin.

    Raises
    ------
    OSError
        If the storage fails. The staged file may be intact.
    """
    try:
        file = open_parquet(source)
    except (pa.ArrowException, OSError) as error:
        if is_storage_error(error):
            raise
        return None
    is_usable = file.schema_arrow.equals(schema) and origin.is_of(file)
    return file if is_usable else None


def outcome_rows(file: pq.ParquetFile) -> pa.Table | None:
    """Return the planning columns of each file's first row; None if the file is damaged.

    Raises
    ------
    OSError
        If the storage fails.
    """
    try:
        rows = read_groups(file, planning_schema(file.schema_arrow).names)
    except (pa.ArrowException, OSError) as error:
        if is_storage_error(error):
            raise
        return None
    is_outcome = pc.or_(pc.is_valid(rows[ERROR_KIND]), pc.fill_null(is_first(rows), False))
    return rows.filter(is_outcome).replace_schema_metadata(None)


def read_outcomes(
    store: Store, names: Sequence[str], schema: pa.Schema, origin: Origin
) -> dict[str, pa.Table]:
    """Return the first rows of staged files, by name.

    A staged file has no rows here if it is missing, damaged, or of another schema or origin.
    Its files are extracted again.

    Raises
    ------
    OSError
        If the storage fails. The staged file may be intact.
    """
    no_rows = planning_schema(schema).empty_table()

    def read(name: str) -> pa.Table:
        try:
            source, _ = store.open(name)
        except FileNotFoundError:
            return no_rows
        with source:
            file = open_staged(source, schema, origin)
            rows = outcome_rows(file) if file is not None else None
        return no_rows if rows is None else rows

    return dict(zip(names, in_threads(read, names, requests_at_once(store)), strict=True))


def planning_schema(schema: pa.Schema) -> pa.Schema:
    """Return the planning columns of the schema of staged files."""
    label = [LABEL] if LABEL in schema.names else []
    return pa.schema([schema.field(name) for name in (*_OUTCOME_COLUMNS, *label, *COLUMNS)])


def list_staged(store: Store, run_id: str | None = None) -> StagedFiles:
    """Return the staged files of all runs, or of one run."""
    staged = StagedFiles()
    try:
        for page in store.scan(RUNS if run_id is None else f"{RUNS}/{run_id}"):
            for entry in page:
                staged.add(entry.name)
    except FileNotFoundError:
        pass
    return staged
