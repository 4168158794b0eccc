"""Deviation of a signal from A440's scale, by its spectral peaks."""

from __future__ import annotations

import numpy as np

from featurelib.kernels import peaks as kernels
from featurelib.store import FrameStore

#: Bins of the histogram of deviations.
STEPS = 100

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
    median = _height(peaks, n // 2)
    if n % 2 == 0:
        median = (_height(peaks, n // 2 - 1) + median) / np.float32(2)
    edges = np.linspace(-0.5, 0.5, STEPS + 1)
    counts = np.zeros(STEPS, np.int64)
    for chunk in peaks.chunks():
        octaves = np.log2(chunk[:, 0] / _LOWEST)
        kernels.count_deviations(octaves, chunk, median, np.float32(bins_per_octave), edges, counts)
    return float(edges[np.argmax(counts)])


def _height(peaks: FrameStore, rank: int) -> np.float32:
    """The height that `rank` others are below, or equal to."""
    prefix = known = 0
    for width in _DIGITS:
        counts = np.zeros(1 << width, np.int64)
        for chunk in peaks.chunks():
            kernels.count_digits(chunk, prefix, known, width, counts)
        below = np.cumsum(counts)
        digit = int(np.searchsorted(below, rank, side="right"))
        rank -= int(below[digit] - counts[digit])
        prefix, known = (prefix << width) | digit, known + width
    return np.uint32(prefix).view(np.float32)
