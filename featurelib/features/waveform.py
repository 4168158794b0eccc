"""Samples themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from featurelib.features.base import Feature
from featurelib.graph import Block, Blockwise, Operator, Samples, Signal


@dataclass(frozen=True, kw_only=True)
class Waveform(Feature):
    """Samples of the signal, or of its harmonic or percussive component.

    The mean and variance of the components are columns of the published GTZAN tables.
    """

    family: ClassVar[str] = "waveform"
    is_always_pooled: ClassVar[bool] = True
    population: ClassVar[str] = "samples"

    signal: Samples = Signal()

    @property
    def hop_length(self) -> int:
        return 1

    def definition(self, row: int | None, sr: int | None) -> str:
        return "values between -1 and 1, nominally"

    def librosa(self, sr: int | None) -> str:
        return "y"

    def operator(self, sr: int) -> Operator:
        return Blockwise(lambda block: Block(block.x[:, None], block.n_frames))
