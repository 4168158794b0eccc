"""Copy a table into one with another number of hash buckets, or other partitions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.corpus.hashing import path_hashes
from jobs.diagnostics.events import (
    Counted,
    Observer,
    Repartitioned,
    counting,
    ignore,
)
from jobs.diagnostics.run_log import RunLog
from jobs.errors import EXIT_DONE, ConflictError, TableBusyError, TableError, UsageError
from jobs.execution.version import code_version
from jobs.preflight import check_name, table_errors
from jobs.settings import Settings, public, secrets_of
from jobs.storage.base import Store
from jobs.storage.opening import open_store
from jobs.storage.urls import real_location
from jobs.table.copying import TableCopy, begun_copy
from jobs.table.history import last_summaries, new_run_id, run_ids, write_summary
from jobs.table.layout import (
    FEATURES,
    REPARTITION_JSON,
    TABLE_JSON,
    is_errors,
)
from jobs.table.lock import running_run, write_lock
from jobs.table.metadata import TableMetadata, check_features, read_metadata
from jobs.table.parts import list_parts
from jobs.table.reader import Table, open_table
from jobs.table.rebucket import BucketRows, Rebucketed
from jobs.table.schema import LABEL, PATH
from jobs.table.sizing import bucket_count


@dataclass(frozen=True)
class Contents:
    """What a table holds, for the comparison of a copy with its original.

    Attributes
    ----------
    n_files, n_rows, n_errors : int
        Number of files with features, of their rows, and of files with an error row.
    features, errors : int
        Sum of the hashes of the paths of the files with features, and of the others.
    """

    n_files: int
    n_rows: int
    n_errors: int
    features: int
    errors: int


@dataclass
class Repartition:
    """A copy of a table with other hash buckets or partitions.

    Attributes
    ----------
    table, source : str
        Locations of the copy, and of the table that was copied.
    n_buckets, source_buckets : int
        Their numbers of hash buckets.
    partition_by : str
        ``label`` or ``none``, for the copy.
    n_files, n_rows, n_errors : int
        Number of files with features, of their rows, and of files with an error row.
    options : str
        Option that further runs of the copy need, besides those of the table's runs.
    status : str
        ``repartitioned``.
    """

    table: str
    source: str
    n_buckets: int
    source_buckets: int
    partition_by: str
    n_files: int
    n_rows: int
    n_errors: int
    options: str = ""
    status: str = "repartitioned"

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return EXIT_DONE

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a dictionary for JSON."""
        return {
            "table": self.table,
            "source": self.source,
            "status": self.status,
            "buckets": self.n_buckets,
            "source_buckets": self.source_buckets,
            "partition_by": self.partition_by,
            "files": self.n_files,
            "rows": self.n_rows,
            "errors": self.n_errors,
        }

    def lines(self) -> list[str]:
        """Return the result as lines of text for people."""
        held = f"{self.n_files} files with features, {self.n_errors} failed"
        buckets = f"buckets: {self.n_buckets}, not {self.source_buckets}"
        use = f"--output {self.table}{self.options}"
        return [
            f"{self.table}: {held}; {buckets}",
            f"{self.source} is as it was. From now on run featurelib extract with {use}",
        ]


def repartition(
    table: str,
    new: str,
    *,
    buckets: int | None = None,
    partition_by: str | None = None,
    settings: Settings | None = None,
    observer: Observer = ignore,
) -> Repartition:
    """Copy a table into a new one with another number of hash buckets, or other partitions.

    The copy becomes a table when it is complete. If it was interrupted, another call goes on
    with it or, if the table has changed since, starts again. Each part of the table is read
    once; memory does not grow with the table.

    Parameters
    ----------
    table, new : str
        Locations of the table and of the copy.
    buckets : int, optional
        Number of hash buckets of the copy; by default from the table's size, for parts of about
        50 MB.
    partition_by : {"label", "none"}, optional
        Partitioning of the copy; by default that of the table.
    settings : Settings, optional
        Used for storage options and the write lock.
    observer : callable, optional
        Receives every event.

    Raises
    ------
    JobError
        If the table cannot be read, is written meanwhile, or the new location holds something.
    """
    settings = settings or Settings()
    check_name(new)
    source = _open_source(table, settings)
    store = open_store(new, settings.options_for("table"))
    _check_apart(source, store.url)
    wanted = _partitions(source.metadata, partition_by)
    with table_errors(store.url):
        _check_new(store, source)
        if (metadata := _published(store)) is not None:
            store.delete([REPARTITION_JSON])
            if (buckets or metadata.n_buckets, wanted) != (
                metadata.n_buckets,
                metadata.partition_by,
            ):
                raise UsageError(
                    f"{store.url} is a complete copy already, of {metadata.n_buckets} buckets and"
                    f" partitioned by {metadata.partition_by}: give a new folder for another one"
                )
            contents, _ = _contents(Table(store, metadata), observer)
            return _result(source, metadata, store, contents)
    with table_errors(source.store.url):
        contents, n_labels = _contents(source, observer)
    n_buckets = buckets or _fitting_buckets(source, contents, n_labels, wanted)
    metadata = dataclasses.replace(source.metadata, n_buckets=n_buckets, partition_by=wanted)
    with table_errors(store.url):
        store.check_writable()
        run_id = new_run_id()
        with write_lock(
            store,
            run_id,
            single_writer=settings.single_writer,
            period_s=settings.lease_period_s,
        ) as lock:
            _check_new(store, source)  # again: another driver may have made it before the lock
            store.delete_leftovers()
            copy = TableCopy(source, store, metadata, lock, observer)
            with counting(observer, "copying", contents.n_files + contents.n_errors):
                copy.write(_rows_by_bucket(source, n_buckets))
            _check_source(source)
            if _contents(copy.table, observer)[0] != contents:
                raise TableError(
                    f"{store.url} does not hold what {source.store.url} holds: delete it, run the"
                    " same command again, and please report it"
                )
            result = _result(source, metadata, store, contents)
            _log(source, store, run_id, settings, result)
            copy.publish()
    return result


def _open_source(table: str, settings: Settings) -> Table:
    """Open the table to be copied; refuse one that is being written."""
    source = open_table(table, settings.options_for("table"))
    url = source.store.url
    check_features(source.metadata, url)
    if not source.parts:
        raise UsageError(f"{url} has no rows to copy: make it with featurelib extract")
    with table_errors(url):
        holder = running_run(source.store)
    if holder:
        raise TableBusyError(f"{url} is being written by run {holder}: wait for it to end")
    return source


def _check_apart(source: Table, new: str) -> None:
    for what, other in (("table", source.store.url), ("corpus", source.metadata.corpus)):
        inner, outer = real_location(new), real_location(other)
        if inner.startswith(outer) or outer.startswith(inner):
            raise UsageError(
                f"{new} and the {what} {other} overlap: give a new folder beside it for the copy"
            )


def _partitions(metadata: TableMetadata, partition_by: str | None) -> str:
    if partition_by not in (None, "label", "none"):
        raise UsageError(f"partition_by is {partition_by!r}: give label or none")
    if partition_by == "label" and metadata.labels == "none":
        raise UsageError("the table has no labels, so it cannot be partitioned by them")
    return partition_by or metadata.partition_by


def _check_new(store: Store, source: Table) -> None:
    """Refuse a location that holds anything but an unfinished copy of the same table."""
    begun = begun_copy(store)
    if begun is None:
        if read_metadata(store) is not None:
            raise UsageError(f"{store.url} is a table already: give a new folder for the copy")
    elif begun["source"] != source.store.url:
        raise UsageError(
            f"{store.url} is an unfinished copy of {begun['source']}: give another folder, or"
            " delete this one"
        )


def _published(store: Store) -> TableMetadata | None:
    """Return the metadata of a copy that was complete when its driver died; else None."""
    if begun_copy(store) is None or store.stat([TABLE_JSON]) == [None]:
        return None
    return read_metadata(store)


def _contents(table: Table, notify: Observer) -> tuple[Contents, int]:
    """Return what a table holds, and the number of its labels.

    Raises
    ------
    TableError
        If a file is in the table twice.
    """
    n_files = n_rows = n_errors = features = errors = 0
    labels: set[str | None] = set()
    with counting(notify, "reading"):
        for part, rows in table.each_first_rows([PATH, LABEL], with_errors=True):
            total = int(path_hashes(rows[PATH].combine_chunks()).sum()) if len(rows) else 0
            if is_errors(part):
                n_errors, errors = n_errors + len(rows), (errors + total) % 2**64
            else:
                n_files, features = n_files + len(rows), (features + total) % 2**64
                n_rows += table.n_rows(part)
                labels.update(rows[LABEL].unique().to_pylist())
            notify(Counted(len(rows)))
    return Contents(n_files, n_rows, n_errors, features, errors), len(labels)


def _fitting_buckets(source: Table, contents: Contents, n_labels: int, partition_by: str) -> int:
    with table_errors(source.store.url):
        n_bytes = sum(
            entry.size
            for page in source.store.scan(FEATURES)
            for entry in page
            if entry.name in source.parts
        )
    return bucket_count(
        contents.n_files + contents.n_errors, n_bytes, n_labels if partition_by == "label" else 1
    )


def _rows_by_bucket(source: Table, n_buckets: int) -> Callable[[int], BucketRows]:
    """Return the function that returns the rows of a bucket of the copy."""
    rebucketed = Rebucketed(source, n_buckets)

    def rows_of(bucket: int) -> BucketRows:
        try:
            with table_errors(source.store.url):
                return rebucketed.bucket(bucket)
        except ConflictError as error:
            raise _changed(source.store.url) from error

    return rows_of


def _check_source(source: Table) -> None:
    """Refuse to publish a copy of a table that has changed since it was opened."""
    with table_errors(source.store.url):
        is_same = read_metadata(source.store) == source.metadata
        is_same = is_same and list_parts(source.store) == source.parts
    if not is_same:
        raise _changed(source.store.url)


def _changed(source: str) -> TableBusyError:
    return TableBusyError(
        f"{source} was changed by a run while it was copied: run the same command again,"
        " which starts again"
    )


def _result(
    source: Table, metadata: TableMetadata, store: Store, contents: Contents
) -> Repartition:
    has_folders = metadata.labels != "none" and not metadata.has_own_labels
    usual = "label" if has_folders else "none"
    return Repartition(
        store.url,
        source.store.url,
        metadata.n_buckets,
        source.metadata.n_buckets,
        metadata.partition_by,
        contents.n_files,
        contents.n_rows,
        contents.n_errors,
        "" if metadata.partition_by == usual else f" --partition-by {metadata.partition_by}",
    )


def _log(source: Table, store: Store, run_id: str, settings: Settings, result: Repartition) -> None:
    """Write a log and a summary like those of runs; ``featurelib status`` plans with them."""
    runs = last_summaries(source.store, run_ids(source.store), 1)
    last: dict[str, Any] = {"settings": public(settings), "corpus": source.metadata.corpus}
    if runs:
        last = runs[-1]
    secrets = secrets_of(settings)
    log = RunLog(store, run_id, secrets)
    log(Repartitioned(result.to_dict()))
    log.flush()
    write_summary(
        store,
        run_id,
        secrets,
        corpus=last["corpus"],
        recompute=False,
        code=code_version(),
        settings=last["settings"] | {"buckets": None, "partition_by": result.partition_by},
        report=result.to_dict(),
    )
