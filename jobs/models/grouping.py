"""Groups of tracks that must not be separated: connected components of what they share."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def joined(n: int, columns: Iterable[pa.Array]) -> np.ndarray:
    """Return the group of each item: items that share a value of any column, also by way of others.

    Parameters
    ----------
    n : int
        Number of items.
    columns : iterable of pyarrow.Array
        Values of each item. Equal values of one column join items. Null, NaN and empty
        text join nothing.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=int64]
        Number of each item's group, from 0, in the order in which groups first occur.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    items: list[np.ndarray] = []
    nodes: list[np.ndarray] = []
    n_nodes = n
    for column in columns:
        codes = shared_codes(column)
        known = np.flatnonzero(codes >= 0)
        items.append(known)
        nodes.append(codes[known] + n_nodes)
        n_nodes += int(codes.max(initial=-1)) + 1
    ends = (np.concatenate([*items, []]).astype(np.int64), np.concatenate([*nodes, []]))
    edges = coo_array(
        (np.ones(len(ends[0]), np.int8), (ends[0], ends[1].astype(np.int64))),
        shape=(n_nodes, n_nodes),
    )
    components = connected_components(edges, directed=False)[1][:n]
    return numbered(components)


def numbered(values: np.ndarray) -> np.ndarray:
    """Return values as numbers from 0, in the order in which they first occur."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def shared_codes(column: pa.Array) -> np.ndarray:
    """Return a number for each value that occurs more than once; -1 for all others.

    Null, NaN and empty text are not shared.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=int64]
    """
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.if_else(pc.equal(column, ""), None, column)
    elif pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    indices = column.dictionary_encode().indices
    codes = pc.fill_null(indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    is_shared = np.bincount(codes[codes >= 0], minlength=1) > 1
    numbers = np.where(is_shared, np.cumsum(is_shared) - 1, -1)
    return np.where(codes >= 0, numbers[codes], -1)
