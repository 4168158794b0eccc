"""The kernels in NumPy and SciPy: what each of them computes.

In this order: samples, the Fourier and constant-Q transforms, periods, spectra, filters, peaks,
statistics. Names, arguments and layouts are those of the compiled kernels, which these
functions define: tests hold the two against each other. They are used where kernels cannot be
compiled, and for the lengths of frames that the compiled Fourier transform lacks. See
`featurelib.kernels` for the layout of spectra in lanes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from featurelib.kernels.lanes import LANES, TINY

Array = np.ndarray

_DB_PER_NEPER = np.float32(10.0 / np.log(10.0))


def rows(S: Array) -> Array:
    """Spectra in lanes as rows, shape (batches * LANES, bins)."""
    return S.transpose(0, 2, 1).reshape(-1, S.shape[1])


def crossing_rates(
    y: Array, low: int, high: int, frame_length: int, hop_length: int, out: Array
) -> None:
    """Share of each frame's samples whose sign differs from the one before.

    Only y[low:high] is signal. The first sample of a frame has none before it.
    """
    is_negative = y[low:high] < np.float32(-1e-10)
    crosses = np.zeros(len(y), bool)
    crosses[low + 1 : high] = is_negative[1:] != is_negative[:-1]
    n_before = np.concatenate(([0], np.cumsum(crosses)))
    starts = np.arange(len(out)) * hop_length
    out[:] = (n_before[starts + frame_length] - n_before[starts + 1]) / frame_length


def frame_rms(y: Array, frame_length: int, hop_length: int, out: Array) -> None:
    """Root mean square of each frame."""
    frames = sliding_window_view(y, frame_length)[::hop_length][: len(out)]
    out[:] = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1))


def components(sums: Array, factors: Array, y: Array, harmonic: Array, percussive: Array) -> None:
    """Harmonic and percussive samples."""
    percussive[:] = (sums * factors).reshape(-1)[: len(y)]
    harmonic[:] = y - percussive


def transform(window: Array, hop_length: int) -> Callable[[Array, Array], None]:
    """Return a function that fills `out`, in lanes, with the magnitudes of the frames of y."""

    def magnitudes(y: Array, out: Array) -> None:
        S = np.abs(_spectra(y, window, hop_length, len(out) * LANES).astype(np.complex64))
        for lane in range(LANES):
            out[:, :, lane] = S[lane::LANES]

    return magnitudes


def complex_transform(window: Array, hop_length: int) -> Callable[[Array, Array], None]:
    """Return a function that fills `out`, in lanes, with the complex spectra of the frames of y."""

    def spectra(y: Array, out: Array) -> None:
        D = _spectra(y, window, hop_length, len(out) * LANES).astype(np.complex64)
        for lane in range(LANES):
            out[:, 0, :, lane], out[:, 1, :, lane] = D[lane::LANES].real, D[lane::LANES].imag

    return spectra


def _spectra(y: Array, window: Array, hop_length: int, n_frames: int) -> Array:
    from scipy.fft import rfft  # takes 0.1 s

    length = (n_frames - 1) * hop_length + len(window)
    padded = np.zeros(length, np.float32)
    padded[: len(y)] = y[:length]
    frames = sliding_window_view(padded, len(window))[::hop_length]
    return rfft(frames * window, axis=1, workers=1)


def inverse_transform(n_fft: int) -> Callable[[Array, Array], None]:
    """Return a function that fills `out`, in lanes, with the samples whose spectra are given."""
    from scipy.fft import irfft

    def inverse(spectra: Array, out: Array) -> None:
        out[:] = irfft(spectra[:, 0] + 1j * spectra[:, 1], n_fft, axis=1, workers=1)

    return inverse


def overlap_add_transform(window: Array, hop_length: int) -> Callable[[Array, Array], None]:
    """Return a function that adds up the overlapping frames whose spectra are given."""
    n_fft = len(window)
    invert = inverse_transform(n_fft)
    rest = np.zeros(n_fft - hop_length)

    def add(spectra: Array, out: Array) -> None:
        nonlocal rest
        frames = np.empty((len(spectra), n_fft, LANES))
        invert(spectra, frames)
        sums = np.zeros(out.size + n_fft - hop_length)
        sums[: len(rest)] += rest
        for t, frame in enumerate(rows(frames)):
            sums[t * hop_length : t * hop_length + n_fft] += frame * window
        out[:] = sums[: out.size].reshape(out.shape)
        rest = sums[out.size :]

    return add


def absolute_values(D: Array, out: Array) -> None:
    """Magnitudes of complex spectra."""
    out[:] = np.abs(D[:, 0] + 1j * D[:, 1])


def percussive_medians(S: Array, row: int, turned: Array, P: Array) -> None:
    """Median of 31 magnitudes along frequency, and the magnitudes with bins as lanes."""
    from scipy.ndimage import median_filter

    # mirrored here, since SciPy reads beyond an axis of two or three values
    mirrored = np.pad(S, ((0, 0), (15, 15), (0, 0)), mode="symmetric")
    P[:, : S.shape[1]] = median_filter(mirrored, size=(1, 31, 1))[:, 15:-15]
    frames = rows(S)
    for group, start in enumerate(range(0, S.shape[1], LANES)):
        bins = frames[:, start : start + LANES]
        turned[group, row : row + len(bins), : bins.shape[1]] = bins


def copy_rows(turned: Array, start: int, rows: Array) -> None:
    """Copy rows to the rows from `start` on."""
    turned[:, start : start + len(rows)] = turned[:, rows]


def percussive_spectra(turned: Array, row: int, P: Array, D: Array, out: Array) -> None:
    """Spectra times the soft mask of the percussive component, p² / (h² + p²)."""
    from scipy.ndimage import median_filter

    n_batches, _, n_bins, _ = D.shape
    n_frames = n_batches * LANES
    S = (
        turned[:, row + 1 : row + n_frames + 31]
        .transpose(1, 0, 2)
        .reshape(n_frames + 30, -1)[:, :n_bins]
    )
    medians = median_filter(S, size=(31, 1))[15:-15]
    h = medians.reshape(n_batches, LANES, n_bins).transpose(0, 2, 1)
    p = P[:, :n_bins]
    larger = np.maximum(h, p)
    is_silent = larger < np.float32(TINY)
    ratio = np.minimum(h, p) / np.where(is_silent, np.float32(1), larger)
    square = np.square(ratio)
    mask = np.where(p < h, square, np.float32(1)) / (np.float32(1) + square)
    out[:] = D * np.where(is_silent, np.float32(0.5), mask)[:, None]


def scale(y: Array, factor: float) -> None:
    """Multiply float32 samples by a float64 factor, and round once."""
    np.multiply(y, np.float64(factor), out=y, casting="same_kind")


def responses(y: Array, hop_length: int, weights: Array, out: Array) -> None:
    """Magnitudes of the sums of each frame's samples with complex weights.

    The weights of 12 bins make a group: their real parts, then their imaginary parts.
    """
    frames = sliding_window_view(y, weights.shape[1])[::hop_length][: len(out)]
    parts = frames.astype(np.float64) @ weights  # (groups, frames, 24)
    sizes = np.hypot(parts[..., :12], parts[..., 12:])
    out[:] = sizes.transpose(1, 0, 2).reshape(len(out), -1)


def joined(pieces: Array, n_pieces: int, turns: Array, out: Array) -> None:
    """Spectra of the autocorrelations of frames, which consist of pieces that they share.

    Frame t has the pieces t to t + n_pieces - 1. A piece that is some pieces later has its
    spectrum times one of `turns`. See the compiled kernel for the shapes.
    """
    x = rows(pieces[:, 0]) + 1j * rows(pieces[:, 1])
    n_frames = len(out) * LANES
    x = np.concatenate((x, np.zeros((max(n_frames + n_pieces - len(x), 0), x.shape[1]))))
    sums = np.zeros((n_frames, x.shape[1]), np.complex128)
    for distance, turn in enumerate([(1.0, 0.0), *turns]):
        products = x[: len(x) - distance].conj() * x[distance:] * (turn[0] + 1j * turn[1])
        for first in range(n_pieces - distance):
            sums += products[first : first + n_frames]
    for lane in range(LANES):
        out[:, 0, :, lane], out[:, 1, :, lane] = sums[lane::LANES].real, sums[lane::LANES].imag


def periods(
    correlations: Array,
    y: Array,
    hop_length: int,
    shortest: int,
    longest: int,
    threshold: np.float32,
    out: Array,
) -> None:
    """Period of each frame, and whether it is periodic, by YIN, as in `librosa.yin`.

    See the compiled kernel for the arguments.
    """
    n = len(out)
    lags = np.arange(1, longest + 1)
    r = rows(correlations)[:n, : longest + 1]
    heads = np.square(sliding_window_view(y, longest)[::hop_length][:n])
    difference = 2 * (r[:, :1] - r[:, 1:]) - np.cumsum(heads, axis=1)
    sums = np.cumsum(difference, axis=1) + heads[:, :1]  # as librosa: see the compiled kernel
    x = (difference / (sums / lags.astype(np.float32) + np.float32(TINY)))[:, shortest - 1 :]
    before, after = np.full_like(x, np.inf), np.full_like(x, np.inf)
    before[:, 1:], after[:, :-1] = x[:, :-1], x[:, 1:]
    is_trough = (x < before) & (x <= after) & (x < threshold)
    is_trough[:, 0] &= x[:, 0] < x[:, 1]
    out[:, 1] = is_trough.any(axis=1)
    places = np.where(out[:, 1], is_trough.argmax(axis=1), x.argmin(axis=1))
    t, inner = np.arange(n), np.clip(places, 1, x.shape[1] - 2)
    a, b, c = (x[t, inner + i].astype(np.float64) for i in (-1, 0, 1))
    curvature, slope = c + a - 2 * b, (c - a) / 2
    is_refined = (np.abs(slope) < np.abs(curvature)) & (places == inner)
    out[:, 0] = shortest + places
    out[:, 0] -= np.divide(slope, curvature, out=np.zeros(n), where=is_refined)


def power_sums(S: Array, out: Array) -> None:
    """Sums of S, k S and k² S over the bins k."""
    k = np.arange(S.shape[1])
    out[:] = np.stack((k**0, k, k**2)) @ rows(S).T.astype(np.float64)


def _mean_bins(sums: Array) -> tuple[Array, Array]:
    """Totals, 1 for silence, and centroids in bins."""
    totals = np.where(sums[0] >= TINY, sums[0], 1.0)
    return totals, sums[1] / totals


def centroids(sums: Array, bin_width: float, out: Array) -> None:
    """Mean frequency, given `power_sums`; 0 for silence."""
    out[:] = _mean_bins(sums[:, : len(out)])[1] * bin_width


def bandwidths(sums: Array, bin_width: float, out: Array) -> None:
    """Standard deviation of frequency, given `power_sums`; 0 for silence."""
    sums = sums[:, : len(out)]
    totals, means = _mean_bins(sums)
    squares = (sums[2] - means * (2 * sums[1] - means * sums[0])) / totals
    out[:] = np.sqrt(np.maximum(squares, 0.0)) * bin_width


def bandwidths_of_order(S: Array, sums: Array, p: float, bin_width: float) -> Array:
    """Moment of order p of frequency around the centroid, given `power_sums`."""
    totals, means = _mean_bins(sums)
    distances = np.abs(np.arange(S.shape[1]) - means[:, None])
    moments = np.sum(rows(S)[: len(means)] * distances**p, axis=1)
    return (moments / totals) ** (1.0 / p) * bin_width


bandwidths_of_whole_order = bandwidths_of_order


def rolloff_bins(S: Array, fraction: np.float32, out: Array) -> None:
    """First bin at which the running float32 sum reaches a `fraction` of the total."""
    running = np.cumsum(rows(S), axis=1, dtype=np.float32)
    out[:] = np.sum(running < running[:, -1:] * fraction, axis=1)


def log_power(S: Array, floor: np.float32, out: Array) -> None:
    """Natural logarithm of the squared magnitudes, of at least `floor`; in lanes."""
    np.log(np.maximum(np.square(S), floor), out=out)


def log_density(S: Array, scales: Array, floor: np.float32, out: Array) -> None:
    """Natural logarithm of scaled squared magnitudes of the first bins, plus `floor`."""
    n_frames, n = out.shape
    out[:] = np.log(np.square(rows(S)[:n_frames, :n]) * scales[:n] + floor)


def flatness(S: Array, logarithms: Array, floor: np.float32) -> Array:
    """Geometric over arithmetic mean of the power, given `log_power`."""
    geometric = np.exp(np.mean(logarithms, axis=1, dtype=np.float64))
    arithmetic = np.mean(np.maximum(np.square(S), floor), axis=1, dtype=np.float64)
    return (geometric / arithmetic).reshape(-1)


def flux(S: Array, totals: Array, before: Array, total_before: float) -> Array:
    """Distance of each spectrum, divided by its total, from the one before it."""
    sums = np.concatenate(([total_before], totals))
    scales = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums >= TINY)
    spectra = np.concatenate((before[None], rows(S)[: len(totals)])).astype(np.float64)
    return np.linalg.norm(np.diff(spectra * scales[:, None], axis=0), axis=1)


def spectrum_of(S: Array, t: int) -> Array:
    """Magnitudes of frame t."""
    return S[t // LANES, :, t % LANES].copy()


def band_extremes(S: Array, starts: Array, stops: Array, takes: Array) -> Array:
    """Means of the `takes` largest and smallest magnitudes of each band.

    Returns (frames, 2, bands): peaks, then valleys.
    """
    out = np.empty((len(S) * LANES, 2, len(takes)), np.float32)
    for band, (start, stop, take) in enumerate(zip(starts, stops, takes, strict=True)):
        ranked = np.sort(rows(S)[:, start:stop], axis=1)
        out[:, 0, band] = np.mean(ranked[:, -take:], axis=1, dtype=np.float64)
        out[:, 1, band] = np.mean(ranked[:, :take], axis=1, dtype=np.float64)
    return out


def band_levels(
    S: Array, starts: Array, stops: Array, weights: Array, floor: np.float32, n_frames: int
) -> Array:
    """Power in filters, in dB, of at least `floor`; the weights outside of them are zero."""
    power = np.square(rows(S)[:n_frames], dtype=np.float64) @ weights.T
    return np.log(np.maximum(power.astype(np.float32), floor)) * _DB_PER_NEPER


def band_powers(S: Array, starts: Array, stops: Array, weights: Array, out: Array) -> None:
    """Power in filters; the weights outside of them are zero."""
    out[:] = np.square(rows(S)[: len(out)], dtype=np.float64) @ weights.T


def projections(S: Array, matrix: Array, out: Array) -> None:
    """Magnitudes times a matrix with a row for each number."""
    out[:] = rows(S)[: len(out)] @ matrix.T


def cepstra(levels: Array, dct: Array) -> Array:
    """Rows of levels times the columns of a DCT; a flat row has one coefficient exactly."""
    constants = levels[:, :1].astype(np.float64)
    out = (levels - constants) @ dct
    out[:, 0] += constants[:, 0] * math.sqrt(levels.shape[1])
    return out


def filtered(S: Array, bank: Array, n_frames: int) -> Array:
    """Power through a bank of filters of all bins."""
    return (np.square(rows(S)[:n_frames], dtype=np.float64) @ bank.T).astype(np.float32)


def relative_to_strongest(x: Array) -> Array:
    """Rows divided by their largest value, except rows of silence."""
    strongest = x.max(axis=1, keepdims=True)
    return x / np.where(strongest < TINY, np.float32(1), strongest)


def _rises(levels: Array, before: Array) -> Array:
    return np.maximum(np.diff(levels, axis=0, prepend=before[None]), np.float32(0))


def mean_rises(levels: Array, before: Array, out: Array) -> None:
    """Mean rise of the bands since the frame before."""
    out[:] = np.mean(_rises(levels, before), axis=1, dtype=np.float64)


def median_rises(levels: Array, before: Array, out: Array) -> None:
    """Median rise of the bands since the frame before."""
    out[:] = np.median(_rises(levels, before), axis=1)


def add_autocorrelations(y: Array, n_frames: int, sums: Array) -> None:
    """Add up the autocorrelations of windowed frames, each divided by its power."""
    n = len(sums)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    for frame in sliding_window_view(y, n)[:n_frames] * window:
        products = np.correlate(frame, frame, "full")[n - 1 :]
        if products[0] > 0:
            sums += products / products[0]


def spectral_peaks(
    S: Array,
    low: int,
    high: int,
    threshold: np.float32,
    sr: float,
    n_fft: int,
    n_frames: int,
    is_squared: bool,
) -> Array:
    """Frequency [Hz] and height of the peaks in bins [low, high), in any order.

    They are the peaks of the power if it `is_squared`, else of the magnitude.

    A peak is above its left neighbour, not below its right one, and above `threshold`
    times its frame's maximum. A parabola through the three refines it, except in the last bin.
    """
    x = rows(S)[:n_frames]
    x = np.pad(np.square(x) if is_squared else x, ((0, 0), (0, 1)))
    left, here = x[:, low - 1 : high - 1], x[:, low:high]
    floor = x.max(axis=1, keepdims=True) * threshold
    found = (left < here) & (here >= x[:, low + 1 : high + 1]) & (floor < here)
    t, k = np.nonzero(found)
    k += low
    a, b, c = x[t, k - 1], x[t, k], x[t, k + 1]
    curvature = (c + a).astype(np.float64) - 2.0 * b
    slope = (c - a).astype(np.float64) / 2.0
    is_refined = (np.abs(slope) < np.abs(curvature)) & (k < S.shape[1] - 1)
    shift = np.divide(-slope, curvature, out=np.zeros_like(slope), where=is_refined)
    shift = shift.astype(np.float32)
    heights = b + np.float32(0.5) * ((c - a) / np.float32(2)) * shift
    frequencies = (k + shift.astype(np.float64)) * sr / n_fft
    return np.stack((frequencies.astype(np.float32), heights), axis=1)


def count_height_digits(peaks: Array, prefix: int, known: int, width: int, counts: Array) -> None:
    """Count, by their next `width` bits, the heights whose first `known` bits are `prefix`."""
    words = np.ascontiguousarray(peaks[:, 1]).view(np.uint32).astype(np.int64)
    words = words[words >> (32 - known) == prefix]
    counts += np.bincount((words >> (32 - known - width)) % (1 << width), minlength=len(counts))


def digit_of_rank(counts: Array, rank: int) -> tuple[int, int]:
    """Digit of the value at a place in the order, and its place among the same digit's."""
    n_up_to = np.cumsum(counts)
    digit = int(np.searchsorted(n_up_to, rank, side="right"))
    return digit, int(rank - (n_up_to[digit] - counts[digit]))


def largest_below(peaks: Array, height: np.float32) -> np.float32:
    """The largest height below another; 0 without any."""
    return peaks[peaks[:, 1] < height, 1].max(initial=np.float32(0))


def count_deviations(
    octaves: Array,
    peaks: Array,
    least: np.float32,
    bins_per_octave: np.float32,
    edges: Array,
    counts: Array,
) -> None:
    """Add to a histogram the deviations from whole steps of peaks of at least a height."""
    steps = bins_per_octave * octaves[peaks[:, 1] >= least]
    deviations = steps - np.trunc(steps)
    deviations += (deviations < 0).astype(np.float32)
    deviations -= (deviations >= np.float32(0.5)).astype(np.float32)
    places = np.searchsorted(edges, deviations.astype(np.float64), side="right") - 1
    counts += np.bincount(np.clip(places, 0, len(counts) - 1), minlength=len(counts))


def central_moments(x: Array, out: Array) -> None:
    """Mean, sums of 2nd to 4th powers of the deviations, minimum and maximum of columns."""
    x = x.astype(np.float64)
    out[0] = x.mean(axis=0)
    deviations = x - out[0]
    out[1:4] = [np.sum(deviations**n, axis=0) for n in (2, 3, 4)]
    out[4:] = x.min(axis=0), x.max(axis=0)


def cell_moments(x: Array, out: Array) -> None:
    """`central_moments` of all values of an array as one column."""
    central_moments(x.reshape(-1, 1), out)


def combine(a: Array, count_a: int, b: Array, count_b: int) -> None:
    """Add to moments those of further values (Chan et al. 1983, Pébay 2008)."""
    n_a, n_b = float(count_a), float(count_b)
    d = b[0] - a[0]
    dn = d / (n_a + n_b)
    a[3] += (
        b[3]
        + d * dn**3 * n_a * n_b * (n_a * n_a - n_a * n_b + n_b * n_b)
        + 6 * dn**2 * (n_a * n_a * b[1] + n_b * n_b * a[1])
        + 4 * dn * (n_a * b[2] - n_b * a[2])
    )
    a[2] += b[2] + d * dn**2 * n_a * n_b * (n_a - n_b) + 3 * dn * (n_a * b[1] - n_b * a[1])
    a[1] += b[1] + d * dn * n_a * n_b
    a[0] += dn * n_b
    a[4], a[5] = np.minimum(a[4], b[4]), np.maximum(a[5], b[5])


def _ordered(words: Array) -> Array:
    """Bits of float32 values as numbers that are ordered as the values are."""
    flipped = np.where(words >> 31, ~words, words | np.uint32(0x80000000))
    return flipped.astype(np.int64)


def count_digits(words: Array, prefixes: Array, known: int, width: int, counts: Array) -> None:
    """Count, for each series, the values that have its prefix by their next digit."""
    ordered = _ordered(words)
    t, k = np.nonzero(ordered >> (32 - known) == prefixes)
    digits = (ordered[t, k] >> (32 - known - width)) % (1 << width)
    np.add.at(counts, (k, digits), 1)


def take_digits(counts: Array, ranks: Array, prefixes: Array, width: int) -> None:
    """Append to each series' prefix the digit of the value at its rank."""
    for k, rank in enumerate(ranks):
        digit, ranks[k] = digit_of_rank(counts[k], rank)
        prefixes[k] = (prefixes[k] << width) | digit


def least_above(words: Array, prefixes: Array, n_up_to: Array, above: Array) -> None:
    """Count, for each series, the values up to a known one, and find the least beyond it."""
    ordered = _ordered(words)
    is_up_to = ordered <= prefixes
    n_up_to += is_up_to.sum(axis=0)
    np.minimum(above, np.where(is_up_to, above, ordered).min(axis=0), out=above)
