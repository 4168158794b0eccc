"""Spectral roll-off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.features.base import Feature, as_if_at, rate, stft_arguments
from featurelib.graph import Block, Blockwise, Operator
from featurelib.parameters import parameter, sr_parameter
from featurelib.transforms.stft import STFT


@dataclass(frozen=True, kw_only=True)
class SpectralRolloff(Feature):
    """Frequency below which a share of the magnitude lies.

    Equal to `librosa.feature.spectral_rolloff`.
    """

    family: ClassVar[str] = "spectral_rolloff"
    unit: ClassVar[str] = "Hz"

    stft: STFT = STFT()
    sr: int | None = sr_parameter()
    roll_percent: float = parameter(0.85, "share of the magnitude below", gt=0, lt=1)

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            "frequency of the first bin of a frame up to which the magnitudes sum to at least "
            f"{self.roll_percent:g} of their total; 0 for silence{as_if_at(self.sr)}"
        )

    def librosa(self, sr: int | None) -> str:
        sr = self.sr or sr
        return (
            f"librosa.feature.spectral_rolloff(y=y, sr={rate(sr)}, {stft_arguments(self.stft)}, "
            f"roll_percent={self.roll_percent:.12g})"
        )

    def operator(self, sr: int) -> Operator:
        fraction = np.float32(self.roll_percent)
        bin_width = np.float64((self.sr or sr) / self.stft.frames.n_fft)

        def rolloff(block: Block) -> Block:
            bins = np.empty(len(block.x) * kernels.LANES, np.float32)
            kernels.spectral.rolloff_bins(block.x, fraction, bins)
            return Block(bins[: block.n_frames, None] * bin_width, block.n_frames)

        return Blockwise(rolloff)
