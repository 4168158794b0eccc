"""Spectral contrast: peaks over valleys in octave bands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from featurelib import banks
from featurelib.descriptors.base import Descriptor, stft_arguments
from featurelib.kernels import contrast
from featurelib.spec import FeatureSpec
from featurelib.spectrum import AMIN, SpectrumBlock
from featurelib.store import FrameStore


class SpectralContrast(Descriptor):
    """Difference in dB between the peak and the valley of each band.

    Both are limited to `top_db` below their own maximum in the whole signal, so peaks and
    valleys are kept until its end.
    """

    family = "spectral_contrast"
    unit = "dB"

    @classmethod
    def n_rows(cls, spec: FeatureSpec) -> int:
        return spec.n_bands + 1

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        edges = [0.0, *(spec.contrast_fmin * 2.0**k for k in range(spec.n_bands)), spec.sr / 2]
        where = "each band" if row is None else f"{edges[row]:g} to {edges[row + 1]:g} Hz"
        return (
            f"level of the strongest {spec.contrast_quantile:g} of a frame's bins in {where} "
            f"above that of the weakest, each within {spec.top_db:g} dB of its maximum in the "
            "file; a band that holds nothing has that of the rounding of float32 samples"
        )

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        call = (
            f"librosa.feature.spectral_contrast(y=y, sr={spec.sr}, {stft_arguments(spec)}, "
            f"fmin={spec.contrast_fmin:g}, n_bands={spec.n_bands}, "
            f"quantile={spec.contrast_quantile:g})"
        )
        return call if spec.top_db == 80 else f"{call} with top_db={spec.top_db:g} in its dB"

    def __init__(self, spec: FeatureSpec) -> None:
        self._top_db = spec.top_db
        self._starts, self._stops, self._takes = band_bins(spec)
        self._store = FrameStore(2 * (spec.n_bands + 1))
        self._maxima = np.zeros((2, 1))

    def update(self, block: SpectrumBlock) -> np.ndarray:
        extremes = contrast.band_extremes(block.S, self._starts, self._stops, self._takes)
        extremes = extremes[: block.n_frames]
        np.maximum(self._maxima, extremes.max(axis=(0, 2))[:, None], out=self._maxima)
        self._store.append(extremes.reshape(len(extremes), -1))
        return np.empty((0, len(self._takes)))

    def finish(self) -> Iterator[np.ndarray]:
        floors = _decibels(self._maxima) - self._top_db
        for chunk in self._store.chunks():
            extremes = chunk.reshape(len(chunk), 2, -1).astype(np.float64)
            levels = np.maximum(_decibels(extremes), floors)
            yield levels[:, 0] - levels[:, 1]


@lru_cache(maxsize=8)
def band_bins(spec: FeatureSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First bin, end, and number of bins that make a peak, of each band.

    A band reaches one bin below its lower edge, except the lowest, and leaves its topmost
    bin to the next, except the highest, which reaches to the end. The topmost bin still
    counts for the number of bins that make a peak.
    """
    freqs = banks.frequencies(spec.sr, spec.n_fft)
    edges = [0.0, *(spec.contrast_fmin * 2.0**k for k in range(spec.n_bands + 1))]
    starts, stops, takes = [], [], []
    for band in range(spec.n_bands + 1):
        last = band == spec.n_bands
        start = int(np.searchsorted(freqs, edges[band], side="left")) - (band > 0)
        stop = len(freqs) if last else int(np.searchsorted(freqs, edges[band + 1], side="right"))
        take = max(round(spec.contrast_quantile * (stop - start)), 1)
        stop -= not last
        takes.append(min(take, stop - start))
        starts.append(start)
        stops.append(stop)
    return np.array(starts), np.array(stops), np.array(takes)


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(power, float(AMIN)))
