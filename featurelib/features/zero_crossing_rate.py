"""Zero crossings of the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.features.base import Feature
from featurelib.graph import Block, Blockwise, Operator
from featurelib.transforms.frames import Frames


@dataclass(frozen=True, kw_only=True)
class ZeroCrossingRate(Feature):
    """Share of the samples of each frame at which the sign changes."""

    family: ClassVar[str] = "zero_crossing_rate"
    unit: ClassVar[str] = "1/sample"

    frames: Frames = Frames()

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            "share of the samples of a frame whose sign differs from the sample before "
            "(within 1e-10 of zero counts as positive; ends padded with the edge value)"
        )

    def librosa(self, sr: int | None) -> str:
        frames = self.frames
        center = "" if frames.center else ", center=False"
        return (
            "librosa.feature.zero_crossing_rate(y, "
            f"frame_length={frames.n_fft}, hop_length={frames.hop_length}{center})"
        )

    def operator(self, sr: int) -> Operator:
        n_fft, hop_length = self.frames.n_fft, self.frames.hop_length

        def rates(block: Block) -> Block:
            frames = block.x
            values = np.empty(block.n_frames)
            kernels.samples.crossing_rates(
                frames.y, frames.low, frames.high, n_fft, hop_length, values
            )
            return Block(values[:, None], block.n_frames)

        return Blockwise(rates)
