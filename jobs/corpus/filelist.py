"""Open a corpus that is a list of files."""

from __future__ import annotations

import functools
import posixpath
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.corpus import Corpus, explain, names_of_root, relative_paths
from jobs.corpus.formats import has_audio_extension
from jobs.corpus.labels import LABEL, TABULAR, carried_schema, label_strings, read_rows
from jobs.corpus.path_labels import PathLabels
from jobs.corpus.patterns import Selection
from jobs.corpus.stated import take_stated
from jobs.errors import CorpusError, UsageError
from jobs.storage.base import Entry, Store
from jobs.storage.listed import ListedStore
from jobs.storage.urls import redacted, split_name, stored_name

LIST_EXTENSIONS = (".txt", ".lst", ".list", *TABULAR)


def open_list(
    location: str,
    home: Store,
    options: dict[str, Any] | None,
    selection: Selection,
    *,
    path_labels: PathLabels | None,
    taken: Sequence[str],
    other_root: str | None = None,
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
    path_labels : PathLabels, optional
        Rule by which each file's path gives its label.
    taken : sequence of str
        Names that the carried columns must not have.
    other_root : str, optional
        Another name of the list's folder, for full paths.

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
    has_places = pc.any(pc.match_substring_regex(rows["path"], "[/:]")).as_py()
    roots = names_of_root(home.url, other_root)
    rows = rows.set_column(0, "path", relative_paths(rows["path"], roots))
    if LABEL in rows.column_names:
        index = rows.column_names.index(LABEL)
        rows = rows.set_column(index, LABEL, label_strings(rows, location))
    by_name = None
    is_selected = pa.array(np.ones(len(rows), bool))
    if stated is None and not has_places:
        by_name = functools.cache(lambda: _files_by_name(home, rows["path"], location))
    elif selection.has_patterns:
        is_selected = selection.taken(rows["path"])
    corpus = Corpus(
        home.url,
        store,
        selection,
        path_labels,
        location,
        rows.filter(is_selected),
        stated.filter(is_selected) if stated is not None else None,
        carried_schema(rows, taken, location),
        list_notes=notes,
        by_name=by_name,
        other_root=other_root,
    )
    corpus.passed_over["filtered out"] += len(is_selected) - is_selected.true_count
    return corpus


def _files_by_name(home: Store, names: pa.ChunkedArray, location: str) -> dict[str, Entry]:
    """Return the files below the list's folder whose name or stem is in the list.

    Only the names that need it are looked for: those that are no path of a file. A name is
    preferred to a stem.

    Raises
    ------
    UsageError
        If a name or stem is that of several files.
    """
    wanted = {normalize("NFC", name) for name in names.to_pylist()}
    found: dict[str, list[Entry]] = defaultdict(list)
    stems: dict[str, list[Entry]] = defaultdict(list)
    for page in home.scan(descend=lambda folder: not posixpath.basename(folder).startswith(".")):
        is_audio = has_audio_extension(pa.array(page.names, pa.string())).to_pylist()
        for entry, is_one in zip(page, is_audio, strict=True):
            name = normalize("NFC", posixpath.basename(entry.name))
            if not is_one or entry.name.startswith(".") or "/." in entry.name:
                continue
            for files, key in ((found, name), (stems, posixpath.splitext(name)[0])):
                if key in wanted:
                    files[key].append(entry)
    result = {}
    for name, entries in {**stems, **found}.items():
        if any(normalize("NFC", entry.name) == name for entry in entries):
            continue  # it is a path, and was looked up as such
        if len(entries) > 1:
            first, second, *_ = sorted(entry.name for entry in entries)
            raise UsageError(
                f"{location} has {name!r}, which may be {first!r} or {second!r}: write the whole"
                " path"
            )
        result[name] = entries[0]
    return result
