"""Samples → magnitudes: window, real Fourier transform in float64, absolute value.

A frame of 2N samples goes as N complex numbers (even samples real, odd ones imaginary)
through an in-place transform of N points in steps of radix 4, and radix 2 at the end where
N is no power of 4, and is taken apart into the spectrum of real samples afterwards
(W. Press et al., Numerical Recipes, 12.3), from where its digit-reversed order has put it.

It takes a quarter of the time of `genre-v1`. With SciPy's in its place a file would take
half as long again. SciPy transforms n_fft that is no power of two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from featurelib.kernels import reference
from featurelib.kernels.cache import kernel
from featurelib.kernels.lanes import LANES, aligned
from featurelib.kernels.vector import (
    absolute,
    less,
    load,
    muladd,
    mulsub,
    select,
    splat,
    spread,
    sqrt,
    store,
    to_float32,
    to_float64,
)

#: Values that are transformed to the end before the next ones: they stay in the first cache.
_NEAR = 64


class FFTTables(NamedTuple):
    """Constants of a transform of 2N real samples."""

    #: Real and imaginary parts of the N-th roots of one, shape (2, N).
    twiddles: np.ndarray
    #: Those of the first half and one of the 2N-th roots, shape (2, N / 2 + 1).
    splits: np.ndarray
    #: Where the N-point transform leaves each of its values.
    places: np.ndarray


@lru_cache(maxsize=8)
def fft_tables(n_fft: int) -> FFTTables:
    """Tables for `magnitudes`; `n_fft` is a power of two of at least 16."""
    n = n_fft // 2
    twiddles = np.exp(-2j * np.pi * np.arange(n) / n)
    split = np.exp(-2j * np.pi * np.arange(n // 2 + 1) / n_fft)
    size = 2 if n.bit_length() % 2 == 0 else 1
    order = np.arange(size)
    while size < n:
        order = np.concatenate([4 * order + q for q in range(4)])
        size *= 4
    return FFTTables(
        np.stack((twiddles.real, twiddles.imag)),
        np.stack((split.real, split.imag)),
        np.argsort(order),
    )


def transform(window: np.ndarray, hop_length: int) -> Callable[[np.ndarray, np.ndarray], None]:
    """Return a function that fills `out` with the magnitude spectra of the frames of y.

    Parameters
    ----------
    window : np.ndarray [shape=(n_fft,), dtype=float64]
        The window. Where n_fft is no power of two, the transform is SciPy's.
    hop_length : int
        Step from frame to frame.

    Returns
    -------
    callable
        Takes samples y, float32, whose missing ones count as zeros, and `out` of shape
        (batches, 1 + n_fft / 2, LANES), float32. One thread at a time may call it.
    """
    n_fft = len(window)
    if n_fft < 16 or n_fft & (n_fft - 1):
        return reference.transform(window, hop_length)
    tables = fft_tables(n_fft)
    scratch = aligned((2, n_fft // 2, LANES), np.float64)

    def fill(y: np.ndarray, out: np.ndarray) -> None:
        magnitudes(y, window, hop_length, *tables, scratch, out)

    return fill


@kernel()
def magnitudes(
    y: np.ndarray,
    window: np.ndarray,
    hop_length: int,
    twiddles: np.ndarray,
    splits: np.ndarray,
    places: np.ndarray,
    scratch: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill `out` as `transform` says; `scratch` has the shape (2, n_fft / 2, LANES), float64."""
    n_fft = window.shape[0]
    n = n_fft // 2
    # Sample i of frame t is samples[i % hop, t + i // hop]: lanes lie side by side.
    n_columns = out.shape[0] * LANES + (n_fft - 1) // hop_length
    samples = _columns(y, hop_length, n_columns)
    starts = np.empty(n_fft, np.int64)
    for i in range(n_fft):
        starts[i] = (i % hop_length) * n_columns + i // hop_length
    re, im = scratch[0], scratch[1]
    for batch in range(out.shape[0]):
        _first_pass(samples, starts, batch * LANES, window, re, im, twiddles)
        for quarter in range(4):
            _transform(re, im, quarter * (n // 4), n // 4, twiddles)
        _split(re, im, splits, places, out, batch * (n + 1) * LANES)


@njit(nogil=True)
def _columns(y: np.ndarray, hop_length: int, n_columns: int) -> np.ndarray:
    out = np.empty((hop_length, n_columns), np.float32)
    for t in range(n_columns):
        start = t * hop_length
        there = max(min(y.shape[0] - start, hop_length), 0)
        for i in range(there):
            out[i, t] = y[start + i]
        for i in range(there, hop_length):
            out[i, t] = 0
    return out


@njit(nogil=True, forceinline=True)
def _sample(samples: Any, starts: Any, lane: Any, window: Any, i: Any) -> Any:
    return to_float64(load(samples, starts[i] + lane)) * spread(window, i)


@njit(nogil=True, forceinline=True)
def _turned(re: Any, im: Any, twiddles: Any, k: Any) -> Any:
    """A complex number times the k-th twiddle factor."""
    c, s = spread(twiddles, k), spread(twiddles, twiddles.shape[1] + k)
    return mulsub(re, c, im * s), muladd(re, s, im * c)


@njit(nogil=True, forceinline=True)
def _butterfly(ar: Any, ai: Any, br: Any, bi: Any, cr: Any, ci: Any, dr: Any, di: Any) -> Any:
    """Transform of four complex numbers."""
    acr, aci, bdr, bdi = ar + cr, ai + ci, br + dr, bi + di
    a_cr, a_ci, b_dr, b_di = ar - cr, ai - ci, br - dr, bi - di
    return (
        acr + bdr,
        aci + bdi,
        a_cr + b_di,
        a_ci - b_dr,
        acr - bdr,
        aci - bdi,
        a_cr - b_di,
        a_ci + b_dr,
    )


@njit(nogil=True, forceinline=True)
def _store(re: Any, im: Any, p: Any, r: Any, i: Any) -> None:
    store(re, p, r)
    store(im, p, i)


@njit(nogil=True, forceinline=True)
def _put(re: Any, im: Any, p: Any, step: Any, x: Any, twiddles: Any, k: Any) -> None:
    """Store what a butterfly gave, the last three of the four turned."""
    _store(re, im, p, x[0], x[1])
    r, i = _turned(x[2], x[3], twiddles, k)
    _store(re, im, p + step, r, i)
    r, i = _turned(x[4], x[5], twiddles, 2 * k)
    _store(re, im, p + 2 * step, r, i)
    r, i = _turned(x[6], x[7], twiddles, 3 * k)
    _store(re, im, p + 3 * step, r, i)


@njit(nogil=True)
def _first_pass(
    samples: Any, starts: Any, lane: Any, window: Any, re: Any, im: Any, twiddles: Any
) -> None:
    quarter = window.shape[0] // 8
    for j in range(quarter):
        a, b, c, d = 2 * j, 2 * (j + quarter), 2 * (j + 2 * quarter), 2 * (j + 3 * quarter)
        x = _butterfly(
            _sample(samples, starts, lane, window, a),
            _sample(samples, starts, lane, window, a + 1),
            _sample(samples, starts, lane, window, b),
            _sample(samples, starts, lane, window, b + 1),
            _sample(samples, starts, lane, window, c),
            _sample(samples, starts, lane, window, c + 1),
            _sample(samples, starts, lane, window, d),
            _sample(samples, starts, lane, window, d + 1),
        )
        _put(re, im, j * LANES, quarter * LANES, x, twiddles, j)


@njit(nogil=True, forceinline=True)
def _loaded_butterfly(re: Any, im: Any, p: Any, step: Any) -> Any:
    return _butterfly(
        load(re, p),
        load(im, p),
        load(re, p + step),
        load(im, p + step),
        load(re, p + 2 * step),
        load(im, p + 2 * step),
        load(re, p + 3 * step),
        load(im, p + 3 * step),
    )


@njit(nogil=True)
def _transform(re: Any, im: Any, start: Any, size: Any, twiddles: Any) -> None:
    """Transform, in place, `size` values from the `start`-th on."""
    m = size
    while m > _NEAR:
        _pass(re, im, start, size, m, twiddles)
        m //= 4
    for first in range(start, start + size, m):
        near = m
        while near > 4:
            _pass(re, im, first, m, near, twiddles)
            near //= 4
        if near == 4:
            _last_pass(re, im, first, m)
        elif near == 2:
            _last_pass_of_two(re, im, first, m)


@njit(nogil=True)
def _pass(re: Any, im: Any, start: Any, size: Any, m: Any, twiddles: Any) -> None:
    """One step of radix 4 in each stretch of m values."""
    turn = twiddles.shape[1] // m
    step = m // 4
    for first in range(start, start + size, m):
        for j in range(step):
            p = (first + j) * LANES
            x = _loaded_butterfly(re, im, p, step * LANES)
            _put(re, im, p, step * LANES, x, twiddles, j * turn)


@njit(nogil=True)
def _last_pass(re: Any, im: Any, start: Any, size: Any) -> None:
    for first in range(start, start + size, 4):
        p = first * LANES
        x = _loaded_butterfly(re, im, p, LANES)
        _store(re, im, p, x[0], x[1])
        _store(re, im, p + LANES, x[2], x[3])
        _store(re, im, p + 2 * LANES, x[4], x[5])
        _store(re, im, p + 3 * LANES, x[6], x[7])


@njit(nogil=True)
def _last_pass_of_two(re: Any, im: Any, start: Any, size: Any) -> None:
    for first in range(start, start + size, 2):
        p, q = first * LANES, (first + 1) * LANES
        ar, ai, br, bi = load(re, p), load(im, p), load(re, q), load(im, q)
        _store(re, im, p, ar + br, ai + bi)
        _store(re, im, q, ar - br, ai - bi)


@njit(nogil=True, forceinline=True)
def _magnitude(re: Any, im: Any) -> Any:
    """Absolute value of a complex64, by the operations of NumPy's."""
    a, b = absolute(to_float32(re)), absolute(to_float32(im))
    exchanged = less(a, b)
    larger, smaller = select(exchanged, b, a), select(exchanged, a, b)
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    ratio = select(less(zero, larger), smaller / larger, zero)
    return larger * sqrt(muladd(ratio, ratio, one))


@njit(nogil=True)
def _split(re: Any, im: Any, splits: Any, places: Any, out: Any, start: Any) -> None:
    """Magnitudes of the real samples' spectrum from the transform of their halves."""
    n = places.shape[0]
    half, zero = splat(0.5), splat(0.0)
    a, b = load(re, 0), load(im, 0)
    store(out, start, _magnitude(a + b, zero))
    store(out, start + n * LANES, _magnitude(a - b, zero))
    for k in range(1, n // 2 + 1):
        p, q = places[k] * LANES, places[n - k] * LANES
        ar, ai, br, bi = load(re, p), load(im, p), load(re, q), load(im, q)
        even_re, even_im = (ar + br) * half, (ai - bi) * half
        odd_re, odd_im = (ai + bi) * half, (br - ar) * half
        c, s = spread(splits, k), spread(splits, splits.shape[1] + k)
        r, i = mulsub(odd_re, c, odd_im * s), muladd(odd_re, s, odd_im * c)
        store(out, start + k * LANES, _magnitude(even_re + r, even_im + i))
        store(out, start + (n - k) * LANES, _magnitude(even_re - r, even_im - i))
