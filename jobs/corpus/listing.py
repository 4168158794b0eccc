"""The listing of a corpus, with labels and carried columns, read back by hash bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from jobs.corpus.corpus import Corpus, explain, in_another_form, relative_path
from jobs.corpus.formats import guessed_duration
from jobs.corpus.labels import (
    LABEL,
    TABULAR,
    LabelFile,
    carried_schema,
    nan_safe,
    read_rows,
)
from jobs.corpus.matching import match_forms
from jobs.corpus.partitioned_rows import PartitionedRows, spilled
from jobs.corpus.source_file import SourceFile
from jobs.diagnostics.events import Counted, Listed, Observer, counting
from jobs.errors import UsageError
from jobs.storage.opening import open_store
from jobs.storage.urls import protocol_of, redacted, split_name, stored_name

_LABELS_COUNTED = 100_000
_LOOKED_UP = pa.schema([("path", pa.string()), ("size", pa.int64()), ("version", pa.string())])


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
            self.label_file is not None or self.corpus.label_from_parent or self.corpus.has_labels
        )

    @property
    def carried(self) -> pa.Schema:
        """Carried columns of the list and of the label file."""
        return pa.schema(
            [*self.corpus.carried, *(self.label_file.carried if self.label_file else ())]
        )

    def read(self, notify: Observer) -> None:
        """List the corpus.

        Raises
        ------
        CorpusError
            If the corpus cannot be listed completely, or is empty.
        """
        with counting(notify, "listing"):
            for page in self.corpus.pages():
                self._add(page)
                notify(Counted(len(page)))
        notify(Listed(self.corpus.passed_over, self.corpus.not_audio))

    def _add(self, page: pa.Table) -> None:
        self._rows.add(page)
        if self.has_labels:
            self._n_unlabelled += sum(not label for label in page[LABEL].to_pylist())
        if len(self._labels) < _LABELS_COUNTED:
            self._labels.update(page[LABEL].unique().to_pylist())
        files = zip(page["path"].to_pylist(), page["size"].to_pylist(), strict=True)
        self.n_seconds += sum(guessed_duration(path, size) for path, size in files)

    def set_buckets(self, n_buckets: int) -> None:
        """Set the number of hash buckets."""
        self._rows.set_buckets(n_buckets)
        if self.label_file is not None:
            self.label_file.set_buckets(n_buckets)

    def look_up(self, bucket: int, known: Mapping[str, set[str]]) -> None:
        """Look up the files whose stated version differs from the extracted one.

        A list may be out of date, or state a version that is not the storage's own. Only
        new files and files with a confirmed version are taken from the list unchecked.

        Parameters
        ----------
        bucket : int
            The hash bucket.
        known : mapping
            Versions of the extracted rows, by path.
        """
        if self.corpus.stated is None:
            return
        listed = self._rows.bucket(bucket)
        before = self._looked_up.get(bucket, _LOOKED_UP.empty_table())
        settled = set(before["path"].to_pylist())
        pairs = zip(listed["path"].to_pylist(), listed["version"].to_pylist(), strict=True)
        doubtful = [p for p, v in pairs if p in known and v not in known[p] and p not in settled]
        pages = [before]
        for entries in self.corpus.look_up(doubtful):
            columns = [list(column) for column in zip(*entries, strict=True)]
            pages.append(pa.table(columns, schema=_LOOKED_UP))
        if doubtful:
            self._looked_up[bucket] = spilled(pa.concat_tables(pages))

    def items(self, bucket: int) -> dict[str, SourceFile]:
        """Return the files of a hash bucket, by path.

        Raises
        ------
        UsageError
            If a path is listed twice.
        """
        rows = self._rows.bucket(bucket)
        items: dict[str, SourceFile] = {}
        looked_up = self._looked_up_in(bucket)
        labels = self.label_file.bucket(bucket) if self.label_file else None
        nothing = (None,) * (1 + len(self.label_file.carried)) if self.label_file else ()
        for path, size, version, label, *carried in zip(
            *(column.to_pylist() for column in rows.columns), strict=True
        ):
            if path in items:
                raise UsageError(f"the path {path!r} is listed twice: keep one of them")
            attributes: tuple[Any, ...] = (label, *carried)
            if labels is not None:
                own = labels.get(path, nothing)
                attributes = (own[0] or None, *carried, *own[1:])
            elif label == "":
                attributes = (None, *carried)
            size, version = looked_up.get(path, (size, version))
            items[path] = SourceFile(path, size, version, nan_safe(attributes))
        return items

    def _looked_up_in(self, bucket: int) -> dict[str, tuple[int | None, str]]:
        rows = self._looked_up.get(bucket, _LOOKED_UP.empty_table()).to_pylist()
        return {
            row["path"]: (row["size"] if row["size"] >= 0 else None, row["version"]) for row in rows
        }

    def check_labels(self, n_buckets: int) -> list[str]:
        """Match the label file with the listing; return notes for the user.

        Raises
        ------
        UsageError
            If no path in the label file is in the corpus.
        """
        notes = list(self.corpus.notes)
        if self.label_file is None:
            return notes + self._unlabelled_notes()
        notes += self.label_file.notes
        n_matched = 0
        example = None
        for bucket in range(n_buckets):
            listed = self._rows.bucket(bucket)["path"].to_pylist()
            example = example or next(iter(listed), None)
            n_matched += len(self.label_file.bucket(bucket).keys() & set(listed))
        if n_matched < min(self.n_files, len(self.label_file)):
            n_other = match_forms(self.label_file, self._rows, self.corpus.root, n_buckets)
            n_matched += n_other
            if n_other:
                notes.append(in_another_form(n_other, self.label_file.name))
        if n_matched == 0:
            raise UsageError(
                f"no path in {self.label_file.name} is in the corpus: it has"
                f" {self.label_file.example!r}, and the corpus has {example!r}"
            )
        if n_files_left := self.n_files - n_matched:
            notes.append(f"{n_files_left} files have no label in {self.label_file.name}")
        if n_labels_left := len(self.label_file) - n_matched:
            notes.append(
                f"{n_labels_left} labels in {self.label_file.name} have no file in the corpus"
            )
        return notes

    def _unlabelled_notes(self) -> list[str]:
        if not (self.has_labels and self._n_unlabelled):
            return []
        why = ": they are in no folder below it" if self.corpus.label_from_parent else ""
        name = self.corpus.name or self.corpus.root
        return [f"{self._n_unlabelled} files of {name} have no label{why}"]


def open_label_file(
    location: str, root: str, *, options: dict[str, Any], taken: Sequence[str]
) -> LabelFile:
    """Read a file of labels.

    Parameters
    ----------
    location : str
        A CSV, TSV or Parquet file with a column of paths and a column ``label``. Paths are
        full or relative to the corpus root. All other columns are carried columns.
    root : str
        The corpus root.
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
    if protocol_of(root) not in ("file", protocol_of(location)):
        options = {}  # they are for the corpus's protocol only
    store = open_store(folder, options)
    location = redacted(location)
    try:
        data, _ = store.read(stored_name(folder, name))
    except OSError as error:
        if not name.lower().endswith(TABULAR):
            raise UsageError(
                f"--labels is {location!r}: give parent, for the name of each file's folder, or a"
                " CSV, TSV or Parquet file"
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
    paths = pa.array([relative_path(p, root) for p in rows["path"].to_pylist()], pa.string())
    return LabelFile(
        rows.set_column(0, "path", paths), carried_schema(rows, taken, location), location, notes
    )
