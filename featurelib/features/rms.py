"""Root mean square of the samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.features.base import Feature
from featurelib.graph import Block, Blockwise, Operator
from featurelib.transforms.frames import Frames


@dataclass(frozen=True, kw_only=True)
class RMS(Feature):
    """Root mean square of each frame of samples, not windowed."""

    family: ClassVar[str] = "rms"

    frames: Frames = Frames()

    def definition(self, row: int | None, sr: int | None) -> str:
        return "root mean square of the samples of a frame"

    def librosa(self, sr: int | None) -> str:
        frames = self.frames
        arguments = f"frame_length={frames.n_fft}, hop_length={frames.hop_length}"
        if not frames.center:
            arguments += ", center=False"
        elif frames.pad_mode != "constant":
            arguments += f", pad_mode={frames.pad_mode!r}"
        return f"librosa.feature.rms(y=y, {arguments})"

    def operator(self, sr: int) -> Operator:
        n_fft, hop_length = self.frames.n_fft, self.frames.hop_length

        def rms(block: Block) -> Block:
            values = np.empty(block.n_frames)
            kernels.samples.frame_rms(block.x.y, n_fft, hop_length, values)
            return Block(values[:, None], block.n_frames)

        return Blockwise(rms)
