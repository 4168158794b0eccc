"""Kernels of the fundamental frequency (YIN: A. de Cheveigné and H. Kawahara, 2002)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from featurelib.kernels.cache import kernel
from featurelib.kernels.vector import (
    LANES,
    at_least,
    both,
    less,
    load,
    muladd,
    mulsub,
    select,
    splat,
    spread,
    store,
)


@kernel()
def joined(pieces: np.ndarray, n_pieces: int, turns: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` with the spectra of the autocorrelations of frames.

    Frame t consists of the pieces t to t + n_pieces - 1.

    Parameters
    ----------
    pieces : np.ndarray [shape=(batches, 2, bins, LANES), dtype=float32]
        Complex spectra of the pieces, padded with zeros.
    n_pieces : int
        Pieces of a frame.
    turns : np.ndarray [shape=(distances, 2, bins), dtype=float32]
        Complex factor by which a spectrum changes if its piece is one, two… pieces later.
        Pieces that are further apart do not count.
    out : np.ndarray [shape=(batches, 2, bins, LANES), dtype=float32]
        Complex spectra.
    """
    n_batches, n_bins = pieces.shape[0], pieces.shape[2]
    n_distances = turns.shape[0]
    size, to_imaginary = 2 * n_bins * LANES, n_bins * LANES
    # One bin of all pieces: at t + 1 begins the vector that is one piece later.
    width = (max(n_batches, out.shape[0]) + 1) * LANES + n_pieces
    x, products = np.zeros((2, width), np.float32), np.zeros((2, width), np.float32)
    for k in range(n_bins):
        for batch in range(n_batches):
            p = batch * size + k * LANES
            store(x, batch * LANES, load(pieces, p))
            store(x, width + batch * LANES, load(pieces, p + to_imaginary))
        for batch in range(out.shape[0]):
            p = batch * size + k * LANES
            store(out, p, splat(np.float32(0)))
            store(out, p + to_imaginary, splat(np.float32(0)))
        for distance in range(n_distances + 1):
            for t in range(0, n_batches * LANES, LANES):
                r, i = load(x, t), load(x, width + t)
                later_r, later_i = load(x, t + distance), load(x, width + t + distance)
                if distance:
                    place = 2 * (distance - 1) * n_bins + k
                    c, s = spread(turns, place), spread(turns, place + n_bins)
                    later_r, later_i = (
                        mulsub(later_r, c, later_i * s),
                        muladd(later_r, s, later_i * c),
                    )
                store(products, t, muladd(r, later_r, i * later_i))
                store(products, width + t, mulsub(r, later_i, i * later_r))
            for batch in range(out.shape[0]):
                p = batch * size + k * LANES
                r, i = load(out, p), load(out, p + to_imaginary)
                first = batch * LANES
                for t in range(first, first + n_pieces - distance):
                    r = r + load(products, t)
                    i = i + load(products, width + t)
                store(out, p, r)
                store(out, p + to_imaginary, i)


@kernel()
def periods(
    correlations: np.ndarray,
    y: np.ndarray,
    hop_length: int,
    shortest: int,
    longest: int,
    threshold: np.float32,
    out: np.ndarray,
) -> None:
    """Fill `out` with the period of each frame, and with whether the frame is periodic.

    The period is the first trough below `threshold` of the cumulative mean normalized
    difference, or else its minimum, refined by a parabola.

    Parameters
    ----------
    correlations : np.ndarray [shape=(batches, more than longest, LANES), dtype=float32]
        Autocorrelations of the frames.
    y : np.ndarray [shape=(n,), dtype=float32]
        Samples. Frame t begins at t * hop_length.
    hop_length : int
        Step from frame to frame.
    shortest, longest : int
        Range of the periods [samples].
    threshold : np.float32
        A frame is periodic if the difference has a trough below it.
    out : np.ndarray [shape=(n_frames, 2), dtype=float64]
        Period [samples], and 1.0 if the frame is periodic, else 0.0.
    """
    n_frames, n_lags = out.shape[0], longest - shortest + 1
    heads = np.empty((longest, LANES), np.float32)
    differences = np.empty((n_lags, LANES), np.float32)
    found = np.empty((2, LANES), np.float32)
    for batch in range(correlations.shape[0]):
        first = batch * LANES
        for lane in range(LANES):
            start = min(first + lane, n_frames - 1) * hop_length
            for k in range(longest):
                heads[k, lane] = y[start + k]
        start = batch * correlations.shape[1] * LANES
        _normalized_differences(correlations, start, heads, shortest, differences)
        _search(differences, threshold, found)
        for lane in range(min(LANES, n_frames - first)):
            is_periodic = found[0, lane] >= 0
            place = int(found[0, lane] if is_periodic else found[1, lane])
            out[first + lane, 0] = shortest + place + _shift(differences, place, lane)
            out[first + lane, 1] = is_periodic


@njit(nogil=True, forceinline=True)
def _normalized_differences(
    correlations: Any, start: Any, heads: Any, shortest: Any, out: Any
) -> None:
    """Difference of each lag over the mean of those up to it, in librosa's order of operations."""
    tiny, two = splat(np.float32(np.finfo(np.float32).tiny)), splat(np.float32(2))
    power = load(correlations, start)
    x = load(heads, 0)
    # librosa does not subtract the first sample's power at lag 1, so it is in all later means.
    head, total = splat(np.float32(0)), x * x
    for lag in range(1, heads.shape[0] + 1):
        x = load(heads, (lag - 1) * LANES)
        head = muladd(x, x, head)
        difference = mulsub(two, power - load(correlations, start + lag * LANES), head)
        total = total + difference
        if lag >= shortest:
            mean = total / splat(np.float32(lag))
            store(out, (lag - shortest) * LANES, difference / (mean + tiny))


@njit(nogil=True, forceinline=True)
def _search(differences: Any, threshold: Any, found: Any) -> None:
    """Places of the first trough below the threshold, -1 without one, and of the minimum."""
    last = differences.shape[0] - 1
    limit = splat(threshold)
    here, before = load(differences, last * LANES), load(differences, (last - 1) * LANES)
    place = splat(np.float32(last))
    is_trough = both(less(here, before), less(here, limit))
    trough = select(is_trough, place, splat(np.float32(-1)))
    minimum, least = place, here
    for i in range(last - 1, 0, -1):
        after, here, before = here, before, load(differences, (i - 1) * LANES)
        place = splat(np.float32(i))
        is_trough = both(both(less(here, before), at_least(after, here)), less(here, limit))
        trough = select(is_trough, place, trough)
        is_least = at_least(least, here)
        minimum, least = select(is_least, place, minimum), select(is_least, here, least)
    after, here = here, before
    place = splat(np.float32(0))
    trough = select(both(less(here, after), less(here, limit)), place, trough)
    minimum = select(at_least(least, here), place, minimum)
    store(found, 0, trough)
    store(found, LANES, minimum)


@njit(nogil=True, forceinline=True)
def _shift(differences: Any, place: Any, lane: Any) -> Any:
    """Way from a place to the vertex of the parabola through it and its neighbours."""
    if place == 0 or place == differences.shape[0] - 1:
        return 0.0
    before, here = np.float64(differences[place - 1, lane]), np.float64(differences[place, lane])
    after = np.float64(differences[place + 1, lane])
    curvature, slope = after + before - 2 * here, (after - before) / 2
    return -slope / curvature if abs(slope) < abs(curvature) else 0.0
