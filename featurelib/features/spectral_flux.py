"""Spectral flux."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.features.base import Feature
from featurelib.graph import Block, Lockstep, Node, Operator
from featurelib.transforms.stft import STFT, PowerSums


@dataclass(frozen=True, kw_only=True)
class SpectralFlux(Feature):
    """Distance between successive normalized spectra; the first frame has none."""

    family: ClassVar[str] = "spectral_flux"
    realigns: ClassVar[bool] = True

    stft: STFT = STFT()

    def inputs(self) -> tuple[Node, ...]:
        return (self.stft, PowerSums(stft=self.stft))

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            "Euclidean length of the difference between the magnitude spectra of a frame and "
            "the one before, each divided by its sum (a silent frame's stays all zero); the "
            "first frame is left out; 0 for a single frame"
        )

    def operator(self, sr: int) -> Operator:
        return Lockstep(_Flux(), 2)


class _Flux:
    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._total_before = 0.0

    def __call__(self, spectra: Block, sums: Block) -> Block:
        S, totals = spectra.x, sums.x[0]
        before = self._before
        is_first = before is None
        if before is None:
            before = np.zeros(S.shape[1], np.float32)
        values = kernels.spectral.flux(S, totals, before, self._total_before)[int(is_first) :]
        self._before = kernels.spectral.spectrum_of(S, spectra.n_frames - 1)
        self._total_before = float(totals[-1])
        return Block(values[:, None], len(values))
