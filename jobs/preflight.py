"""Check that corpus, table and request fit together, before anything is written."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator

import featurelib
from jobs.corpus.corpus import Corpus
from jobs.corpus.discovery import check_apart, open_corpus
from jobs.corpus.labels import LabelFile
from jobs.corpus.listing import Listing, open_label_file
from jobs.corpus.path_labels import path_labels
from jobs.errors import JobError, TableError, UsageError, with_remedy
from jobs.execution.version import software_version
from jobs.request import RunRequest
from jobs.settings import INLINE, LOCAL, SSH, Settings
from jobs.storage.base import Store
from jobs.storage.urls import check_output, redacted
from jobs.table import schema
from jobs.table.metadata import (
    TableMetadata,
    carried_types,
    check_same,
    is_same_place,
    read_metadata,
)
from jobs.table.parts import list_parts
from jobs.table.reader import Table
from jobs.table.sizing import bucket_count, row_bytes, table_bytes

#: With more labels, a table is partitioned by label only on request.
MAX_LABELS = 2000

_OUTGROWN = 4

#: Assumed number of labels if they are tags.
_LABELS_OF_TAGS = 16

#: Extensions of files. It is common to name a folder of Parquet files ``.parquet``.
_FILES = {
    *(".csv", ".tsv", ".txt", ".json", ".jsonl", ".xls", ".xlsx", ".npy", ".npz", ".pkl"),
    *(".pickle", ".feather", ".arrow", ".h5", ".hdf5", ".db", ".sqlite", ".duckdb", ".arff"),
}

#: A new table with so many labels, and fewer files than this in each part, gives a note.
_MANY_LABELS = 100
_FEW_FILES = 10


def preflight(request: RunRequest, store: Store) -> tuple[Listing, TableMetadata | None]:
    """Open the corpus, read the table's metadata, and check that they match.

    Parameters
    ----------
    request : RunRequest
        The request.
    store : Store
        Store of the table.

    Returns
    -------
    listing : Listing
        The corpus, not yet listed.
    metadata : TableMetadata or None
        Metadata of the table; None if it does not exist or has no parts yet.

    Raises
    ------
    JobError
        If the corpus or the table cannot be read, or they do not match.
    """
    corpus = _open_corpus(request)
    check_apart(corpus, store.url)
    metadata = _metadata_of(store)
    if metadata is None:
        check_name(request.table)
    if (
        metadata is not None
        and metadata.corpus != corpus.root
        and is_same_place(metadata.corpus, corpus.root)
    ):
        corpus = _open_corpus(request, metadata.corpus)  # paths are relative to that root
    listing = Listing(corpus, _open_label_file(request, corpus))
    if metadata is not None:
        check_same(metadata, _wanted(request, listing), store.url)
    return listing, metadata


def check_name(table: str) -> None:
    """Refuse names of new tables that new users give by mistake.

    Raises
    ------
    UsageError
        If it is the name of a file, or `jobs.storage.urls.check_output` refuses it.
    """
    check_output(table)
    stem, extension = os.path.splitext(table.rstrip("/"))
    if extension.lower() in _FILES:
        raise UsageError(
            f"--output is {table}, but a table is a folder of Parquet files: give a name without"
            f" {extension}. To make one file of it: featurelib export {stem} --output {stem}.csv"
        )


def unused_settings(settings: Settings) -> Iterator[str]:
    """Yield a note for each setting that has no effect, because of the cluster."""
    if settings.workers is not None and settings.cluster == INLINE:
        yield f"--workers {settings.workers} has no effect with --cluster inline: it has no workers"
    if settings.dashboard and settings.cluster == INLINE:
        yield "--dashboard has no effect with --cluster inline: it has no scheduler"
    if settings.tls is not None and settings.cluster == INLINE:
        yield f"--tls {settings.tls} has no effect with --cluster inline: nobody connects"
    if settings.cluster_options and (
        settings.cluster in (LOCAL, INLINE) or "://" in settings.cluster
    ):
        yield f"[cluster] has no effect with --cluster {redacted(settings.cluster)}"
    if settings.worker_memory != Settings.worker_memory and settings.cluster not in (LOCAL, SSH):
        yield (
            f"--worker-memory {settings.worker_memory} has no effect with --cluster"
            f" {redacted(settings.cluster)}: it is for local and ssh"
        )


def _open_corpus(request: RunRequest, known_root: str | None = None) -> Corpus:
    settings = request.settings
    return open_corpus(
        request.corpus,
        options=settings.options_for("corpus"),
        include=settings.include,
        exclude=settings.exclude,
        limit=settings.limit,
        path_labels=path_labels(settings.labels),
        taken=_taken_names(request),
        known_root=known_root,
        # to copy a row, its file must be there with the version that the row has
        verify_list=settings.verify_list or settings.reuse is not None,
    )


def _open_label_file(request: RunRequest, corpus: Corpus) -> LabelFile | None:
    labels = request.settings.labels
    if labels == "none":
        return None
    if corpus.has_labels:
        raise UsageError(f"{request.corpus} has labels of its own: drop --labels")
    if corpus.path_labels is not None or request.settings.label_tag is not None:
        return None
    return open_label_file(
        labels,
        corpus.roots,
        options=request.settings.options_for("corpus"),
        taken=[*_taken_names(request), *corpus.carried.names],
    )


def _taken_names(request: RunRequest) -> list[str]:
    rows, tags = request.recorded_spec.schema, request.settings.tag_columns
    if clash := {name.casefold() for name in rows.names} & set(tags):
        raise UsageError(
            f"--tags has {min(clash)}, and the spec has a column of that name: give the feature"
            " another name (as = …)"
        )
    return schema.taken_names(rows, tags)


def check_table(request: RunRequest, listing: Listing, store: Store) -> TableMetadata | None:
    """Return the metadata of the table; None if it does not exist or has no parts yet.

    Raises
    ------
    JobError
        If the table has another corpus, another spec or other options.
    """
    metadata = _metadata_of(store)
    if metadata is not None:
        check_same(metadata, _wanted(request, listing), store.url)
    return metadata


def _metadata_of(store: Store) -> TableMetadata | None:
    with table_errors(store.url):
        metadata = read_metadata(store)
        return metadata if metadata is not None and list_parts(store) else None


def new_metadata(request: RunRequest, listing: Listing) -> TableMetadata:
    """Return the metadata of a new table; the corpus must have been listed.

    Raises
    ------
    UsageError
        If the table would have very many label folders without an explicit request.
    """
    wanted = _wanted(request, listing)
    by_label = wanted.partition_by == "label"
    if by_label and listing.n_labels > MAX_LABELS and request.settings.partition_by is None:
        raise UsageError(
            f"there are {listing.n_labels} labels, each of which would be a folder: say"
            " --partition-by none for a flat table, or --partition-by label if you mean it"
        )
    if wanted.n_buckets:
        return wanted
    return dataclasses.replace(wanted, n_buckets=_fitting_buckets(request, listing, wanted))


def tiny_parts(listing: Listing, metadata: TableMetadata) -> str | None:
    """Return a note if the parts of a new table would hold very few files each, else None."""
    n_labels, n_parts = listing.n_labels, listing.n_labels * metadata.n_buckets
    if (
        metadata.partition_by != "label"
        or n_labels < _MANY_LABELS
        or listing.n_files >= _FEW_FILES * n_parts
    ):
        return None
    return (
        f"{listing.n_files} files have {n_labels} labels, so the table has up to {n_parts} tiny"
        " parts, which are slow to write and to read: a new table with --partition-by none has"
        " the labels in its column 'label' only"
    )


def outgrown(request: RunRequest, listing: Listing, table: Table) -> str | None:
    """Return a note if parts have become far larger than intended, else None."""
    fitting = _fitting_buckets(request, listing, table.metadata)
    if request.settings.buckets or fitting <= _OUTGROWN * table.metadata.n_buckets:
        return None
    return (
        f"the corpus has outgrown the table's {table.metadata.n_buckets} buckets: parts are more"
        f" than {_OUTGROWN} times their intended size. featurelib repartition {table.store.url} NEW"
        f" makes a copy with {fitting} buckets"
    )


def _wanted(request: RunRequest, listing: Listing) -> TableMetadata:
    """Return the metadata that the request asks for; 0 buckets if it asks for no number."""
    settings = request.settings
    is_tag = settings.label_tag is not None
    has_labels = listing.has_labels or is_tag
    if settings.partition_by == "label" and not has_labels:
        raise UsageError("partition_by is 'label', but there are no labels: give --labels")
    labels = "none"
    if is_tag:
        labels = settings.labels
    elif has_labels:
        rule = listing.corpus.path_labels
        labels = "file" if rule is None else rule.kind
    return TableMetadata(
        corpus=listing.corpus.root,
        n_buckets=settings.buckets or 0,
        # the number of labels that are tags is not known yet, and any text may be one
        partition_by=settings.partition_by or ("label" if listing.has_labels else "none"),
        labels=labels,
        spec=request.recorded_spec.values,
        fingerprint=request.recorded_spec.fingerprint,
        columns=request.recorded_spec.columns,
        carried=carried_types(listing.carried),
        featurelib=software_version(),
        tags=settings.tag_columns,
    )


def _fitting_buckets(request: RunRequest, listing: Listing, metadata: TableMetadata) -> int:
    n_labels = 1
    if metadata.partition_by == "label":
        n_labels = _LABELS_OF_TAGS if metadata.has_own_labels else listing.n_labels
    spec = request.spec
    rows_a_second = bytes_a_second = 0.0
    if isinstance(spec, featurelib.FeatureSpec):
        rows_a_second, bytes_a_second = spec.rows_a_second(), spec.series_bytes_a_second()
    n_bytes = table_bytes(
        listing.n_files,
        listing.n_seconds,
        rows_a_second=rows_a_second,
        bytes_a_row=row_bytes(len(request.recorded_spec.columns) + len(metadata.tags)),
        bytes_a_second=bytes_a_second,
    )
    return bucket_count(listing.n_files, n_bytes, n_labels)


@contextlib.contextmanager
def table_errors(url: str) -> Iterator[None]:
    """Turn an OSError of the table's storage into a `TableError` that names the table."""
    try:
        yield
    except JobError:
        raise
    except PermissionError as error:
        reason = f"{error.strerror}: ask for access" if error.strerror else str(error)
        raise TableError(f"no permission for {url}: {reason}, or give another --output") from error
    except FileNotFoundError as error:
        raise TableError(
            f"cannot reach {url} ({error.strerror or error}): make it, or check its name"
        ) from error
    except OSError as error:
        raise TableError(f"{url}: {with_remedy(error)}") from error
