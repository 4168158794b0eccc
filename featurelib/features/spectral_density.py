"""Power spectral density in bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import filters, kernels
from featurelib.errors import SpecError
from featurelib.features.base import Feature, rate, stft_arguments
from featurelib.graph import Block, Blockwise, Operator
from featurelib.parameters import parameter
from featurelib.transforms.stft import STFT


@dataclass(frozen=True, kw_only=True)
class SpectralDensity(Feature):
    """Power spectral density in bands of equal width in mel.

    Its mean over frames is Welch's estimate: with ``center = false``, that of
    `scipy.signal.welch` with ``detrend=False`` and the same window and hop, averaged over the
    bins of each band.

    Bands are equally wide on Slaney's mel scale: linear up to 1 kHz, logarithmic above. So
    the lowest bands still hold several bins, where octave bands would be empty.
    """

    family: ClassVar[str] = "spectral_density"
    unit: ClassVar[str] = "1/Hz"

    stft: STFT = STFT()
    n_bands: int = parameter(40, "bands", ge=1, le=8192)
    fmin: float = parameter(0.0, "lower edge of the lowest band [Hz]", ge=0)
    fmax: float | None = parameter(
        None, "upper edge of the highest band [Hz]; half the rate if not given", gt=0
    )

    @property
    def width(self) -> int:
        return self.n_bands

    @property
    def has_rows(self) -> bool:
        return True

    def check(self, sr: int | None) -> None:
        if self.fmax is not None and self.fmin >= self.fmax:
            raise SpecError(f"fmin={self.fmin:g} must be less than fmax={self.fmax:g}")
        if sr is None:
            return
        if self.fmin >= sr / 2:
            raise SpecError(f"fmin={self.fmin:g} must be less than half of sr={sr}")
        if self.fmax is not None and self.fmax > sr / 2:
            raise SpecError(f"fmax={self.fmax:g} must be at most half of sr={sr}")
        starts, stops, _ = self._bands(sr)
        empty = np.flatnonzero(starts == stops)
        if len(empty):
            low, high = self._edges(sr)[empty[0] : empty[0] + 2]
            raise SpecError(
                f"n_bands={self.n_bands}: no bin lies in band {empty[0] + 1}, {low:.0f} to "
                f"{high:.0f} Hz: fewer bands or a larger n_fft={self.stft.frames.n_fft}"
            )

    def _edges(self, sr: int) -> np.ndarray:
        return filters.mel_edges(
            self.n_bands, self.fmin, sr / 2 if self.fmax is None else self.fmax
        )

    def _bands(self, sr: int) -> filters.SparseBank:
        n_fft = self.stft.frames.n_fft
        return filters.mel_bands(sr, n_fft, self.n_bands, self.fmin, self.fmax)

    def definition(self, row: int | None, sr: int | None) -> str:
        which = f"each of {self.n_bands} bands"
        if row is not None:
            which = f"band {row + 1} of {self.n_bands}"
            if sr is not None:
                low, high = self._edges(sr)[row : row + 2]
                which += f" ({low:.0f} to {high:.0f} Hz)"
        return (
            f"mean power spectral density of a frame in {which}; bands are equally wide in mel "
            "(Slaney); the density is one-sided, of the samples without a unit"
        )

    def librosa(self, sr: int | None) -> str:
        if sr is None:
            return "none"  # the bins of a band depend on the rate
        starts, stops, _ = self._bands(sr)
        bounds = [*starts.tolist(), int(stops[-1])]
        used = f"({density_call(self.stft, sr)})[:{bounds[-1]}]"
        sums = f"np.add.reduceat({used}, {bounds[:-1]}, axis=0)"
        return f"({sums} / np.diff({bounds})[:, np.newaxis])"

    def operator(self, sr: int) -> Operator:
        starts, stops, means = self._bands(sr)
        weights = (means * self.stft.density_scales(sr)).astype(np.float32)

        def densities(block: Block) -> Block:
            out = np.empty((block.n_frames, self.n_bands), np.float32)
            kernels.filters.band_powers(block.x, starts, stops, weights, out)
            return Block(out, block.n_frames)

        return Blockwise(densities)


def density_call(stft: STFT, sr: int | None) -> str:
    """Return an expression with librosa that gives the power spectral density."""
    energy = np.sum(stft.window_values() ** 2)
    return (
        f"np.abs(librosa.stft(y, {stft_arguments(stft)})) ** 2 "
        f"* np.r_[1, np.full({stft.n_bins - 2}, 2), 1][:, np.newaxis] "
        f"/ ({energy:.15g} * {rate(sr)})"
    )
