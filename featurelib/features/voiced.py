"""Voiced frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from featurelib.features.base import Feature
from featurelib.graph import Block, Blockwise, Operator
from featurelib.transforms.periodicity import Periodicity


@dataclass(frozen=True, kw_only=True)
class Voiced(Feature):
    """Whether each frame is periodic: 1.0 or 0.0, so that the mean is the share of such frames.

    A frame is periodic if YIN's cumulative mean normalized difference has a trough below a
    threshold (de Cheveigné and Kawahara, 2002). librosa does not return this.
    """

    family: ClassVar[str] = "voiced"

    periodicity: Periodicity = Periodicity()

    def definition(self, row: int | None, sr: int | None) -> str:
        node = self.periodicity
        return (
            "1 where the cumulative mean normalized difference of a frame's samples has a trough "
            f"below {node.trough_threshold:g} at the lag of a frequency between {node.fmin:g} and "
            f"{node.fmax:g} Hz, else 0 (periodic frames, by YIN)"
        )

    def operator(self, sr: int) -> Operator:
        return Blockwise(lambda block: Block(block.x[:, 1:], block.n_frames))
