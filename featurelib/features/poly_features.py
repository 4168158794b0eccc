"""Coefficients of polynomials fitted to spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import filters, kernels
from featurelib.features.base import Feature, rate, stft_arguments
from featurelib.graph import Block, Blockwise, Operator
from featurelib.parameters import parameter
from featurelib.transforms.stft import STFT


@dataclass(frozen=True, kw_only=True)
class PolyFeatures(Feature):
    """Coefficients of a polynomial in frequency, fitted to the magnitudes; highest power first.

    Equal to `librosa.feature.poly_features`.
    """

    family: ClassVar[str] = "poly_features"
    unit: ClassVar[str] = "1/Hz^i"

    stft: STFT = STFT()
    order: int = parameter(1, "order of the polynomial", ge=0, le=8)

    @property
    def width(self) -> int:
        return self.order + 1

    @property
    def has_rows(self) -> bool:
        return True

    def unit_of(self, row: int | None) -> str:
        if row is None:
            return self.unit
        power = self.order - row
        return ("1", "1/Hz")[power] if power < 2 else f"1/Hz^{power}"

    def definition(self, row: int | None, sr: int | None) -> str:
        which = "each coefficient" if row is None else f"coefficient of power {self.order - row}"
        return (
            f"{which} of the polynomial of order {self.order} in frequency [Hz] that fits a "
            "frame's magnitude spectrum by least squares"
        )

    def librosa(self, sr: int | None) -> str:
        return (
            f"librosa.feature.poly_features(y=y, sr={rate(sr)}, {stft_arguments(self.stft)}, "
            f"order={self.order})"
        )

    def operator(self, sr: int) -> Operator:
        fit = filters.polynomial_fit(sr, self.stft.frames.n_fft, self.order)

        def coefficients(block: Block) -> Block:
            out = np.empty((block.n_frames, len(fit)))
            kernels.filters.projections(block.x, fit, out)
            return Block(out, block.n_frames)

        return Blockwise(coefficients)
