"""Open a corpus that is a list of files."""

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
    """Read a list of files and return its corpus.

    Parameters
    ----------
    location : str
        The list.
    home : Store
        The list's folder, to which the paths in the list are relative.
    options : dict, optional
        Storage options for fsspec.
    selection : Selection
        Decides which of the files belong to the corpus.
    label_from_parent : bool
        Label each file with the name of its folder.
    taken : sequence of str
        Names that the carried columns must not have.

    Raises
    ------
    CorpusError
        If the list cannot be read.
    UsageError
        If the list is malformed.
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
    is_selected = pa.array([selection.takes(path) for path in paths], pa.bool_())
    corpus = Corpus(
        home.url,
        store,
        selection,
        label_from_parent,
        location,
        rows.filter(is_selected),
        stated.filter(is_selected) if stated is not None else None,
        carried_schema(rows, taken, location),
        list_notes=notes,
    )
    corpus.passed_over["filtered out"] += len(is_selected) - is_selected.true_count
    return corpus
