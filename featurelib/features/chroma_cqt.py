"""Chroma of the constant-Q transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from featurelib import kernels
from featurelib.features.base import Feature, cqt_chroma, rate, which_class
from featurelib.graph import Block, Blockwise, Operator
from featurelib.transforms.cqt import N_CLASSES, PitchClasses


@dataclass(frozen=True, kw_only=True)
class ChromaCQT(Feature):
    """Magnitude in each pitch class of the constant-Q transform, relative to the strongest.

    Equal to `librosa.feature.chroma_cqt` with the same number of bins per octave; librosa's
    default is 36.
    """

    family: ClassVar[str] = "chroma_cqt"
    n_chroma: ClassVar[int] = N_CLASSES

    classes: PitchClasses = PitchClasses()

    @property
    def width(self) -> int:
        return N_CLASSES

    @property
    def has_rows(self) -> bool:
        return True

    def definition(self, row: int | None, sr: int | None) -> str:
        cqt = self.classes.cqt
        return (
            f"magnitude of a constant-Q transform ({cqt.n_octaves} octaves from C1 with "
            f"{cqt.bins_per_octave} bins each) in {which_class(row, N_CLASSES)}, over that of its "
            "strongest class (0 for silence); bins follow the tuning estimated from the signal"
        )

    def librosa(self, sr: int | None) -> str:
        return cqt_chroma("chroma_cqt", self.classes.cqt, rate(sr))

    def operator(self, sr: int) -> Operator:
        return Blockwise(
            lambda block: Block(kernels.filters.relative_to_strongest(block.x), block.n_frames)
        )
