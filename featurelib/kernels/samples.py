"""Kernels of the samples themselves."""

from __future__ import annotations

import math

import numpy as np

from featurelib.kernels.cache import kernel
from featurelib.kernels.vector import LANES, load, muladd, splat, store, to_float64


@kernel()
def crossing_rates(
    y: np.ndarray, low: int, high: int, frame_length: int, hop_length: int, out: np.ndarray
) -> None:
    """Fill `out`, one value a frame, with the share of samples whose sign differs from the last.

    Only y[low:high] is signal: what lies outside is padding and crosses nothing.
    Values within 1e-10 of zero, and both zeros, count as positive.
    """
    floor = np.float32(-1e-10)
    crosses = np.zeros(y.shape[0], np.uint8)
    # Slices, as indices that might be negative keep loops from becoming vectors' loops.
    before, here = y[low : max(high - 1, low)], y[low + 1 : max(high, low + 1)]
    crosses_here = crosses[low + 1 :]
    for i in range(here.shape[0]):
        crosses_here[i] = (here[i] < floor) != (before[i] < floor)
    step = math.gcd(frame_length, hop_length)
    counts = np.zeros(y.shape[0] // step, np.int32)
    for c in range(counts.shape[0]):
        count = np.int32(0)
        for crossing in crosses[c * step : (c + 1) * step]:
            count += np.int32(crossing)
        counts[c] = count
    for t in range(out.shape[0]):
        start = t * hop_length
        n = -np.int64(crosses[start])
        for c in range(start // step, (start + frame_length) // step):
            n += counts[c]
        out[t] = n / frame_length


@kernel()
def frame_rms(y: np.ndarray, frame_length: int, hop_length: int, out: np.ndarray) -> None:
    """Fill `out`, one value a frame, with the root of the mean square of the samples."""
    step = math.gcd(frame_length, hop_length)
    squares, parts = np.empty(y.shape[0] // step), np.empty(LANES)
    for c in range(squares.shape[0]):
        total = 0.0
        end = (c + 1) * step
        i = c * step
        many = splat(0.0)
        while i + LANES <= end:
            value = to_float64(load(y, i))
            many = muladd(value, value, many)
            i += LANES
        store(parts, 0, many)
        for lane in range(LANES):
            total += parts[lane]
        for rest in range(i, end):
            total += np.float64(y[rest]) * np.float64(y[rest])
        squares[c] = total
    for t in range(out.shape[0]):
        start = t * hop_length
        total = 0.0
        for c in range(start // step, (start + frame_length) // step):
            total += squares[c]
        out[t] = math.sqrt(total / frame_length)


@kernel()
def components(
    sums: np.ndarray,
    factors: np.ndarray,
    y: np.ndarray,
    harmonic: np.ndarray,
    percussive: np.ndarray,
) -> None:
    """Fill the components of samples y, of which the percussive one is `sums` times `factors`.

    Parameters
    ----------
    sums : np.ndarray [shape=(n_steps, hop_length), dtype=float32]
        Sums of windowed percussive frames.
    factors : np.ndarray [shape=(n_steps or 1, hop_length), dtype=float32]
        Their factors, or those of each step.
    y, harmonic, percussive : np.ndarray [shape=(n,), dtype=float32]
        Samples, at most as many as sums.
    """
    hop_length = sums.shape[1]
    for step in range(-(-y.shape[0] // hop_length)):
        part = slice(step * hop_length, min((step + 1) * hop_length, y.shape[0]))
        signal, p, h = y[part], percussive[part], harmonic[part]
        x, factor = sums[step], factors[step if factors.shape[0] > 1 else 0]
        for i in range(signal.shape[0]):
            value = x[i] * factor[i]
            p[i] = value
            h[i] = signal[i] - value
