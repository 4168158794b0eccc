"""Spectral contrast: peaks over valleys in octave bands."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from featurelib import filters, kernels
from featurelib.errors import SpecError
from featurelib.features.base import Feature, rate, stft_arguments
from featurelib.graph import Block, Operator
from featurelib.parameters import parameter
from featurelib.spill import SpillBuffer
from featurelib.transforms.stft import AMIN, STFT


@dataclass(frozen=True, kw_only=True)
class SpectralContrast(Feature):
    """Difference in dB between the peak and the valley of each band.

    Both are limited to `top_db` below their own maximum in the whole signal, so peaks and
    valleys are kept until its end.
    """

    family: ClassVar[str] = "spectral_contrast"
    unit: ClassVar[str] = "dB"
    realigns: ClassVar[bool] = True

    stft: STFT = STFT()
    n_bands: int = parameter(6, "octave bands beside the lowest", ge=1)
    fmin: float = parameter(200.0, "upper edge of the lowest band [Hz]", gt=0)
    quantile: float = parameter(
        0.02, "share of a band's bins that make its peak and its valley", gt=0, lt=1
    )
    top_db: float = parameter(80.0, "range below the maximum of the signal [dB]", gt=0)

    @property
    def width(self) -> int:
        return self.n_bands + 1

    @property
    def has_rows(self) -> bool:
        return True

    def check(self, sr: int | None) -> None:
        if sr is None:
            return
        # Beyond 60 octaves there is nothing to be heard, nor a float.
        top = math.ldexp(self.fmin, min(self.n_bands - 1, 60))
        if top >= sr / 2:
            fitting = math.ceil(math.log2(sr / 2 / self.fmin))
            remedy = f"n_bands to at most {fitting}" if fitting > 0 else "fmin"
            raise SpecError(
                f"the {self.n_bands} octave bands of spectral_contrast reach above {top:g} Hz, "
                f"but sr={sr} ends at {sr / 2:g} Hz; raise sr, lower {remedy}, "
                "or leave spectral_contrast out"
            )
        n_fft = self.stft.frames.n_fft
        if sr / n_fft >= self.fmin:
            raise SpecError(
                f"n_fft={n_fft} at sr={sr} puts a bin every {sr / n_fft:g} Hz, too coarse for "
                f"the band of {self.fmin:g} Hz of spectral_contrast; raise n_fft or fmin"
            )

    def definition(self, row: int | None, sr: int | None) -> str:
        where = "each band"
        if row is not None:
            edges = ["0", *(f"{self.fmin * 2.0**k:g}" for k in range(self.n_bands))]
            edges.append("half the sampling rate" if sr is None else f"{sr / 2:g}")
            where = f"{edges[row]} to {edges[row + 1]} Hz".replace("rate Hz", "rate")
        return (
            f"level of the strongest {self.quantile:g} of a frame's bins in {where} "
            f"above that of the weakest, each within {self.top_db:g} dB of its maximum in the "
            "signal; a band that holds nothing has that of the rounding of float32 samples"
        )

    def librosa(self, sr: int | None) -> str:
        call = (
            f"librosa.feature.spectral_contrast(y=y, sr={rate(sr)}, {stft_arguments(self.stft)}, "
            f"fmin={self.fmin:g}, n_bands={self.n_bands}, quantile={self.quantile:g})"
        )
        return call if self.top_db == 80 else f"{call} with top_db={self.top_db:g} in its dB"

    def spill_bytes(self) -> int:
        return 8 * self.width

    def operator(self, sr: int) -> Operator:
        return _Contrast(self, sr)


class _Contrast(Operator):
    def __init__(self, node: SpectralContrast, sr: int) -> None:
        self._top_db = node.top_db
        self._bands = band_bins(sr, node.stft.frames.n_fft, node.n_bands, node.fmin, node.quantile)
        self._extremes = SpillBuffer(2 * node.width)
        self._maxima = np.zeros((2, 1))

    def push(self, block: Block, port: int) -> Iterable[Block]:
        extremes = kernels.contrast.band_extremes(block.x, *self._bands)[: block.n_frames]
        np.maximum(self._maxima, extremes.max(axis=(0, 2))[:, None], out=self._maxima)
        self._extremes.append(extremes.reshape(len(extremes), -1))
        return ()

    def finish(self) -> Iterable[Block]:
        floors = _decibels(self._maxima) - self._top_db
        for chunk in self._extremes.chunks():
            extremes = chunk.reshape(len(chunk), 2, -1).astype(np.float64)
            levels = np.maximum(_decibels(extremes), floors)
            yield Block(levels[:, 0] - levels[:, 1], len(chunk))


@lru_cache(maxsize=16)
def band_bins(
    sr: int, n_fft: int, n_bands: int, fmin: float, quantile: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First bin, end, and number of bins that make a peak, of each band.

    A band reaches one bin below its lower edge, except the lowest, and leaves its topmost
    bin to the next, except the highest, which reaches to the end. The topmost bin still
    counts for the number of bins that make a peak.
    """
    freqs = filters.frequencies(sr, n_fft)
    edges = [0.0, *(fmin * 2.0**k for k in range(n_bands + 1))]
    starts, stops, takes = [], [], []
    for band in range(n_bands + 1):
        last = band == n_bands
        start = int(np.searchsorted(freqs, edges[band], side="left")) - (band > 0)
        stop = len(freqs) if last else int(np.searchsorted(freqs, edges[band + 1], side="right"))
        take = max(round(quantile * (stop - start)), 1)
        stop -= not last
        takes.append(min(take, stop - start))
        starts.append(start)
        stops.append(stop)
    return np.array(starts), np.array(stops), np.array(takes)


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(power, float(AMIN)))
