"""Tonal centroids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from featurelib.errors import SpecError
from featurelib.features.base import Feature
from featurelib.graph import Block, Blockwise, Operator
from featurelib.kernels.lanes import TINY

#: Circles of the tonal space: name, steps of a semitone around it in half turns, and radius.
_CIRCLES = (("fifths", 7 / 6, 1.0), ("minor thirds", 3 / 2, 1.0), ("major thirds", 2 / 3, 0.5))


@dataclass(frozen=True, kw_only=True)
class Tonnetz(Feature):
    """Tonal centroid (Harte, Sandler and Gasser, 2006) of another entry's chroma.

    Equal to `librosa.feature.tonnetz` of the same chroma. librosa's default is of chroma_cqt,
    in its own example of that of the harmonic component.
    """

    family: ClassVar[str] = "tonnetz"

    of: Feature

    @property
    def width(self) -> int:
        return 2 * len(_CIRCLES)

    @property
    def has_rows(self) -> bool:
        return True

    @property
    def is_quantized(self) -> bool:  # type: ignore[override]
        return self.of.is_quantized

    def check(self, sr: int | None) -> None:
        if getattr(self.of, "n_chroma", None) != self.of.width:
            raise SpecError(
                f"tonnetz of {self.of.family!r}, which has no pitch classes: of = an entry of"
                " chroma_cqt, chroma_cens or chroma_stft"
            )

    def definition(self, row: int | None, sr: int | None) -> str:
        where = "on the circles of fifths, minor and major thirds (x and y of each)"
        if row is not None:
            where = f"on the circle of {_CIRCLES[row // 2][0]} ({'xy'[row % 2]})"
        return (
            f"centre of a frame's pitch classes {where}, each at its angle with a weight, the "
            f"weights adding up to 1 (0 for silence); weights are: {self.of.definition(None, sr)}"
        )

    def librosa(self, sr: int | None) -> str:
        of = self.of.librosa(sr)
        return "none" if of == "none" else f"librosa.feature.tonnetz(chroma={of})"

    def operator(self, sr: int) -> Operator:
        matrix = _circles(self.of.width)

        def centroids(block: Block) -> Block:
            sums = np.sum(np.abs(block.x), axis=1, keepdims=True, dtype=np.float64)
            weights = (block.x / np.where(sums < TINY, 1.0, sums)).astype(np.float32)
            return Block(weights @ matrix, block.n_frames)

        return Blockwise(centroids)


@lru_cache(maxsize=16)
def _circles(n_chroma: int) -> np.ndarray:
    """Return the places of pitch classes on the circles, shape (n_chroma, 6)."""
    semitones = np.arange(n_chroma) * (12 / n_chroma)
    places = [
        radius * function(np.pi * step * semitones)
        for _, step, radius in _CIRCLES
        for function in (np.sin, np.cos)
    ]
    return np.stack(places, axis=1)
