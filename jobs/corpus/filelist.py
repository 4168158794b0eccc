"""Corpora that are lists of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from jobs.corpus.corpus import Corpus, explain, relative_path
from jobs.corpus.labels import LABEL, TABULAR, carried_schema, label_strings, read_rows
from jobs.corpus.patterns import Selection
from jobs.corpus.stated import take_stated
from jobs.errors import CorpusError
from jobs.storage.base import Store
from jobs.storage.listed import ListedStore
from jobs.storage.urls import redacted, split_name, stored_name

LIST_EXTENSIONS = (".txt", ".lst", ".list", *TABULAR)


def open_list(
    location: str,
    home: Store,
    options: dict[str, Any] | None,
    selection: Selection,
    *,
    label_from_parent: bool,
    taken: Sequence[str],
) -> Corpus:
    """Read a list of files.

    Parameters
    ----------
    location : str
        The list.
    home : Store
        Its folder, to which its paths are relative.
    options : dict, optional
        Storage options for fsspec.
    selection : Selection
        Which of its files belong to the corpus.
    label_from_parent : bool
        Label each file with the folder that it is in.
    taken : sequence of str
        Column names that the list's further columns may not have.

    Raises
    ------
    CorpusError
        If the list cannot be read.
    UsageError
        If it is malformed.
    """
    folder, name = split_name(location)
    location = redacted(location)
    try:
        data, _ = home.read(stored_name(folder, name))
    except OSError as error:
        raise CorpusError(explain(error, location)) from error
    notes: list[str] = []
    rows, stated = take_stated(read_rows(data, location, notes), location)
    store = ListedStore(home, options)
    store.check(rows["path"].to_pylist(), location)
    paths = [relative_path(path, home.url) for path in rows["path"].to_pylist()]
    rows = rows.set_column(0, "path", pa.array(paths, pa.string()))
    if LABEL in rows.column_names:
        index = rows.column_names.index(LABEL)
        rows = rows.set_column(index, LABEL, label_strings(rows, location))
    taken_in = pa.array([selection.takes(path) for path in paths], pa.bool_())
    corpus = Corpus(
        home.url,
        store,
        selection,
        label_from_parent,
        location,
        rows.filter(taken_in),
        stated.filter(taken_in) if stated is not None else None,
        carried_schema(rows, taken, location),
        list_notes=notes,
    )
    corpus.passed_over["filtered out"] += len(taken_in) - taken_in.true_count
    return corpus
