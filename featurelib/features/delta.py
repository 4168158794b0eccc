"""Delta: local slope of another feature over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from featurelib.errors import AudioError, SpecError
from featurelib.features.base import Feature
from featurelib.graph import Block, Operator
from featurelib.parameters import parameter


@dataclass(frozen=True, kw_only=True)
class Delta(Feature):
    """Savitzky-Golay derivative of another feature, as `librosa.feature.delta`.

    The slope of a frame is that of a polynomial fitted to the `delta_width` frames around it.
    At each end, the polynomial is fitted to the outermost `delta_width` frames.
    """

    family: ClassVar[str] = "delta"
    realigns: ClassVar[bool] = True

    of: Feature
    delta_width: int = parameter(9, "frames per slope; odd", ge=3, le=999)
    order: int = parameter(1, "order of the derivative and of the polynomial", ge=1, le=10)

    @property
    def unit(self) -> str:  # type: ignore[override]
        return self.unit_of(None)

    def unit_of(self, row: int | None) -> str:
        of = self.of.unit_of(row)
        per = "frame" if self.order == 1 else f"frame^{self.order}"
        return f"1/{per}" if of == "1" else f"{of}/{per}"

    @property
    def width(self) -> int:
        return self.of.width

    @property
    def has_rows(self) -> bool:
        return self.of.has_rows

    @property
    def is_quantized(self) -> bool:  # type: ignore[override]
        return self.of.is_quantized

    @property
    def is_always_pooled(self) -> bool:  # type: ignore[override]
        return self.of.is_always_pooled

    def check(self, sr: int | None) -> None:
        if self.delta_width % 2 == 0:
            raise SpecError(f"delta_width={self.delta_width} must be an odd number")
        if self.order >= self.delta_width:
            raise SpecError(f"order={self.order} must be less than delta_width={self.delta_width}")
        if self.of.is_single:
            raise SpecError(f"delta of {self.of.family!r}, which is one value and no series")

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            f"derivative of order {self.order} over {self.delta_width} frames "
            f"(Savitzky-Golay) of: {self.of.definition(row, sr)}"
        )

    def librosa(self, sr: int | None) -> str:
        of = self.of.librosa(sr)
        if of == "none":
            return "none"
        # in float32, the rounding errors of librosa's sums are larger than the tolerance
        arguments = f"width={self.delta_width}, order={self.order}"
        return f"librosa.feature.delta(np.float64({of}), {arguments})"

    def operator(self, sr: int) -> Operator:
        return _Delta(self)


@lru_cache(maxsize=16)
def _slopes(width: int, order: int) -> np.ndarray:
    """Return the matrix from `width` frames to their slopes, shape (width, width)."""
    from scipy.signal import savgol_filter

    return savgol_filter(np.eye(width), width, polyorder=order, deriv=order, axis=0, mode="interp")


class _Delta(Operator):
    def __init__(self, node: Delta) -> None:
        self._matrix = _slopes(node.delta_width, node.order)
        self._half = node.delta_width // 2
        self._latest: np.ndarray | None = None  # the last frames, at most `delta_width`
        self._has_begun = False

    def push(self, block: Block, port: int) -> Iterable[Block]:
        x = np.asarray(block.x, np.float64)
        if self._latest is not None:
            x = np.concatenate((self._latest, x))
        width, half = len(self._matrix), self._half
        if len(x) < width:
            self._latest = x.copy()
            return
        was_begun, self._has_begun = self._has_begun, True
        if not was_begun:
            yield Block(self._matrix[:half] @ x[:width], half)
        skip = 1 if was_begun else 0  # the slope at the middle of the kept frames is done
        n = len(x) - width + 1 - skip
        # Tap by tap, so that NumPy can vectorise each pass.
        middle = np.zeros((n, x.shape[1]))
        for weight, start in zip(self._matrix[half], range(width), strict=True):
            middle += weight * x[start + skip : start + skip + n]
        yield Block(middle, n)
        self._latest = x[-width:].copy()

    def finish(self) -> Iterable[Block]:
        if not self._has_begun:
            n_frames = 0 if self._latest is None else len(self._latest)
            raise AudioError(
                "too_short",
                f"delta needs at least {len(self._matrix)} frames and the signal has {n_frames}:"
                " a smaller delta_width or hop_length fits shorter files",
            )
        yield Block(self._matrix[self._half + 1 :] @ self._latest, self._half)
