"""Spectral centroid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.features.base import Feature, as_if_at, rate, stft_arguments
from featurelib.graph import Block, Blockwise, Node, Operator
from featurelib.parameters import sr_parameter
from featurelib.transforms.stft import STFT, PowerSums


@dataclass(frozen=True, kw_only=True)
class SpectralCentroid(Feature):
    """Mean frequency, weighted by magnitude.

    Equal to `librosa.feature.spectral_centroid`.
    """

    family: ClassVar[str] = "spectral_centroid"
    unit: ClassVar[str] = "Hz"

    stft: STFT = STFT()
    sr: int | None = sr_parameter()

    def inputs(self) -> tuple[Node, ...]:
        return (PowerSums(stft=self.stft),)

    def definition(self, row: int | None, sr: int | None) -> str:
        return "mean frequency of a frame, weighted by magnitude; 0 for silence" + as_if_at(self.sr)

    def librosa(self, sr: int | None) -> str:
        sr = self.sr or sr
        arguments = stft_arguments(self.stft)
        return f"librosa.feature.spectral_centroid(y=y, sr={rate(sr)}, {arguments})"

    def operator(self, sr: int) -> Operator:
        bin_width = (self.sr or sr) / self.stft.frames.n_fft

        def centroids(block: Block) -> Block:
            values = np.empty(block.n_frames)
            kernels.spectral.centroids(block.x, bin_width, values)
            return Block(values[:, None], block.n_frames)

        return Blockwise(centroids)
