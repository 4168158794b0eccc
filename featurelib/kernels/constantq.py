"""Kernels of the constant-Q transform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from featurelib.kernels.cache import kernel
from featurelib.kernels.vector import LANES, load, muladd, splat, spread, store

#: Bins whose real and imaginary parts are computed at once: three vectors.
_GROUP = 12

#: Samples whose products are summed up before their sum is added to the others', which keeps
#: rounding errors of float32 small.
_PART = 32


@kernel()
def responses(y: np.ndarray, hop_length: int, weights: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` with the magnitudes of sums of samples with complex weights.

    Here the lanes of a vector are bins. Four frames at once share the loads of the weights.

    Parameters
    ----------
    y : np.ndarray [shape=((n_frames - 1) * hop_length + length,), dtype=float32]
        Samples of the frames.
    hop_length : int
        Distance between frames [samples].
    weights : np.ndarray [shape=(groups, length, 24), dtype=float32]
        Real parts, then imaginary parts, of the weights of 12 bins.
    out : np.ndarray [shape=(n_frames, 12 * groups), dtype=float32]
        One row per frame. It need not be contiguous.
    """
    n_groups, length, width = weights.shape
    n_frames = out.shape[0]
    sums = np.empty((4, 2 * _GROUP), np.float32)
    zero = (splat(np.float32(0)), splat(np.float32(0)), splat(np.float32(0)))
    for first in range(0, n_frames, 4):
        last = n_frames - 1
        second, third, fourth = min(first + 1, last), min(first + 2, last), min(first + 3, last)
        for group in range(n_groups):
            start = group * length * width
            sums[:] = 0
            for part in range(0, length, _PART):
                a, b, c, d = zero, zero, zero, zero
                for i in range(part, min(part + _PART, length)):
                    at = start + i * width
                    w = load(weights, at), load(weights, at + LANES), load(weights, at + 2 * LANES)
                    a = _added(a, w, spread(y, first * hop_length + i))
                    b = _added(b, w, spread(y, second * hop_length + i))
                    c = _added(c, w, spread(y, third * hop_length + i))
                    d = _added(d, w, spread(y, fourth * hop_length + i))
                for row, totals in enumerate((a, b, c, d)):
                    for j, total in enumerate(totals):
                        at = (row * 3 + j) * LANES
                        store(sums, at, load(sums, at) + total)
            for j in range(min(4, n_frames - first)):
                for k in range(_GROUP):
                    # the square of a small float32 is zero, and chroma is relative
                    re, im = np.float64(sums[j, k]), np.float64(sums[j, _GROUP + k])
                    out[first + j, group * _GROUP + k] = math.sqrt(re * re + im * im)


@kernel()
def scale(y: np.ndarray, factor: float) -> None:
    """Multiply float32 samples by a float64 factor, and round once."""
    for i in range(y.shape[0]):
        y[i] = np.float32(np.float64(y[i]) * factor)


@njit(nogil=True, forceinline=True)
def _added(totals: Any, weights: Any, sample: Any) -> Any:
    return (
        muladd(weights[0], sample, totals[0]),
        muladd(weights[1], sample, totals[1]),
        muladd(weights[2], sample, totals[2]),
    )
