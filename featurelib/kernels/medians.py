"""Running medians of 31 values, for the separation of harmonic and percussive sound.

The 16 windows that end at neighbouring values share 16 values, which are sorted once, by a
network of minima and maxima (K. E. Batcher, 1968). Down a binary tree over the 16, each half
adds the run of values that only its windows share, and keeps those in the middle, which alone
can be medians. The sorted runs of 2, 4 and 8 values are by-products of sorting 16. That makes
28 minima and maxima per median, in all lanes at once, and medians are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types

from featurelib.kernels.cache import kernel
from featurelib.kernels.lanes import TINY
from featurelib.kernels.memory import intrinsic, loader, storer
from featurelib.kernels.vector import (
    LANES,
    less,
    load,
    maximum,
    minimum,
    select,
    splat,
    store,
    transposed,
)

#: Medians that are selected together: half of 31 + 1.
_BLOCK = 16

#: Numbers of the sorted runs of 2, 4, 8 and 16 of a block.
_RUNS = 4 * _BLOCK * LANES


class _Network:
    """Writes minima and maxima of vectors as LLVM code."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def _smaller(self, a: Any, b: Any) -> Any:
        return self._builder.select(self._builder.fcmp_ordered("<", a, b), a, b)

    def _larger(self, a: Any, b: Any) -> Any:
        return self._builder.select(self._builder.fcmp_ordered("<", b, a), a, b)

    def merged(self, a: list[Any], b: list[Any]) -> list[Any]:
        """Merge two sorted lists of one length, a power of two (Batcher's odd-even merge)."""
        if len(a) == 1:
            return [self._smaller(a[0], b[0]), self._larger(a[0], b[0])]
        even, odd = self.merged(a[::2], b[::2]), self.merged(a[1::2], b[1::2])
        between = [
            exchange(x, y)
            for x, y in zip(odd[:-1], even[1:], strict=True)
            for exchange in (self._smaller, self._larger)
        ]
        return [even[0], *between, odd[-1]]

    def _sorted(self, x: list[Any]) -> list[Any]:
        """Sort a list that rises and then falls, or the other way round."""
        if len(x) == 1:
            return x
        half = len(x) // 2
        pairs = list(zip(x[:half], x[half:], strict=True))
        low, high = (
            [self._smaller(*pair) for pair in pairs],
            [self._larger(*pair) for pair in pairs],
        )
        return self._sorted(low) + self._sorted(high)

    def middle(self, a: list[Any], b: list[Any]) -> list[Any]:
        """The n middle values of 2n and n sorted ones, sorted."""
        n = len(b)
        upper = self._sorted([self._larger(a[i], b[n - 1 - i]) for i in range(n)])
        return self._sorted([self._smaller(upper[i], a[2 * n - 1 - i]) for i in range(n)])


@intrinsic
def _sort_runs(typing_context: Any, x: Any, start: Any, runs: Any, slot: Any) -> Any:
    """Sort 16 vectors of x from `start` on, and their runs of 2, 4 and 8; store them at `slot`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        get = loader(context, builder, signature.args[0], args[0], args[1])
        put = storer(context, builder, signature.args[2], args[2], args[3])
        network = _Network(builder)
        sorted_runs = [[get(i * LANES)] for i in range(_BLOCK)]
        place = 0
        while len(sorted_runs) > 1:
            pairs = zip(sorted_runs[::2], sorted_runs[1::2], strict=True)
            sorted_runs = [network.merged(*pair) for pair in pairs]
            for vector in (vector for run in sorted_runs for vector in run):
                put(place, vector)
                place += LANES
        return context.get_dummy_value()

    return types.void(x, types.intp, runs, types.intp), codegen


@intrinsic
def _select_medians(
    typing_context: Any,
    x: Any,
    start: Any,
    runs: Any,
    before: Any,
    here: Any,
    after: Any,
    out: Any,
    place: Any,
) -> Any:
    """Store, from `place` of `out` on, 16 medians of 31: the first one is of x[start:].

    The three blocks of 16 whose runs are at `before`, `here` and `after` begin a vector before
    `start`.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        get = loader(context, builder, signature.args[0], args[0], args[1])
        blocks = [loader(context, builder, signature.args[2], args[2], slot) for slot in args[3:6]]
        put = storer(context, builder, signature.args[6], args[6], args[7])
        network = _Network(builder)

        def run(first: int, n: int) -> list[Any]:
            """Sorted run of n values; it begins a multiple of n after the first block does."""
            if n == 1:
                return [get(first * LANES)]
            block, within = divmod(first + 1, _BLOCK)
            level = n.bit_length() - 2
            return [blocks[block]((level * _BLOCK + within + i) * LANES) for i in range(n)]

        def descend(first: int, n: int, common: list[Any]) -> None:
            """Medians of n neighbours, the middle of whose common values is known."""
            if n == 1:
                put(first * LANES, common[0])
                return
            half = n // 2
            descend(first, half, network.middle(common, run(first + half - 1, half)))
            descend(first + half, half, network.middle(common, run(first + 31, half)))

        descend(0, _BLOCK, run(_BLOCK - 1, _BLOCK))
        return context.get_dummy_value()

    numbers = [types.intp] * 3
    return types.void(x, types.intp, runs, *numbers, out, types.intp), codegen


@njit(nogil=True)
def _medians(x: Any, start: Any, n_blocks: Any, runs: Any, out: Any, place: Any) -> None:
    """Median i, of 16 * n_blocks, is that of the vectors i + 1 to i + 31 after `start`."""
    step = _BLOCK * LANES
    _sort_runs(x, start, runs, 0)
    _sort_runs(x, start + step, runs, _RUNS)
    for block in range(n_blocks):
        here = start + block * step
        a, b, c = block % 3 * _RUNS, (block + 1) % 3 * _RUNS, (block + 2) % 3 * _RUNS
        _sort_runs(x, here + 2 * step, runs, c)
        _select_medians(x, here + LANES, runs, a, b, c, out, place + block * step)


@kernel()
def percussive_medians(S: np.ndarray, row: int, turned: np.ndarray, P: np.ndarray) -> None:
    """Median of 31 magnitudes along frequency, and the magnitudes with bins as lanes.

    Parameters
    ----------
    S : np.ndarray [shape=(batches, bins, LANES), dtype=float32]
        Magnitudes.
    row : int
        Row of `turned` to which the first frame belongs.
    turned : np.ndarray [shape=(groups, rows, LANES), dtype=float32]
        Filled with magnitudes: bin k is lane k % LANES of group k // LANES.
    P : np.ndarray [shape=(batches, n, LANES), dtype=float32]
        Filled with medians, mirrored at both ends as by `scipy.ndimage.median_filter`; n is a
        multiple of 16. What is beyond the bins has no meaning.
    """
    n_batches, n_bins, _ = S.shape
    n_blocks = P.shape[1] // _BLOCK
    padded = np.empty((P.shape[1] + 2 * _BLOCK, LANES), np.float32)
    runs = np.empty((3, _RUNS), np.float32)
    n_rows = turned.shape[1]
    for batch in range(n_batches):
        for k in range(n_bins):
            store(padded, (_BLOCK + k) * LANES, load(S, (batch * n_bins + k) * LANES))
        for i in range(_BLOCK):
            store(padded, i * LANES, load(padded, _mirrored(i, n_bins)))
        for i in range(_BLOCK + n_bins, padded.shape[0]):
            store(padded, i * LANES, load(padded, _mirrored(i, n_bins)))
        _medians(padded, 0, n_blocks, runs, P, batch * P.shape[1] * LANES)
        for group in range(turned.shape[0]):
            p = (_BLOCK + group * LANES) * LANES
            q = (group * n_rows + row + batch * LANES) * LANES
            _turn(padded, p, turned, q)


@njit(nogil=True, forceinline=True)
def _mirrored(i: Any, n: Any) -> Any:
    """Place of the vector that vector i, of which the 16th is the first of n, is a copy of."""
    k = (i - _BLOCK) % (2 * n)
    return (_BLOCK + (k if k < n else 2 * n - 1 - k)) * LANES


@njit(nogil=True, forceinline=True)
def _turn(x: Any, p: Any, out: Any, q: Any) -> None:
    """Transpose LANES vectors of x into LANES vectors of `out`."""
    columns = transposed(
        load(x, p),
        load(x, p + LANES),
        load(x, p + 2 * LANES),
        load(x, p + 3 * LANES),
        load(x, p + 4 * LANES),
        load(x, p + 5 * LANES),
        load(x, p + 6 * LANES),
        load(x, p + 7 * LANES),
    )
    for i, column in enumerate(columns):
        store(out, q + i * LANES, column)


@kernel()
def copy_rows(turned: np.ndarray, start: int, rows: np.ndarray) -> None:
    """Copy rows to the rows from `start` on, in order, in each group of an array.

    Parameters
    ----------
    turned : np.ndarray [shape=(groups, n, LANES), dtype=float32]
        Groups of rows.
    start : int
        Row that becomes a copy of the first one.
    rows : np.ndarray [shape=(n_rows,), dtype=int64]
        Rows to copy, which have not been written by then.
    """
    for group in range(turned.shape[0]):
        first = group * turned.shape[1]
        for i in range(rows.shape[0]):
            value = load(turned, (first + rows[i]) * LANES)
            store(turned, (first + start + i) * LANES, value)


@kernel()
def percussive_spectra(
    turned: np.ndarray, row: int, P: np.ndarray, D: np.ndarray, out: np.ndarray
) -> None:
    """Fill `out` with spectra times the soft mask of the percussive component, p² / (h² + p²).

    Parameters
    ----------
    turned : np.ndarray [shape=(groups, rows, LANES), dtype=float32]
        Magnitudes, as `percussive_medians` gives them. There are at least 32 rows more, from
        `row` on, than frames, in whole blocks of 16.
    row : int
        The median h of frame t is that of rows row + t + 1 to row + t + 31.
    P : np.ndarray [shape=(batches, n, LANES), dtype=float32]
        Medians p along frequency. Where both medians are zero, the mask is 1/2.
    D : np.ndarray [shape=(batches, 2, bins, LANES), dtype=float32]
        Complex spectra.
    out : np.ndarray [shape=(batches, 2, bins, LANES), dtype=float32]
    """
    n_batches, _, n_bins, _ = D.shape
    n_blocks = (n_batches * LANES + _BLOCK - 1) // _BLOCK
    medians = np.empty((n_blocks * _BLOCK, LANES), np.float32)
    frames = np.empty((LANES, LANES), np.float32)
    runs = np.empty((3, _RUNS), np.float32)
    for group in range(turned.shape[0]):
        start = (group * turned.shape[1] + row) * LANES
        _medians(turned, start, n_blocks, runs, medians, 0)
        first = group * LANES
        for batch in range(n_batches):
            _turn(medians, batch * LANES * LANES, frames, 0)
            for k in range(first, min(first + LANES, n_bins)):
                h = load(frames, (k - first) * LANES)
                mask = _mask(load(P, (batch * P.shape[1] + k) * LANES), h)
                p = (2 * batch * n_bins + k) * LANES
                q = p + n_bins * LANES
                store(out, p, load(D, p) * mask)
                store(out, q, load(D, q) * mask)


@njit(nogil=True, forceinline=True)
def _mask(p: Any, h: Any) -> Any:
    one = splat(np.float32(1))
    larger = maximum(p, h)
    ratio = minimum(p, h) / larger
    square = ratio * ratio  # of a ratio, because the square of a small number would be zero
    mask = select(less(p, h), square, one) / (one + square)
    return select(less(larger, splat(np.float32(TINY))), splat(np.float32(0.5)), mask)
