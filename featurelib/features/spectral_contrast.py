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
from featurelib.features.base import Feature, as_if_at, rate, stft_arguments
from featurelib.graph import Block, Operator
from featurelib.parameters import parameter, sr_parameter
from featurelib.spill import SpillBuffer
from featurelib.transforms.stft import AMIN, STFT


@dataclass(frozen=True, kw_only=True)
class SpectralContrast(Feature):
    """Difference in dB between the peak and the valley of each band.

    Equal to `librosa.feature.spectral_contrast` (Jiang et al., 2002). Peaks and valleys are
    each limited to `top_db` below their maximum in the whole signal, so they are kept until
    its end.
    """

    family: ClassVar[str] = "spectral_contrast"
    unit: ClassVar[str] = "dB"
    realigns: ClassVar[bool] = True

    stft: STFT = STFT()
    sr: int | None = sr_parameter()
    n_bands: int = parameter(6, "octave bands above the lowest band", ge=1)
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
        sr = self.sr or sr
        if sr is None:
            return
        # 60 octaves are far above any sampling rate; more could overflow a float.
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
        sr = self.sr or sr
        where = "each band"
        if row is not None:
            edges = ["0", *(f"{self.fmin * 2.0**k:g}" for k in range(self.n_bands))]
            edges.append("half the sampling rate" if sr is None else f"{sr / 2:g}")
            where = f"{edges[row]} to {edges[row + 1]} Hz".replace("rate Hz", "rate")
        return (
            f"level of the strongest {self.quantile:g} of a frame's bins in {where} "
            f"above that of the weakest, each within {self.top_db:g} dB of its maximum in the "
            "signal; in an empty band, the contrast of float32 rounding errors" + as_if_at(self.sr)
        )

    def librosa(self, sr: int | None) -> str:
        if self.top_db != 80:  # librosa has no argument for it
            return "none"
        sr = self.sr or sr
        return (
            f"librosa.feature.spectral_contrast(y=y, sr={rate(sr)}, {stft_arguments(self.stft)}, "
            f"fmin={self.fmin:.12g}, n_bands={self.n_bands}, quantile={self.quantile:.12g})"
        )

    def spill_bytes(self) -> int:
        return 8 * self.width

    def operator(self, sr: int) -> Operator:
        return _Contrast(self, sr)


class _Contrast(Operator):
    def __init__(self, node: SpectralContrast, sr: int) -> None:
        self._top_db = node.top_db
        sr = node.sr or sr
        self._bands = band_bins(sr, node.stft.frames.n_fft, node.n_bands, node.fmin, node.quantile)
        self._extremes = SpillBuffer(2 * node.width)
        self._maxima = np.zeros(2 * node.width)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        extremes = kernels.contrast.band_extremes(block.x, *self._bands)[: block.n_frames]
        flat = extremes.reshape(len(extremes), -1)
        np.maximum(self._maxima, np.maximum.reduce(flat), out=self._maxima)
        self._extremes.append(flat)
        return ()

    def finish(self) -> Iterable[Block]:
        floors = _decibels(self._maxima.reshape(2, -1).max(axis=1, keepdims=True)) - self._top_db
        for chunk in self._extremes.chunks():
            levels = _decibels(chunk.reshape(len(chunk), 2, -1).astype(np.float64))
            np.maximum(levels, floors, out=levels)
            yield Block(levels[:, 0] - levels[:, 1], len(chunk))


@lru_cache(maxsize=16)
def band_bins(
    sr: int, n_fft: int, n_bands: int, fmin: float, quantile: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first bin, end, and number of peak bins of each band, as librosa chooses them.

    A band starts one bin below its lower edge, except the lowest band. Its topmost bin belongs
    to the next band, but counts for the number of peak bins. The highest band includes all
    bins up to sr / 2.

    Returns
    -------
    starts, stops : np.ndarray [shape=(n_bands + 1,)]
        Band i has bins [starts[i], stops[i]).
    takes : np.ndarray [shape=(n_bands + 1,)]
        Number of bins whose mean is the peak, and likewise the valley.
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
    levels = np.log10(np.maximum(power, float(AMIN)))
    levels *= 10.0
    return levels
