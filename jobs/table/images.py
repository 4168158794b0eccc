"""The image files of a table: which are there, and which no row names."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.corpus.hashing import path_hashes
from jobs.storage.base import Page, Store
from jobs.table.layout import IMAGES

_EXTENSION = ".png"


class ImageFiles:
    """The images below ``images/``, by a hash of name and size: eight bytes each.

    Parameters
    ----------
    store : Store
        Store of the table.
    """

    def __init__(self, store: Store) -> None:
        pages = [_hashes(page.names, page.sizes) for page in _pages(store)]
        self._hashes = np.sort(np.concatenate([np.zeros(0, np.uint64), *pages]))

    def are_there(self, names: pa.ChunkedArray, sizes: pa.ChunkedArray) -> np.ndarray:
        """Return for each image whether there is a file of its name and size [bytes]."""
        return _are_in(_hashes(names, sizes), self._hashes)


def unnamed_images(store: Store, named: np.ndarray, waiting: np.ndarray) -> tuple[list[str], int]:
    """Return the images that no row names, and the number of rows whose image is not there.

    Parameters
    ----------
    store : Store
        Store of the table.
    named : np.ndarray [dtype=uint64]
        Hashes of the names that rows of the table have.
    waiting : np.ndarray [dtype=uint64]
        Hashes of the names that staged rows have.
    """
    named, waiting, n_there = np.unique(named), np.unique(waiting), 0
    unnamed: list[str] = []
    for page in _pages(store):
        hashes = path_hashes(pa.array(page.names, pa.string()))
        is_named = _are_in(hashes, named)
        n_there += int(is_named.sum())
        is_kept = is_named | _are_in(hashes, waiting)
        unnamed += [name for name, kept in zip(page.names, is_kept, strict=True) if not kept]
    return unnamed, len(named) - n_there


def _pages(store: Store) -> Iterator[Page]:
    """Yield the images; other files below ``images/`` are not the table's."""
    try:
        for page in store.scan(IMAGES):
            ours = [i for i, name in enumerate(page.names) if name.endswith(_EXTENSION)]
            yield Page(
                [page.names[i] for i in ours],
                [page.sizes[i] for i in ours],
                [page.versions[i] for i in ours],
            )
    except FileNotFoundError:
        return


def _are_in(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Return for each value whether it is among sorted values."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return ordered[at] == values


def _hashes(names: list[str] | pa.ChunkedArray, sizes: list[int] | pa.ChunkedArray) -> np.ndarray:
    columns = [
        value.combine_chunks() if isinstance(value, pa.ChunkedArray) else pa.array(value, kind)
        for value, kind in ((names, pa.string()), (sizes, pa.int64()))
    ]
    return path_hashes(pc.binary_join_element_wise(columns[1].cast(pa.string()), columns[0], "/"))
