"""Hashes of paths, and the hash bucket of a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    import numpy as np


def path_hashes(paths: list[str]) -> np.ndarray:
    """Return a stable 64-bit hash of each stored path (XXH3, seed 0).

    Returns
    -------
    np.ndarray [shape=(n,), dtype=uint64]
    """
    import numpy as np  # here, so that the command line can import this module without NumPy

    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(p.encode()) for p in paths), dtype=np.uint64, count=len(paths))


def bucket_of(hashes: np.ndarray, n_buckets: int) -> np.ndarray:
    """Return the hash bucket of each hash: equal ranges of the upper 32 bits.

    Ranges, not remainders: the number of buckets is known only when the listing has ended,
    and rows sorted by hash can then be cut into any number of ranges.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=int64]
    """
    import numpy as np

    return (((hashes >> np.uint64(32)) * np.uint64(n_buckets)) >> np.uint64(32)).astype(np.int64)
