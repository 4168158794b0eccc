"""Tuning of the whole signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib.features.base import Feature, rate, stft_arguments
from featurelib.graph import Block, Blockwise, Node, Operator
from featurelib.parameters import parameter
from featurelib.transforms.stft import STFT
from featurelib.transforms.tuning import EstimatedTuning


@dataclass(frozen=True, kw_only=True)
class Tuning(Feature):
    """Deviation of the signal from A440's scale: one value for the whole signal.

    Equal to `librosa.estimate_tuning`.
    """

    family: ClassVar[str] = "tuning"
    is_single: ClassVar[bool] = True

    stft: STFT = STFT()
    bins_per_octave: int = parameter(12, "steps of the scale", ge=1, le=1200)

    def inputs(self) -> tuple[Node, ...]:
        return (EstimatedTuning(stft=self.stft, bins_per_octave=self.bins_per_octave),)

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            "deviation of the signal's spectral peaks from the scale of A440, as a fraction of "
            f"one of {self.bins_per_octave} steps an octave, within [-0.5, 0.5)"
        )

    def librosa(self, sr: int | None) -> str:
        stft = f"np.abs(librosa.stft(y, {stft_arguments(self.stft)}))"
        return (
            f"librosa.estimate_tuning(S={stft} ** 2, sr={rate(sr)}, "
            f"n_fft={self.stft.frames.n_fft}, bins_per_octave={self.bins_per_octave})"
        )

    def operator(self, sr: int) -> Operator:
        return Blockwise(lambda block: Block(np.array([[block.x]]), 1))
