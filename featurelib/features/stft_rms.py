"""Root mean square of magnitude spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.features.base import Feature, stft_arguments
from featurelib.graph import Block, Blockwise, Operator
from featurelib.transforms.stft import STFT


@dataclass(frozen=True, kw_only=True)
class STFTRMS(Feature):
    """Root mean square over the bins of the magnitude spectrum.

    Equal to `librosa.feature.rmse(S=S)` of librosa 0.5, which later versions replaced by `rms`.
    """

    family: ClassVar[str] = "stft_rms"

    stft: STFT = STFT()

    def definition(self, row: int | None, sr: int | None) -> str:
        return "root mean square over all bins of a frame's magnitude spectrum"

    def librosa(self, sr: int | None) -> str:
        S = f"np.abs(librosa.stft(y, {stft_arguments(self.stft)}))"
        return f"np.sqrt(np.mean({S} ** 2, axis=0, keepdims=True))"

    def operator(self, sr: int) -> Operator:
        n_bins = self.stft.n_bins
        starts, stops = np.array([0]), np.array([n_bins])
        weights = np.full((1, n_bins), 1 / n_bins, np.float32)

        def rms(block: Block) -> Block:
            out = np.empty((block.n_frames, 1), np.float32)
            kernels.filters.band_powers(block.x, starts, stops, weights, out)
            return Block(np.sqrt(out), block.n_frames)

        return Blockwise(rms)
