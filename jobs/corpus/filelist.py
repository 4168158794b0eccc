"""Open a corpus that is a list of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.corpus import Corpus, explain, relative_paths
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
    # URLs, maybe chained, and paths from this machine's root
    is_place = pc.or_(pc.starts_with(rows["path"], "/"), pc.match_substring(rows["path"], ":"))
    store.check(rows["path"].filter(is_place).to_pylist(), location)
    rows = rows.set_column(0, "path", relative_paths(rows["path"], home.url))
    if LABEL in rows.column_names:
        index = rows.column_names.index(LABEL)
        rows = rows.set_column(index, LABEL, label_strings(rows, location))
    is_selected = _selected(rows["path"], selection)
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


def _selected(paths: pa.ChunkedArray, selection: Selection) -> pa.BooleanArray:
    if not selection.has_patterns:
        return pa.array(np.ones(len(paths), bool))
    return pa.array([selection.takes(path) for path in paths.to_pylist()], pa.bool_())
