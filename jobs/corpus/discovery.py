"""Open the corpus at a location: a folder, a URL, a glob or a list of files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jobs.corpus.corpus import Corpus, explain
from jobs.corpus.filelist import LIST_EXTENSIONS, open_list
from jobs.corpus.inventory import MANIFEST, open_inventory
from jobs.corpus.path_labels import PathLabels
from jobs.corpus.patterns import Selection
from jobs.errors import CorpusError, UsageError
from jobs.storage.base import Store
from jobs.storage.names import decode_path, encode_local, utf8_name
from jobs.storage.opening import open_store
from jobs.storage.urls import (
    has_one_slash,
    is_url,
    real_location,
    redacted,
    split_name,
    stored_name,
)

_GLOB = re.compile(r"[*?\[]")


def open_corpus(
    location: str,
    *,
    options: dict[str, Any] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    limit: int | None = None,
    path_labels: PathLabels | None = None,
    taken: Sequence[str] = (),
    known_root: str | None = None,
    verify_list: bool = False,
) -> Corpus:
    """Return the corpus at a location, not yet listed.

    Parameters
    ----------
    location : str
        A folder, fsspec URL, glob, a list of files (text, CSV, TSV or Parquet), or the
        manifest.json of a report of S3 Inventory.
    options : dict, optional
        Storage options for fsspec.
    include, exclude : sequence of str
        Patterns for the path relative to the root; ``*`` also matches ``/``.
    limit : int, optional
        Maximum number of files.
    path_labels : PathLabels, optional
        Rule by which each file's path gives its label.
    taken : sequence of str
        Names that the carried columns of a list must not have.
    known_root : str, optional
        Canonical location of the same folder in the table; paths are relative to it.
    verify_list : bool
        Look up each file of a list, even if the list states its size and version.

    Raises
    ------
    CorpusError
        If the location does not exist or cannot be read.
    UsageError
        If a list is malformed.
    """
    selection = Selection.of(include, exclude, limit)
    if not is_url(location):
        utf8_name(location)  # raises if this process cannot encode the name
    is_folder = not is_url(location) and os.path.isdir(location)
    if not is_folder and location.lower().endswith(LIST_EXTENSIONS):
        folder = split_name(location)[0]
        corpus = open_list(
            location,
            _open_root(folder, options, known_root),
            options,
            selection,
            path_labels=path_labels,
            taken=taken,
            other_root=_other_name(folder, known_root),
        )
        return replace(corpus, stated=None) if verify_list else corpus
    if not is_folder and split_name(location)[1] == MANIFEST:
        inventory = open_inventory(location, options)
        if verify_list:
            raise UsageError(
                f"the files that {redacted(location)} lists are not all looked up: give"
                f" {inventory.root} instead, which lists the bucket"
            )
        return Corpus(
            inventory.root,
            _open_root(inventory.root, options, known_root),
            selection,
            path_labels,
            redacted(location),
            listed_elsewhere=inventory.pages,
        )
    if not is_folder and _GLOB.search(location):
        folder, pattern = _split_glob(location)
        store = _open_root(folder, options, known_root)
        selection = Selection.of(include, exclude, limit, stored_name(folder, pattern))
        other = _other_name(folder, known_root)
        return Corpus(
            store.url, store, selection, path_labels, redacted(location), other_root=other
        )
    if is_folder or is_url(location):
        store = _open_root(location, options, known_root)
        other = _other_name(location, known_root)
        return Corpus(
            store.url, store, selection, path_labels, redacted(location), other_root=other
        )
    try:
        os.stat(location)
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "check the name, and that its disk is mounted"
        if location.startswith("~"):
            hint = "the shell replaces ~ only without quotes, at the start of a word"
        elif has_one_slash(location):
            hint = "a URL has two slashes, as in s3://bucket/prefix"
        raise CorpusError(f"there is no folder {location}: {hint}") from error
    except OSError as error:
        raise CorpusError(explain(error, location)) from error
    else:
        raise CorpusError(
            f"{location} is one file: give its folder, a list of files ending in"
            f" {', '.join(LIST_EXTENSIONS)}, or use `featurelib show`"
        )


def _open_root(location: str, options: dict[str, Any] | None, known_root: str | None) -> Store:
    return open_store(location if known_root is None else decode_path(known_root), options)


def _other_name(folder: str, known_root: str | None) -> str | None:
    """Return the name of a folder if the table knows it by another one, else None."""
    if known_root is None or is_url(folder):
        return None
    return encode_local(os.path.abspath(folder))


def _split_glob(location: str) -> tuple[str, str]:
    """Return the folder before the first wildcard of a glob, and the pattern below it."""
    first = _GLOB.search(location)
    folder, start = split_name(location[: first.start()] if first else location)
    if not is_url(location) and not os.path.isdir(folder):
        raise CorpusError(f"there is no folder {folder}, where {location} would be")
    return folder, start + (location[first.start() :] if first else "")


def check_apart(corpus: Corpus, table: str) -> None:
    """Refuse a table inside its corpus, or a corpus inside its table.

    If the corpus is a list of files, the table may be in the same folder, because the list
    names no file of the table.

    Raises
    ------
    UsageError
        If one location is below the other, or both are the same.
    """
    inner, outer = real_location(table), real_location(corpus.root)
    if inner.startswith(outer) and corpus.rows is None:
        raise UsageError(
            f"the table {table} would be inside the corpus {corpus.root}: give another --output"
        )
    if outer.startswith(inner):
        raise UsageError(
            f"the corpus {corpus.root} is inside the table {table}: give another --output"
        )
