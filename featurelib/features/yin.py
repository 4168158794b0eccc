"""Fundamental frequency by YIN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from featurelib.features.base import Feature, rate
from featurelib.graph import Block, Blockwise, Operator
from featurelib.transforms.periodicity import Periodicity


@dataclass(frozen=True, kw_only=True)
class YIN(Feature):
    """Fundamental frequency of each frame of samples, not windowed.

    Equal to `librosa.yin` (de Cheveigné and Kawahara, 2002). A frame that is not periodic has
    the frequency of the least difference; see `featurelib.features.voiced`. A silent frame
    has the highest one.
    """

    family: ClassVar[str] = "yin"
    unit: ClassVar[str] = "Hz"

    periodicity: Periodicity = Periodicity()

    def definition(self, row: int | None, sr: int | None) -> str:
        node = self.periodicity
        return (
            f"fundamental frequency between {node.fmin:g} and {node.fmax:g} Hz: that of the first "
            "trough of the cumulative mean normalized difference of a frame's samples below "
            f"{node.trough_threshold:g}, or else of its minimum (YIN)"
        )

    def librosa(self, sr: int | None) -> str:
        node, frames = self.periodicity, self.periodicity.frames
        arguments = (
            f"fmin={node.fmin!r}, fmax={node.fmax!r}, sr={rate(sr)}, "
            f"frame_length={frames.n_fft}, hop_length={frames.hop_length}"
        )
        if node.trough_threshold != 0.1:
            arguments += f", trough_threshold={node.trough_threshold!r}"
        if not frames.center:
            arguments += ", center=False"
        elif frames.pad_mode != "constant":
            arguments += f", pad_mode={frames.pad_mode!r}"
        return f"librosa.yin(y, {arguments})[np.newaxis]"

    def operator(self, sr: int) -> Operator:
        return Blockwise(lambda block: Block(sr / block.x[:, :1], block.n_frames))
