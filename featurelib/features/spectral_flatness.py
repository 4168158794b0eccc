"""Spectral flatness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from featurelib import kernels
from featurelib.features.base import Feature, stft_arguments
from featurelib.graph import Block, Lockstep, Node, Operator
from featurelib.transforms.stft import AMIN, STFT, LogPower


@dataclass(frozen=True, kw_only=True)
class SpectralFlatness(Feature):
    """Geometric over arithmetic mean of the power spectrum."""

    family: ClassVar[str] = "spectral_flatness"

    stft: STFT = STFT()

    def inputs(self) -> tuple[Node, ...]:
        return (self.stft, LogPower(stft=self.stft))

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            "geometric over arithmetic mean of a frame's power spectrum, each bin at least "
            "1e-10; 1 for silence"
        )

    def librosa(self, sr: int | None) -> str:
        return f"librosa.feature.spectral_flatness(y=y, {stft_arguments(self.stft)})"

    def operator(self, sr: int) -> Operator:
        def flatness(spectra: Block, logarithms: Block) -> Block:
            values = kernels.spectral.flatness(spectra.x, logarithms.x, AMIN)[
                : spectra.n_frames, None
            ]
            return Block(values, spectra.n_frames)

        return Lockstep(flatness, 2)
