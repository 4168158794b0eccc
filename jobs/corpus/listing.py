"""The listing of a corpus, with labels and carried columns, read back by hash bucket."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.corpus import (
    LISTING,
    Corpus,
    by_their_names,
    explain,
    in_another_form,
    relative_paths,
)
from jobs.corpus.formats import guessed_durations
from jobs.corpus.labels import (
    LABEL,
    TABULAR,
    LabelFile,
    carried_schema,
    read_rows,
)
from jobs.corpus.matching import match_forms, match_names
from jobs.corpus.partitioned_rows import PartitionedRows, repeated, spilled
from jobs.corpus.path_labels import NAME
from jobs.diagnostics.events import Counted, Listed, Observer, counting
from jobs.errors import UsageError
from jobs.storage.opening import open_store
from jobs.storage.urls import protocol_of, redacted, split_name, stored_name

_LABELS_COUNTED = 100_000
_VERSIONED = ("path", "source_version")
_LOOKED_UP = pa.schema(
    [("path", pa.string()), ("size_bytes", pa.int64()), ("source_version", pa.string())]
)

#: Position of the label in a listing.
_LABEL = LISTING.get_field_index(LABEL)


class Listing:
    """The files that are in a corpus now.

    Parameters
    ----------
    corpus : Corpus
        The corpus; `read` lists it.
    label_file : LabelFile, optional
        Labels from a file.

    Attributes
    ----------
    n_seconds : float
        Rough duration of all files [s].
    """

    def __init__(self, corpus: Corpus, label_file: LabelFile | None) -> None:
        self.corpus = corpus
        self.label_file = label_file
        self._rows = PartitionedRows(corpus.schema)
        self._labels: set[str | None] = set()
        self._looked_up: dict[int, pa.Table] = {}
        self._n_unlabelled = 0
        self._example = ""
        self.n_seconds = 0.0

    @property
    def n_files(self) -> int:
        """Number of files listed."""
        return self._rows.n_rows

    @property
    def n_labels(self) -> int:
        """Number of distinct labels, at least 1."""
        if self.label_file is not None:
            return max(1, self.label_file.n_labels)
        return max(1, len(self._labels))

    @property
    def has_labels(self) -> bool:
        """Whether the corpus has labels."""
        return (
            self.label_file is not None
            or self.corpus.path_labels is not None
            or self.corpus.has_labels
        )

    @property
    def carried(self) -> pa.Schema:
        """Carried columns of the list and of the label file."""
        return pa.schema(
            [*self.corpus.carried, *(self.label_file.carried if self.label_file else ())]
        )

    def read(self, notify: Observer) -> None:
        """List the corpus, once.

        Raises
        ------
        CorpusError
            If the corpus cannot be listed completely, or is empty.
        """
        with counting(notify, "listing"):
            for page in self.corpus.pages():
                self._add(page)
                notify(Counted(len(page)))
        self.corpus.release()
        notify(Listed(self.corpus.passed_over, self.corpus.not_audio))

    def _add(self, page: pa.Table) -> None:
        self._rows.add(page)
        self._example = self._example or page["path"][0].as_py()
        if self.has_labels:
            is_labelled = pc.fill_null(pc.not_equal(page[LABEL], ""), False)
            self._n_unlabelled += len(page) - pc.sum(is_labelled).as_py()
        if len(self._labels) < _LABELS_COUNTED:
            self._labels.update(page[LABEL].unique().to_pylist())
        self.n_seconds += float(guessed_durations(page["path"], page["size_bytes"]).sum())

    def set_buckets(self, n_buckets: int) -> None:
        """Set the number of hash buckets."""
        self._rows.set_buckets(n_buckets)
        if self.label_file is not None:
            self.label_file.set_buckets(n_buckets)

    def look_up(self, bucket: int, held: pa.Table, staged: Iterable[pa.Table] = ()) -> None:
        """Look up the files whose stated version differs from the extracted one.

        A list may be out of date, or state a version that is not the storage's own. Only
        new files and files with a confirmed version are taken from the list unchecked.

        Parameters
        ----------
        bucket : int
            The hash bucket.
        held : pyarrow.Table
            ``path`` and ``source_version`` of the rows in the table.
        staged : iterable of pyarrow.Table
            The same of staged rows. They count for files that are not in the table.
        """
        if not self.corpus.is_stated:
            return
        listed = self._rows.bucket(bucket)
        before = self._looked_up.get(bucket, _LOOKED_UP.empty_table())
        known = held.select(_VERSIONED)
        for rows in staged:
            is_other = pc.invert(pc.is_in(rows["path"], _paths(held)))
            known = pa.concat_tables([known, rows.select(_VERSIONED).filter(is_other)])
        at = pc.index_in(known["path"], _paths(listed)).combine_chunks()
        is_same = pc.equal(known["source_version"], listed["source_version"].take(at))
        is_doubtful = np.zeros(len(listed), bool)
        is_doubtful[at.drop_null().to_numpy()] = True
        is_doubtful[at.filter(is_same.combine_chunks()).drop_null().to_numpy()] = False
        doubtful = _paths(listed).filter(pa.array(is_doubtful))
        doubtful = doubtful.filter(pc.invert(pc.is_in(doubtful, _paths(before)))).to_pylist()
        pages = [before]
        for entries in self.corpus.look_up(doubtful):
            columns = [list(column) for column in zip(*entries, strict=True)]
            pages.append(pa.table(columns, schema=_LOOKED_UP))
        if doubtful:
            self._looked_up[bucket] = spilled(pa.concat_tables(pages))

    def items(self, bucket: int) -> pa.Table:
        """Return the files of a hash bucket.

        Returns
        -------
        pyarrow.Table
            ``path``, ``size_bytes``, ``source_version``, ``label`` and the carried columns.

        Raises
        ------
        UsageError
            If a path is listed twice.
        """
        rows = self._rows.bucket(bucket).combine_chunks()
        if (path := repeated(rows["path"])) is not None:
            raise UsageError(f"the path {path!r} is listed twice: keep one of them")
        rows = self._with_looked_up(bucket, rows)
        labels = rows[LABEL]
        if self.label_file is not None:
            own = self.label_file.bucket(bucket).combine_chunks()
            own = own.take(pc.index_in(rows["path"], _paths(own)).combine_chunks())
            labels = own[LABEL]
            for field in self.label_file.carried:
                rows = rows.append_column(field, own[field.name])
        labels = pc.if_else(pc.equal(labels, ""), None, labels)
        return rows.set_column(_LABEL, LABEL, labels).combine_chunks()

    def _with_looked_up(self, bucket: int, rows: pa.Table) -> pa.Table:
        """Return the rows with the sizes and versions that were looked up."""
        if bucket not in self._looked_up:
            return rows
        found = self._looked_up[bucket].combine_chunks()
        at = pc.index_in(rows["path"], _paths(found)).combine_chunks()
        is_found = pc.is_valid(at)
        for index, name in enumerate(("size_bytes", "source_version"), start=1):
            values = found[name].take(at)
            if name == "size_bytes":
                values = pc.if_else(pc.less(values, 0), None, values)
            rows = rows.set_column(index, name, pc.if_else(is_found, values, rows[name]))
        return rows

    def check_labels(self, n_buckets: int) -> list[str]:
        """Match the label file with the listing; return notes for the user.

        Raises
        ------
        UsageError
            If no path in the label file is in the corpus, or a pattern matches no file.
        """
        notes = list(self.corpus.notes)
        if self.label_file is None:
            return notes + self._unlabelled_notes()
        notes += self.label_file.notes
        n_matched = 0
        for bucket in range(n_buckets):
            listed = self._rows.bucket(bucket)["path"]
            labelled = self.label_file.bucket(bucket)["path"]
            n_matched += pc.sum(pc.is_in(labelled, listed.combine_chunks())).as_py() or 0
        if n_matched < min(self.n_files, len(self.label_file)):
            n_other = match_forms(self.label_file, self._rows, self.corpus.root, n_buckets)
            n_matched += n_other
            if n_other:
                notes.append(in_another_form(n_other, self.label_file.name))
            n_named = match_names(self.label_file, self._rows, n_buckets, self._others_of_corpus)
            n_matched += n_named
            if n_named:
                notes.append(by_their_names(n_named, self.label_file.name))
        if n_matched == 0:
            raise UsageError(
                f"no path in {self.label_file.name} is in the corpus: it has"
                f" {self.label_file.example!r}, and the corpus has {self._example!r}"
            )
        if n_files_left := self.n_files - n_matched + self._n_without(n_buckets):
            notes.append(f"{n_files_left} files have no label in {self.label_file.name}")
        if n_labels_left := len(self.label_file) - n_matched:
            notes.append(
                f"{n_labels_left} labels in {self.label_file.name} have no file in the corpus"
            )
        return notes

    def _others_of_corpus(self, paths: list[str]) -> set[str]:
        """Return which of these paths are files that the selection leaves out."""
        if self.corpus.selection.everything:
            return set()
        return {entry.name for entry in self.corpus.store.stat(paths) if entry is not None}

    def _n_without(self, n_buckets: int) -> int:
        """Return the number of files whose label in the label file is empty."""
        if self.label_file is None or not self.label_file.has_empty:
            return 0
        return sum(
            pc.sum(pc.is_in(self._rows.bucket(bucket)["path"], self._without(bucket))).as_py() or 0
            for bucket in range(n_buckets)
        )

    def _without(self, bucket: int) -> pa.Array:
        assert self.label_file is not None
        rows = self.label_file.bucket(bucket)
        is_empty = pc.fill_null(pc.equal(rows[LABEL], ""), True)
        return rows.filter(is_empty)["path"].combine_chunks()

    def _unlabelled_notes(self) -> list[str]:
        if not (self.has_labels and self._n_unlabelled):
            return []
        rule = self.corpus.path_labels
        why = "" if rule is None else f": {rule.why_none}"
        name = self.corpus.name or self.corpus.root
        if rule is not None and rule.kind == NAME and self._n_unlabelled == self.n_files:
            raise UsageError(
                f"no file of {name} has a label{why}; one of them is {self._example!r}: give"
                " another pattern, such as 'name:{label}.*' for blues.00000.wav"
            )
        return [f"{self._n_unlabelled} files of {name} have no label{why}"]


def _paths(rows: pa.Table) -> pa.Array:
    return rows["path"].combine_chunks()


def open_label_file(
    location: str, roots: Sequence[str], *, options: dict[str, Any], taken: Sequence[str]
) -> LabelFile:
    """Read a file of labels.

    Parameters
    ----------
    location : str
        A CSV, TSV or Parquet file with a column of paths and a column ``label``. Paths are
        full or relative to the corpus root, or all are names of files, with or without
        extension. All other columns are carried columns.
    roots : sequence of str
        The corpus root, and other names of it.
    options : dict
        Storage options of the corpus, for fsspec.
    taken : sequence of str
        Names that the carried columns must not have.

    Raises
    ------
    UsageError
        If the file cannot be read, or has no labels.
    """
    folder, name = split_name(location)
    if protocol_of(roots[0]) not in ("file", protocol_of(location)):
        options = {}  # they are for the corpus's protocol only
    store = open_store(folder, options)
    location = redacted(location)
    try:
        data, _ = store.read(stored_name(folder, name))
    except OSError as error:
        if not name.lower().endswith(TABULAR):
            raise UsageError(
                f"--labels is {location!r}: give parent, for the name of each file's folder,"
                " name:PATTERN, for a part of its name, tag:NAME, for a tag such as tag:genre, or"
                " a CSV, TSV or Parquet file"
            ) from error
        raise UsageError(f"--labels: {explain(error, location)}") from error
    notes: list[str] = []
    rows = read_rows(data, location, notes)
    if LABEL not in rows.column_names:
        raise UsageError(
            f"{location} has no column {LABEL!r}: it has {', '.join(rows.column_names)}"
        )
    if not len(rows):
        raise UsageError(f"{location} has no rows")
    has_folders = pc.any(pc.match_substring(rows["path"], "/")).as_py()
    rows = rows.set_column(0, "path", relative_paths(rows["path"], roots))
    carried = carried_schema(rows, taken, location)
    return LabelFile(rows, carried, location, notes, has_folders=has_folders)
