"""Spectral bandwidth of any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.features.base import Feature, as_if_at, rate, stft_arguments
from featurelib.graph import Block, Blockwise, Lockstep, Node, Operator
from featurelib.parameters import parameter, sr_parameter
from featurelib.transforms.stft import STFT, PowerSums


@dataclass(frozen=True, kw_only=True)
class SpectralBandwidth(Feature):
    """Moment of order p of frequency around the centroid, weighted by magnitude.

    Equal to `librosa.feature.spectral_bandwidth`.
    """

    family: ClassVar[str] = "spectral_bandwidth"
    unit: ClassVar[str] = "Hz"

    stft: STFT = STFT()
    sr: int | None = sr_parameter()
    p: float = parameter(2.0, "order of the moment", gt=0, le=32)

    def inputs(self) -> tuple[Node, ...]:
        sums = PowerSums(stft=self.stft)
        # The second moment follows from the sums alone.
        return (sums,) if self.p == 2 else (self.stft, sums)

    def definition(self, row: int | None, sr: int | None) -> str:
        if self.p == 2:
            return (
                "root of a frame's mean squared distance from its spectral centroid, "
                "weighted by magnitude; 0 for silence" + as_if_at(self.sr)
            )
        return (
            f"root of order {self.p:g} of a frame's mean distance from its spectral centroid to "
            f"the power of {self.p:g}, weighted by magnitude; 0 for silence{as_if_at(self.sr)}"
        )

    def librosa(self, sr: int | None) -> str:
        sr = self.sr or sr
        arguments = stft_arguments(self.stft)
        if self.p != 2:
            arguments += f", p={self.p:.12g}"
        return f"librosa.feature.spectral_bandwidth(y=y, sr={rate(sr)}, {arguments})"

    def operator(self, sr: int) -> Operator:
        bin_width = (self.sr or sr) / self.stft.frames.n_fft
        p = self.p

        def bandwidths(sums: Block) -> Block:
            values = np.empty(sums.n_frames)
            kernels.spectral.bandwidths(sums.x, bin_width, values)
            return Block(values[:, None], sums.n_frames)

        def bandwidths_of_order(spectra: Block, sums: Block) -> Block:
            if p.is_integer():
                values = kernels.spectral.bandwidths_of_whole_order(
                    spectra.x, sums.x, int(p), bin_width
                )
            else:
                values = kernels.spectral.bandwidths_of_order(spectra.x, sums.x, p, bin_width)
            return Block(values[:, None], spectra.n_frames)

        return Blockwise(bandwidths) if p == 2 else Lockstep(bandwidths_of_order, 2)
