"""Tuning: deviation of a signal's spectral peaks from the scale of A440."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from featurelib import filters, kernels
from featurelib.graph import Block, Node, Operator
from featurelib.parameters import parameter, sr_parameter
from featurelib.spill import SpillBuffer
from featurelib.transforms.stft import STFT

#: Frequency range of the peaks [Hz].
_PEAK_RANGE = (150.0, 4000.0)

#: Smallest height of a peak, relative to the maximum of its frame.
_PEAK_THRESHOLD = np.float32(0.1)

#: Edges of the histogram of deviations [steps of the scale].
_EDGES = np.linspace(-0.5, 0.5, 101)

#: Frequency of A0 [Hz].
_LOWEST = np.float32(440.0 / 16)

#: Number of peaks up to which sorting finds the median of their heights faster.
_FEW_PEAKS = 4096

#: Widths [bits] of the digits by which 32-bit numbers are selected (radix selection).
_DIGITS = (11, 11, 10)


def estimate_tuning(peaks: SpillBuffer, bins_per_octave: int) -> float:
    """Return the most common deviation of spectral peaks from the scale of A440.

    The computation is in float32, as in `librosa.estimate_tuning`.

    Parameters
    ----------
    peaks : SpillBuffer
        Rows of frequency [Hz] and height. Peaks below the median height are ignored.
    bins_per_octave : int
        Steps of the scale per octave.

    Returns
    -------
    float
        Deviation as a fraction of a step, within [-0.5, 0.5); 0.0 without peaks. It is the
        lower edge of the highest bin of a histogram with bins of 0.01.
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
    """Return the median of all heights."""
    n = len(peaks)
    if n > _FEW_PEAKS or not peaks.is_in_memory:
        return _median_by_digits(peaks)
    heights = next(iter(peaks.chunks()))[:, 1]
    ordered = np.partition(heights, ((n - 1) // 2, n // 2))
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / np.float32(2)


def _median_by_digits(peaks: SpillBuffer) -> np.float32:
    """Return the median of all heights by radix selection, which reads chunk by chunk."""
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
    if n % 2 or rank > 0:  # rank > 0: the two middle values are equal
        return height
    below_it = max(kernels.peaks.largest_below(chunk, height) for chunk in peaks.chunks())
    return (below_it + height) / np.float32(2)


@dataclass(frozen=True, kw_only=True)
class EstimatedTuning(Node):
    """Deviation of a signal from the scale of A440, equal to `librosa.estimate_tuning`.

    librosa's chroma of the STFT uses the peaks of power; its constant-Q transform those of
    magnitude, as `librosa.estimate_tuning` of samples does.

    Blocks: one block at the end of the signal, without frames. `Block.x` is the deviation as
    a fraction of a step, within [-0.5, 0.5).
    """

    realigns: ClassVar[bool] = True

    stft: STFT = STFT()
    bins_per_octave: int = parameter(12, "steps of the scale", ge=1, le=1200)
    sr: int | None = sr_parameter()
    power: int = parameter(2, "1 for peaks of magnitude, 2 for peaks of power", ge=1, le=2)

    def spill_bytes(self) -> int:
        return 300  # about 40 peaks

    def operator(self, sr: int) -> Operator:
        return _Tuning(self, sr)


class _Tuning(Operator):
    def __init__(self, node: EstimatedTuning, sr: int) -> None:
        sr = node.sr or sr
        self._bins_per_octave = node.bins_per_octave
        self._n_fft = node.stft.frames.n_fft
        self._sr = float(sr)
        self._low, self._high = peak_bins(sr, self._n_fft)
        self._is_squared = node.power == 2
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
            self._is_squared,
        )
        self._peaks.append(found)
        return ()

    def finish(self) -> Iterable[Block]:
        yield Block(estimate_tuning(self._peaks, self._bins_per_octave), 0)


@lru_cache(maxsize=16)
def peak_bins(sr: int, n_fft: int) -> tuple[int, int]:
    """Return first bin and end of the bins that are searched for peaks."""
    freqs = filters.frequencies(sr, n_fft)
    low, high = _PEAK_RANGE
    # As in librosa, the last bin counts only if its frequency is rounded to less than sr / 2.
    return (
        max(int(np.searchsorted(freqs, low)), 1),
        int(np.searchsorted(freqs, min(high, sr / 2))),
    )


def warm_up() -> None:
    """Compile the kernels that are used for some signals only."""
    peaks = SpillBuffer(2)
    peaks.append(np.array([[440.0, 1.0], [440.0, 2.0]], np.float32))
    _median_by_digits(peaks)  # an even number of peaks needs all kernels
