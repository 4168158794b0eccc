"""Samples → spectra or magnitudes: window, real Fourier transform in float64; and the inverse.

A frame of 2N samples goes as N complex numbers (even samples real, odd ones imaginary)
through an in-place transform of N points in steps of radix 4, and radix 2 at the end where
N is no power of 4, and is taken apart into the spectrum of real samples afterwards
(W. Press et al., Numerical Recipes, 12.3), from where its digit-reversed order has put it.
The inverse takes the same steps in float32, with real and imaginary parts exchanged.

It takes a quarter of the time of `genre-v1`. With SciPy's in its place a file would take
half as long again. SciPy transforms n_fft that is no power of two.

Complex spectra have the shape (batches, 2, bins, LANES), float32: real parts, then imaginary
parts.
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
    load,
    magnitude,
    muladd,
    mulsub,
    splat,
    spread,
    store,
    to_float32,
    to_float64,
    transposed,
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
    """Tables of a transform of `n_fft` samples, a power of two of at least 16."""
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
    if not _is_fast(len(window)):
        return reference.transform(window, hop_length)
    return _filler(magnitudes, window, hop_length)


def complex_transform(
    window: np.ndarray, hop_length: int
) -> Callable[[np.ndarray, np.ndarray], None]:
    """Return a function that fills `out` with the complex spectra of the frames of y.

    Parameters
    ----------
    window, hop_length
        As for `transform`.

    Returns
    -------
    callable
        As for `transform`, but with `out` of shape (batches, 2, 1 + n_fft / 2, LANES),
        float32: real and imaginary parts, rounded to float32.
    """
    if not _is_fast(len(window)):
        return reference.complex_transform(window, hop_length)
    return _filler(spectra, window, hop_length)


def inverse_transform(n_fft: int) -> Callable[[np.ndarray, np.ndarray], None]:
    """Return a function that fills `out` with the samples whose spectra are given.

    Parameters
    ----------
    n_fft : int
        Samples of a frame, an even number.

    Returns
    -------
    callable
        Takes complex spectra of shape (batches, 2, 1 + n_fft / 2, LANES), and `out` of shape
        (batches, n_fft, LANES), both float32. The imaginary parts of the first and the last
        bin count as zeros. One thread at a time may call it.
    """
    if not _is_fast(n_fft):
        return reference.inverse_transform(n_fft)
    tables = inverse_tables(n_fft)
    scratch = aligned((2, n_fft // 2, LANES), np.float32)

    def fill(spectra: np.ndarray, out: np.ndarray) -> None:
        inverse(spectra, *tables, scratch, out)

    return fill


def overlap_add_transform(
    window: np.ndarray, hop_length: int
) -> Callable[[np.ndarray, np.ndarray], None]:
    """Return a function that adds up the overlapping frames whose spectra are given.

    Parameters
    ----------
    window : np.ndarray [shape=(n_fft,), dtype=float64]
        What each frame is multiplied by.
    hop_length : int
        Step from frame to frame, at most n_fft.

    Returns
    -------
    callable
        Takes complex spectra of the next frames of a signal, shape
        (batches, 2, 1 + n_fft / 2, LANES), and `out` of shape (batches * LANES, hop_length),
        both float32, and fills it with the signal's next samples, to which later frames add
        nothing. It keeps what the frames add to later samples. After the last frame there may be
        more batches in `out`, for what is kept. One signal at a time may use it.
    """
    n_fft = len(window)
    if not _is_fast(n_fft):
        return reference.overlap_add_transform(window, hop_length)
    tables = inverse_tables(n_fft)
    scratch = aligned((2, n_fft // 2, LANES), np.float32)
    scaled = (window * (2 / n_fft)).astype(np.float32)
    # A batch reaches so many columns beyond its own.
    beyond = -(-((n_fft - 1) // hop_length) // LANES) * LANES
    sums = aligned((hop_length, LANES + beyond), np.float32)
    sums[:] = 0

    def add(spectra: np.ndarray, out: np.ndarray) -> None:
        overlap_add(spectra, scaled, hop_length, *tables, scratch, sums, out)

    return add


@lru_cache(maxsize=8)
def inverse_tables(n_fft: int) -> FFTTables:
    """Tables of an inverse transform, in float32."""
    twiddles, splits, places = fft_tables(n_fft)
    return FFTTables(twiddles.astype(np.float32), splits.astype(np.float32), places)


def _is_fast(n_fft: int) -> bool:
    return n_fft >= 16 and not n_fft & (n_fft - 1)


def _filler(
    kernel: Any, window: np.ndarray, hop_length: int
) -> Callable[[np.ndarray, np.ndarray], None]:
    tables = fft_tables(len(window))
    scratch = aligned((2, len(window) // 2, LANES), np.float64)

    def fill(y: np.ndarray, out: np.ndarray) -> None:
        kernel(y, window, hop_length, *tables, scratch, out)

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
    n = window.shape[0] // 2
    samples, starts = _arranged(y, window.shape[0], hop_length, out.shape[0])
    zero = splat(0.0)
    for batch in range(out.shape[0]):
        re, im = _transformed(samples, starts, batch * LANES, window, scratch, twiddles)
        start = batch * (n + 1) * LANES
        first, last = _ends(re, im)
        store(out, start, _magnitude(first, zero))
        store(out, start + n * LANES, _magnitude(last, zero))
        for k in range(1, n // 2 + 1):
            a_re, a_im, b_re, b_im = _bins(re, im, splits, places, k)
            store(out, start + k * LANES, _magnitude(a_re, a_im))
            store(out, start + (n - k) * LANES, _magnitude(b_re, b_im))


@kernel()
def spectra(
    y: np.ndarray,
    window: np.ndarray,
    hop_length: int,
    twiddles: np.ndarray,
    splits: np.ndarray,
    places: np.ndarray,
    scratch: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill `out` as `complex_transform` says; `scratch` as for `magnitudes`."""
    n = window.shape[0] // 2
    samples, starts = _arranged(y, window.shape[0], hop_length, out.shape[0])
    zero, to_imaginary = splat(np.float32(0)), (n + 1) * LANES
    for batch in range(out.shape[0]):
        re, im = _transformed(samples, starts, batch * LANES, window, scratch, twiddles)
        start = 2 * batch * (n + 1) * LANES
        first, last = _ends(re, im)
        for p, value in ((start, first), (start + n * LANES, last)):
            store(out, p, to_float32(value))
            store(out, p + to_imaginary, zero)
        for k in range(1, n // 2 + 1):
            a_re, a_im, b_re, b_im = _bins(re, im, splits, places, k)
            p, q = start + k * LANES, start + (n - k) * LANES
            store(out, p, to_float32(a_re))
            store(out, p + to_imaginary, to_float32(a_im))
            store(out, q, to_float32(b_re))
            store(out, q + to_imaginary, to_float32(b_im))


@kernel()
def inverse(
    spectra: np.ndarray,
    twiddles: np.ndarray,
    splits: np.ndarray,
    places: np.ndarray,
    scratch: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill `out` as `inverse_transform` says; `scratch` has the shape (2, n_fft / 2, LANES)."""
    n = places.shape[0]
    scale = splat(np.float32(1.0 / n))
    for batch in range(out.shape[0]):
        re, im = _inverted(spectra, batch, twiddles, splits, places, scratch)
        for j in range(n):
            start = 2 * (batch * n + j) * LANES
            store(out, start, load(re, places[j] * LANES) * scale)
            store(out, start + LANES, load(im, places[j] * LANES) * scale)


@kernel()
def overlap_add(
    spectra: np.ndarray,
    window: np.ndarray,
    hop_length: int,
    twiddles: np.ndarray,
    splits: np.ndarray,
    places: np.ndarray,
    scratch: np.ndarray,
    sums: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill `out` as `overlap_add_transform` says.

    `window` is divided by n_fft / 2. `sums` has the shape (hop_length, columns): sample i of the
    next frame belongs to sums[i % hop_length, i // hop_length], that of the frame after it to the
    next column.
    """
    width = sums.shape[1]
    whole = hop_length // LANES * LANES
    zero = splat(np.float32(0))
    for batch in range(out.shape[0] // LANES):
        if batch < spectra.shape[0]:
            re, im = _inverted(spectra, batch, twiddles, splits, places, scratch)
            _add_frames(re, im, window, hop_length, places, sums)
        start = batch * LANES * hop_length
        for r in range(0, whole, LANES):
            _turn_columns(sums, r * width, width, out, start + r, hop_length)
        for r in range(whole, hop_length):
            for lane in range(LANES):
                out[batch * LANES + lane, r] = sums[r, lane]
        for r in range(hop_length):
            for p in range(r * width, (r + 1) * width - LANES, LANES):
                store(sums, p, load(sums, p + LANES))
            store(sums, (r + 1) * width - LANES, zero)


@njit(nogil=True, forceinline=True)
def _add_frames(re: Any, im: Any, window: Any, hop_length: Any, places: Any, sums: Any) -> None:
    width = sums.shape[1]
    row = column = 0
    for j in range(places.shape[0]):
        p = places[j] * LANES
        for i, value in enumerate((load(re, p), load(im, p))):
            q = row * width + column
            store(sums, q, muladd(value, spread(window, 2 * j + i), load(sums, q)))
            row += 1
            if row == hop_length:
                row, column = 0, column + 1


@njit(nogil=True, forceinline=True)
def _turn_columns(x: Any, p: Any, step: Any, out: Any, q: Any, out_step: Any) -> None:
    """Transpose LANES vectors that are `step` numbers apart into some `out_step` apart."""
    columns = transposed(
        load(x, p),
        load(x, p + step),
        load(x, p + 2 * step),
        load(x, p + 3 * step),
        load(x, p + 4 * step),
        load(x, p + 5 * step),
        load(x, p + 6 * step),
        load(x, p + 7 * step),
    )
    for i, column in enumerate(columns):
        store(out, q + i * out_step, column)


@njit(nogil=True)
def _inverted(
    spectra: Any, batch: Any, twiddles: Any, splits: Any, places: Any, scratch: Any
) -> Any:
    """Frames of a batch, times n_fft / 2: samples 2j and 2j + 1 are at places[j] of the two."""
    n = places.shape[0]
    re, im = scratch[0], scratch[1]
    start = 2 * batch * (n + 1) * LANES
    to_imaginary = (n + 1) * LANES
    half = splat(np.float32(0.5))
    first, last = load(spectra, start), load(spectra, start + n * LANES)
    _store(re, im, 0, (first + last) * half, (first - last) * half)
    for k in range(1, n // 2 + 1):
        p, q = start + k * LANES, start + (n - k) * LANES
        ar, ai = load(spectra, p), load(spectra, p + to_imaginary)
        br, bi = load(spectra, q), load(spectra, q + to_imaginary)
        even_re, even_im = (ar + br) * half, (ai - bi) * half
        r, i = (ar - br) * half, (ai + bi) * half
        c, s = spread(splits, k), spread(splits, splits.shape[1] + k)
        odd_re, odd_im = muladd(r, c, i * s), mulsub(i, c, r * s)
        _store(re, im, k * LANES, even_re - odd_im, even_im + odd_re)
        _store(re, im, (n - k) * LANES, even_re + odd_im, odd_re - even_im)
    # A transform with the two parts exchanged is the inverse with the two parts exchanged.
    _pass(im, re, 0, n, n, twiddles)
    _quarters(im, re, twiddles)
    return re, im


@njit(nogil=True)
def _arranged(y: Any, n_fft: Any, hop_length: Any, n_batches: Any) -> Any:
    """Samples in an order in which lanes lie side by side, and where those of frame 0 are.

    Sample i of frame t is samples[i % hop_length, t + i // hop_length].
    """
    n_columns = n_batches * LANES + (n_fft - 1) // hop_length
    starts = np.empty(n_fft, np.int64)
    for i in range(n_fft):
        starts[i] = (i % hop_length) * n_columns + i // hop_length
    return _columns(y, hop_length, n_columns), starts


@njit(nogil=True)
def _transformed(
    samples: Any, starts: Any, lane: Any, window: Any, scratch: Any, twiddles: Any
) -> Any:
    """Transform of the complex numbers of a batch of frames, in digit-reversed order."""
    re, im = scratch[0], scratch[1]
    _first_pass(samples, starts, lane, window, re, im, twiddles)
    _quarters(re, im, twiddles)
    return re, im


@njit(nogil=True, forceinline=True)
def _quarters(re: Any, im: Any, twiddles: Any) -> None:
    """Transform that a first pass has begun."""
    size = twiddles.shape[1] // 4
    for quarter in range(4):
        _transform(re, im, quarter * size, size, twiddles)


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
    return magnitude(to_float32(re), to_float32(im))


@njit(nogil=True, forceinline=True)
def _ends(re: Any, im: Any) -> Any:
    """Real parts of the first and the last bin; their imaginary parts are zero."""
    a, b = load(re, 0), load(im, 0)
    return a + b, a - b


@njit(nogil=True, forceinline=True)
def _bins(re: Any, im: Any, splits: Any, places: Any, k: Any) -> Any:
    """Bins k and N - k of the real samples' spectrum, from the transform of their halves."""
    half = splat(0.5)
    p, q = places[k] * LANES, places[places.shape[0] - k] * LANES
    ar, ai, br, bi = load(re, p), load(im, p), load(re, q), load(im, q)
    even_re, even_im = (ar + br) * half, (ai - bi) * half
    odd_re, odd_im = (ai + bi) * half, (br - ar) * half
    c, s = spread(splits, k), spread(splits, splits.shape[1] + k)
    r, i = mulsub(odd_re, c, odd_im * s), muladd(odd_re, s, odd_im * c)
    return even_re + r, even_im + i, even_re - r, i - even_im
