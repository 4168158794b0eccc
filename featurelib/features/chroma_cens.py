"""Chroma energy normalized statistics (CENS)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from featurelib.errors import SpecError
from featurelib.features.base import Feature, cqt_chroma, rate, which_class
from featurelib.graph import Block, Operator
from featurelib.kernels.lanes import TINY
from featurelib.parameters import parameter
from featurelib.transforms.cqt import N_CLASSES, PitchClasses

#: Shares of a frame's magnitude; each one that a class exceeds counts 1/4.
_STEPS = (0.4, 0.2, 0.1, 0.05)


@dataclass(frozen=True, kw_only=True)
class ChromaCENS(Feature):
    """Chroma of the constant-Q transform, quantized, smoothed and of unit length per frame.

    Equal to `librosa.feature.chroma_cens` with the same number of bins per octave, except
    where a class lies at a step of the quantization so closely that rounding errors decide.
    """

    family: ClassVar[str] = "chroma_cens"
    realigns: ClassVar[bool] = True
    is_quantized: ClassVar[bool] = True
    n_chroma: ClassVar[int] = N_CLASSES

    classes: PitchClasses = PitchClasses()
    win_len_smooth: int = parameter(41, "frames of the smoothing window; odd", ge=1, le=9999)

    @property
    def width(self) -> int:
        return N_CLASSES

    @property
    def has_rows(self) -> bool:
        return True

    def check(self, sr: int | None) -> None:
        if self.win_len_smooth % 2 == 0:
            raise SpecError(f"win_len_smooth={self.win_len_smooth} must be an odd number")

    def definition(self, row: int | None, sr: int | None) -> str:
        cqt = self.classes.cqt
        return (
            f"share of a frame's magnitude in {which_class(row, N_CLASSES)}, in steps of 0.05, 0.1,"
            f" 0.2 and 0.4 that count 1/4 each, smoothed by a Hann window of {self.win_len_smooth} "
            "frames, over the length of the vector of all classes (0 for silence); from a "
            f"constant-Q transform ({cqt.n_octaves} octaves from C1 with {cqt.bins_per_octave} "
            "bins each) whose bins follow the tuning estimated from the signal"
        )

    def librosa(self, sr: int | None) -> str:
        more = "" if self.win_len_smooth == 41 else f", win_len_smooth={self.win_len_smooth}"
        return cqt_chroma("chroma_cens", self.classes.cqt, rate(sr), more)

    def operator(self, sr: int) -> Operator:
        return _CENS(self.win_len_smooth)


@lru_cache(maxsize=16)
def _smoothing(n: int) -> np.ndarray:
    """Return a Hann window of n + 2 samples with the sum 1, without the zeros at its ends."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, n + 1) / (n + 1))
    return window / window.sum()


class _CENS(Operator):
    """Quantizes frames and smooths them over time; needs half a window of later frames."""

    def __init__(self, win_len_smooth: int) -> None:
        self._window = _smoothing(win_len_smooth)
        self._half = win_len_smooth // 2
        # Beyond the ends of the signal is silence.
        self._latest = np.zeros((self._half, N_CLASSES))

    def push(self, block: Block, port: int) -> Iterable[Block]:
        return self._smoothed(_quantized(block.x))

    def finish(self) -> Iterable[Block]:
        return self._smoothed(np.zeros((self._half, N_CLASSES)))

    def _smoothed(self, steps: np.ndarray) -> Iterable[Block]:
        x, half = np.concatenate((self._latest, steps)), self._half
        n = max(len(x) - 2 * half, 0)
        self._latest = x[n:]
        if not n:
            return
        # Tap by tap, so that NumPy can vectorise each pass; the window is symmetric.
        total = self._window[half] * x[half : half + n]
        for i in range(half):
            total += self._window[i] * (x[i : i + n] + x[2 * half - i : 2 * half - i + n])
        total = total.astype(np.float32)  # as in librosa
        lengths = np.linalg.norm(total.astype(np.float64), axis=1, keepdims=True)
        yield Block((total / np.where(lengths < TINY, 1.0, lengths)).astype(np.float32), n)


def _quantized(x: np.ndarray) -> np.ndarray:
    """Return the quantized shares of the classes in each frame, as float64."""
    sums = x.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = (x / np.where(sums < TINY, 1.0, sums)).astype(np.float32)  # as in librosa
    return np.sum([0.25 * (shares > np.float32(step)) for step in _STEPS], axis=0)
