"""Hashes of paths, and the hash bucket of a path."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def path_hashes(paths: pa.StringArray) -> np.ndarray:
    """Return a stable 64-bit hash of each stored path (XXH3, seed 0, of its bytes in UTF-8).

    Returns
    -------
    np.ndarray [shape=(n,), dtype=uint64]
    """
    import numpy as np  # here, so that the command line can import this module without NumPy

    if not len(paths):
        return np.zeros(0, np.uint64)
    _, offsets, data = paths.buffers()
    ends = np.frombuffer(offsets, np.int32)[paths.offset :][: len(paths) + 1].tolist()
    text, digest = data.to_pybytes() if data else b"", xxhash.xxh3_64_intdigest
    # slices of bytes: a third of the time that strings take
    hashes = (digest(text[start:end]) for start, end in itertools.pairwise(ends))
    return np.fromiter(hashes, dtype=np.uint64, count=len(paths))


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


def overlapping(bucket: int, n_buckets: int, n_others: int) -> range:
    """Return the buckets that share hashes with a bucket, if there were another number of them.

    Parameters
    ----------
    bucket, n_buckets : int
        A bucket, and the number of buckets.
    n_others : int
        The other number of buckets.

    Returns
    -------
    range
        Buckets below `n_others`; neighbours, because buckets are ranges of hashes.
    """
    first, end = (-(-(edge << 32) // n_buckets) for edge in (bucket, bucket + 1))
    return range(first * n_others >> 32, ((end - 1) * n_others >> 32) + 1)
