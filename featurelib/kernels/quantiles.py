"""Kernels of order statistics of series that are too long to be sorted in memory."""

from __future__ import annotations

import numpy as np
from numba import njit

from featurelib.kernels.cache import kernel


@njit(nogil=True, forceinline=True)
def _ordered(word: np.uint32) -> np.int64:
    """The bits of a float32 as a number that is ordered as the floats are."""
    if word >> np.uint32(31):
        return np.int64(~word & np.uint32(0xFFFFFFFF))
    return np.int64(word) | np.int64(0x80000000)


@kernel()
def count_digits(
    words: np.ndarray, prefixes: np.ndarray, known: int, width: int, counts: np.ndarray
) -> None:
    """Count values by their next digit, for each series.

    Parameters
    ----------
    words : np.ndarray [shape=(n, n_series), dtype=uint32]
        Bits of float32 values.
    prefixes : np.ndarray [shape=(n_series,), dtype=int64]
        Only values whose first `known` ordered bits are these are counted.
    known, width : int
        Bits that are known, and bits of the next digit.
    counts : np.ndarray [shape=(n_series, 2 ** width), dtype=int64]
        What is added to.
    """
    mask = (1 << width) - 1
    for t in range(words.shape[0]):
        for k in range(words.shape[1]):
            word = _ordered(words[t, k])
            if word >> (32 - known) == prefixes[k]:
                counts[k, (word >> (32 - known - width)) & mask] += 1


@kernel()
def take_digits(counts: np.ndarray, ranks: np.ndarray, prefixes: np.ndarray, width: int) -> None:
    """Append to each series' prefix the digit of the value at its rank.

    The rank becomes that among the values with the same digit.
    """
    for k in range(counts.shape[0]):
        digit = 0
        while ranks[k] >= counts[k, digit]:
            ranks[k] -= counts[k, digit]
            digit += 1
        prefixes[k] = (prefixes[k] << width) | digit


@kernel()
def least_above(
    words: np.ndarray, prefixes: np.ndarray, n_up_to: np.ndarray, above: np.ndarray
) -> None:
    """Find the smallest value beyond a known one, for each series.

    Parameters
    ----------
    words : np.ndarray [shape=(n, n_series), dtype=uint32]
        Bits of float32 values.
    prefixes : np.ndarray [shape=(n_series,), dtype=int64]
        Ordered bits of the known values.
    n_up_to : np.ndarray [shape=(n_series,), dtype=int64]
        What the number of values up to the known one is added to.
    above : np.ndarray [shape=(n_series,), dtype=int64]
        Ordered bits of the smallest value beyond so far; lowered.
    """
    for t in range(words.shape[0]):
        for k in range(words.shape[1]):
            word = _ordered(words[t, k])
            if word <= prefixes[k]:
                n_up_to[k] += 1
            elif word < above[k]:
                above[k] = word
