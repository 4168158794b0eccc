"""Deviation of a signal from A440's scale, by its spectral peaks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from featurelib import filters, kernels
from featurelib.graph import Block, Node, Operator
from featurelib.parameters import parameter
from featurelib.spill import SpillBuffer
from featurelib.transforms.stft import STFT

#: Range of the peaks that tell the tuning [Hz], and the least share of a frame's maximum.
_PEAK_RANGE = (150.0, 4000.0)
_PEAK_THRESHOLD = np.float32(0.1)

#: Edges of the histogram of deviations, in steps of the scale.
_EDGES = np.linspace(-0.5, 0.5, 101)

#: A0, in Hz.
_LOWEST = np.float32(440.0 / 16)

#: Digits in which numbers of 32 bits are sorted out.
_DIGITS = (11, 11, 10)


def estimate_tuning(peaks: SpillBuffer, bins_per_octave: int) -> float:
    """Most common deviation of the stronger half of spectral peaks from A440's scale.

    Parameters
    ----------
    peaks : SpillBuffer
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
    if not len(peaks):
        return 0.0
    least = _median_height(peaks)
    steps = np.float32(bins_per_octave)
    counts = np.zeros(len(_EDGES) - 1, np.int64)
    for chunk in peaks.chunks():
        octaves = np.log2(chunk[:, 0] / _LOWEST)
        kernels.peaks.count_deviations(octaves, chunk, least, steps, _EDGES, counts)
    return float(_EDGES[np.argmax(counts)])


def _median_height(peaks: SpillBuffer) -> np.float32:
    """Median of all heights, digit by digit, so that they need not be in memory together."""
    n = len(peaks)
    rank = n // 2
    prefix = known = 0
    for width in _DIGITS:
        counts = np.zeros(1 << width, np.int64)
        for chunk in peaks.chunks():
            kernels.peaks.count_height_digits(chunk, prefix, known, width, counts)
        digit, rank = kernels.peaks.digit_of_rank(counts, rank)
        prefix, known = (prefix << width) | digit, known + width
    height = np.uint32(prefix).view(np.float32)
    if n % 2 or rank > 0:  # of an even number the two in the middle may be equal
        return height
    below_it = max(kernels.peaks.largest_below(chunk, height) for chunk in peaks.chunks())
    return (below_it + height) / np.float32(2)


@dataclass(frozen=True, kw_only=True)
class EstimatedTuning(Node):
    """Deviation of a signal from A440's scale, as `librosa.estimate_tuning` has it.

    Blocks: one at the end of the signal, of no frames: the deviation as a fraction of a
    bin, within [-0.5, 0.5).
    """

    realigns: ClassVar[bool] = True

    stft: STFT = STFT()
    bins_per_octave: int = parameter(12, "steps of the scale", ge=1, le=1200)

    def spill_bytes(self) -> int:
        return 300  # about 40 peaks

    def operator(self, sr: int) -> Operator:
        return _Tuning(self, sr)


class _Tuning(Operator):
    def __init__(self, node: EstimatedTuning, sr: int) -> None:
        self._bins_per_octave = node.bins_per_octave
        self._n_fft = node.stft.frames.n_fft
        self._sr = float(sr)
        self._low, self._high = peak_bins(sr, self._n_fft)
        self._peaks = SpillBuffer(2)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        found = kernels.peaks.spectral_peaks(
            block.x,
            self._low,
            self._high,
            _PEAK_THRESHOLD,
            self._sr,
            self._n_fft,
            block.n_frames,
        )
        self._peaks.append(found)
        return ()

    def finish(self) -> Iterable[Block]:
        yield Block(estimate_tuning(self._peaks, self._bins_per_octave), 0)


@lru_cache(maxsize=16)
def peak_bins(sr: int, n_fft: int) -> tuple[int, int]:
    """First bin, and end, of those whose peaks tell the tuning."""
    freqs = filters.frequencies(sr, n_fft)
    low, high = _PEAK_RANGE
    # The last bin counts where its frequency is rounded to less than sr / 2, as in librosa.
    return (
        max(int(np.searchsorted(freqs, low)), 1),
        int(np.searchsorted(freqs, min(high, sr / 2))),
    )


def warm_up() -> None:
    """Compile the kernels that only some signals need."""
    peaks = SpillBuffer(2)
    peaks.append(np.array([[440.0, 1.0], [440.0, 2.0]], np.float32))
    _median_height(peaks)  # of an even number
