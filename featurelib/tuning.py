"""Deviation of a signal from A440's scale, by its spectral peaks."""

from __future__ import annotations

import numpy as np

from featurelib.kernels import peaks as kernels
from featurelib.store import FrameStore

#: Edges of the histogram of deviations, in steps of the scale.
_EDGES = np.linspace(-0.5, 0.5, 101)

#: A0, in Hz.
_LOWEST = np.float32(440.0 / 16)

#: Digits in which numbers of 32 bits are sorted out.
_DIGITS = (11, 11, 10)


def estimate_tuning(peaks: FrameStore, bins_per_octave: int) -> float:
    """Most common deviation of the stronger half of spectral peaks from A440's scale.

    Parameters
    ----------
    peaks : FrameStore
        Rows of frequency [Hz] and height; those of at least the median height count.
    bins_per_octave : int
        Steps of the scale.

    Returns
    -------
    float
        Lower edge of the fullest bin of a histogram in hundredths of a step, within
        [-0.5, 0.5); 0.0 without any peak. The arithmetic is in float32, as in
        `librosa.estimate_tuning`.
    """
    n = sum(map(len, peaks.chunks()))
    if n == 0:
        return 0.0
    least = _median_height(peaks, n)
    steps = np.float32(bins_per_octave)
    counts = np.zeros(len(_EDGES) - 1, np.int64)
    for chunk in peaks.chunks():
        octaves = np.log2(chunk[:, 0] / _LOWEST)
        kernels.count_deviations(octaves, chunk, least, steps, _EDGES, counts)
    return float(_EDGES[np.argmax(counts)])


def _median_height(peaks: FrameStore, n: int) -> np.float32:
    """Median of all heights, digit by digit, so that they need not be in memory together."""
    rank = n // 2
    prefix = known = 0
    for width in _DIGITS:
        counts = np.zeros(1 << width, np.int64)
        for chunk in peaks.chunks():
            kernels.count_digits(chunk, prefix, known, width, counts)
        digit, rank = kernels.digit_of_rank(counts, rank)
        prefix, known = (prefix << width) | digit, known + width
    height = np.uint32(prefix).view(np.float32)
    below_it = max(kernels.largest_below(chunk, height) for chunk in peaks.chunks())
    if n % 2 or rank > 0:  # of an even number the two in the middle may be equal
        return height
    return (below_it + height) / np.float32(2)
