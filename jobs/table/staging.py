"""Staged files: the rows of one attempt at a shard, kept until their bucket is merged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import featurelib
from jobs.storage.base import Store
from jobs.storage.names import encode_path
from jobs.storage.parquet import (
    ROW_GROUP_BYTES,
    Writer,
    is_storage_error,
    open_parquet,
    read_groups,
)
from jobs.table.changes import Outcome
from jobs.table.layout import RUNS, run_and_bucket, staged_name
from jobs.table.schema import ERROR_KIND, MAX_MESSAGE, PATH, ROW_KEY, is_first, staged_schema
from jobs.table.signs import COLUMNS

STAGED_BYTES = 64 * 2**20
"""Rows that a worker keeps in memory, uncompressed, before it writes a staged file."""

_SPOOL_BYTES = 8 * 2**20
_OUTCOME_COLUMNS = (PATH, *ROW_KEY, "source_version", "spec_fingerprint", "run_id", ERROR_KIND)


class StagedFiles:
    """Names of staged files, by bucket."""

    def __init__(self) -> None:
        self._by_bucket: dict[int, list[str]] = {}

    def add(self, name: str) -> None:
        """Add a name; ignore one that is not of a staged file."""
        found = run_and_bucket(name)
        if found is not None:
            self._by_bucket.setdefault(found[1], []).append(name)

    def update(self, names: Iterable[str]) -> None:
        """Add names."""
        for name in names:
            self.add(name)

    def of_bucket(self, bucket: int) -> list[str]:
        """Return the names of a bucket's staged files, earliest run first."""
        return sorted(self._by_bucket.get(bucket, ()))

    def beyond(self, n_buckets: int) -> list[str]:
        """Return the names of staged files for buckets that the table does not have."""
        return [
            n for bucket, names in self._by_bucket.items() if bucket >= n_buckets for n in names
        ]

    def discard(self, name: str) -> None:
        """Forget a name."""
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
    """The corpus and the number of buckets that staged rows belong to; others are not used."""

    corpus: str
    """Canonical location that paths are relative to."""
    n_buckets: int

    def metadata(self) -> dict[str, str]:
        """Return it as metadata of an Arrow schema."""
        return {"corpus": self.corpus, "n_buckets": str(self.n_buckets)}

    def is_of(self, schema: pa.Schema) -> bool:
        """Say whether rows of a schema were made with this origin."""
        found = schema.metadata or {}
        return all(found.get(k.encode()) == v.encode() for k, v in self.metadata().items())


class StagingWriter:
    """Collects the rows and errors of a shard, and writes them as staged files.

    A file's rows are all in one staged file, which holds many files, or one whose rows
    are more than is kept in memory.

    Parameters
    ----------
    store : Store
        The table's place.
    bucket : int
        The shard's bucket.
    spec : FeatureSpec
        What is extracted.
    run_id : str
        The run.
    origin : Origin
        What the staged files are marked with.
    """

    def __init__(
        self, store: Store, bucket: int, spec: featurelib.FeatureSpec, run_id: str, origin: Origin
    ) -> None:
        self._store, self._bucket = store, bucket
        self._common = {"spec_fingerprint": spec.fingerprint, "run_id": run_id}
        self._run_id = run_id
        schema = staged_schema(featurelib.schema(spec))
        self._schema = schema.with_metadata(origin.metadata())
        self._value_names = featurelib.feature_names(spec)
        self._rows = self._collector()
        self.names: list[str] = []
        """Staged files that are written."""

    def _collector(self) -> featurelib.RowCollector:
        return featurelib.RowCollector(self._schema, self._value_names)

    def file(self, path: str, version: str, size: int | None) -> FileRows:
        """Begin a file; its rows count once they are given to `add_file`."""
        common = {PATH: path, "size_bytes": size, "source_version": version, **self._common}
        return FileRows(common, self._collector, self._rows.n_bytes_of, self._schema)

    def add_file(self, rows: FileRows) -> None:
        """Take in all rows of a file.

        Raises
        ------
        OSError
            If a staged file that is full cannot be written.
        """
        if rows.spooled is not None:
            self._replace(rows.spooled)
            return
        for some in rows.waiting:
            self._rows.add(some)
        if self._rows.n_bytes >= STAGED_BYTES:
            self.flush()

    def add_error(self, path: str, version: str, size: int | None, kind: str, message: str) -> None:
        """Add a file that could not be used."""
        attributes = {
            PATH: path,
            "size_bytes": size,
            "source_version": version,
            ERROR_KIND: kind,
            # a message may quote a name that is not UTF-8
            "message": encode_path(message)[:MAX_MESSAGE],
            **self._common,
        }
        self._rows.add(featurelib.Rows(1, attributes, {}))

    def flush(self) -> None:
        """Write what is in memory, if anything is."""
        if not self._rows.n_rows:
            return
        rows, self._rows = self._rows.table(), self._collector()
        with _spool() as sink:
            with Writer(sink, self._schema) as writer:
                writer.write(rows)
            del rows
            self._replace(sink)

    def _replace(self, data: BinaryIO) -> None:
        name = staged_name(self._run_id, self._bucket)  # nobody else has it
        self._store.replace(name, data)
        self.names.append(name)


class FileRows:
    """The rows of one file: in memory, or in a temporary file where they are many.

    Parameters
    ----------
    common : dict
        Columns that are the same on each row.
    collector : callable
        Makes an empty `featurelib.RowCollector`.
    n_bytes_of : callable
        Says how much memory rows take.
    schema : pyarrow.Schema
        Schema of a staged file.
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
        """Rows in memory."""
        self.spooled: BinaryIO | None = None
        """All rows as a staged file, where they are many."""

    def add(self, rows: featurelib.Rows) -> None:
        """Take in rows that follow those before."""
        self.n_rows += rows.n
        self.waiting.append(rows._replace(facts={**rows.facts, **self._common}))
        self._n_bytes += self._n_bytes_of(rows)
        limit = STAGED_BYTES if self._writer is None else ROW_GROUP_BYTES
        if self._n_bytes >= limit:
            self._spill()

    def end(self) -> None:
        """Say that there are no more rows."""
        if self._writer is not None:
            self._spill()
            self._writer.close()

    def close(self) -> None:
        """Give back what the rows take up."""
        self.waiting = []
        if self._writer is not None:
            self._writer.close()
        if self.spooled is not None:
            self.spooled.close()

    def _spill(self) -> None:
        if self._writer is None:
            self.spooled = _spool()
            self._writer = Writer(self.spooled, self._schema)
        collector = self._collector()
        for rows in self.waiting:
            collector.add(rows)
        self.waiting, self._n_bytes = [], 0
        self._writer.write(collector.table())


def _spool() -> BinaryIO:
    """Open a file in memory, which goes to disk when it grows."""
    file = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, prefix="featurelib-")  # noqa: SIM115
    return cast(BinaryIO, file)


def open_staged(source: BinaryIO, schema: pa.Schema, origin: Origin) -> pq.ParquetFile | None:
    """Open a staged file; return None where it is damaged, or of another schema or origin.

    Raises
    ------
    OSError
        If the storage fails: the staged file may be whole.
    """
    try:
        file = open_parquet(source)
    except (pa.ArrowException, OSError) as error:
        if is_storage_error(error):
            raise
        return None
    is_ours = file.schema_arrow.equals(schema) and origin.is_of(file.schema_arrow)
    return file if is_ours else None


def outcome_rows(file: pq.ParquetFile) -> pa.Table | None:
    """Return the columns that planning needs, of the first row of each file.

    None where the staged file is damaged.

    Raises
    ------
    OSError
        If the storage fails.
    """
    try:
        rows = read_groups(file, [*_OUTCOME_COLUMNS, *COLUMNS])
    except (pa.ArrowException, OSError) as error:
        if is_storage_error(error):
            raise
        return None
    return rows.filter(pc.or_(pc.is_valid(rows[ERROR_KIND]), pc.fill_null(is_first(rows), False)))


def read_outcomes(
    store: Store, names: Sequence[str], schema: pa.Schema, origin: Origin
) -> dict[str, pa.Table]:
    """Return the first rows of staged files by name.

    One that is gone, damaged, or of another schema or origin has none: its files are
    extracted again.

    Raises
    ------
    OSError
        If the storage fails: the staged file may be whole.
    """
    columns = [*_OUTCOME_COLUMNS, *COLUMNS]
    none = pa.schema([schema.field(column) for column in columns]).empty_table()
    found = dict.fromkeys(names, none)
    for name in names:
        try:
            source, _ = store.open(name)
        except FileNotFoundError:
            continue
        with source:
            file = open_staged(source, schema, origin)
            rows = outcome_rows(file) if file is not None else None
        if rows is not None:
            found[name] = rows
    return found


def outcomes_of(
    staged: dict[str, pa.Table], accepts: Callable[[Outcome], bool]
) -> dict[str, tuple[Outcome, str, int]]:
    """Return, by path, the outcome that counts, the name of its staged file, and its row there.

    Two attempts at one file give equal rows; of a row and an error the row counts,
    and then the later one.

    Parameters
    ----------
    staged : dict
        First rows by staged file, as of `outcome_rows`; the earliest run first.
    accepts : callable
        Says which outcomes may count.
    """
    outcomes: dict[str, tuple[Outcome, str, int]] = {}
    names = (PATH, "source_version", "spec_fingerprint", "run_id", ERROR_KIND)
    for name, rows in staged.items():
        columns = zip(*(rows[name].to_pylist() for name in names), strict=True)
        for index, values in enumerate(columns):
            outcome = Outcome(*values)
            if not accepts(outcome):
                continue
            before = outcomes.get(outcome.path)
            if before is None or outcome.error_kind is None or before[0].error_kind is not None:
                outcomes[outcome.path] = (outcome, name, index)
    return outcomes


def list_staged(store: Store, run_id: str | None = None) -> StagedFiles:
    """Return all staged files, or those that one run wrote."""
    found = StagedFiles()
    try:
        for page in store.scan(RUNS if run_id is None else f"{RUNS}/{run_id}"):
            for entry in page:
                found.add(entry.name)
    except FileNotFoundError:
        pass
    return found
