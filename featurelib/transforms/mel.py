"""Mel spectra in dB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import filters, kernels
from featurelib.errors import SpecError
from featurelib.graph import Block, Blockwise, Node, Operator
from featurelib.parameters import parameter
from featurelib.spill import SpillBuffer
from featurelib.transforms.stft import AMIN, STFT


@dataclass(frozen=True, kw_only=True)
class Mel(Node):
    """Power in mel bands [dB], with no limit below the maximum.

    The bands are those of `librosa.filters.mel` (Slaney's scale and normalization).

    Blocks: shape (n_frames, n_mels), float32.
    """

    stft: STFT = STFT()
    n_mels: int = parameter(128, "mel bands", ge=1, le=8192)
    fmin: float = parameter(0.0, "lower edge of the lowest band [Hz]", ge=0)
    fmax: float | None = parameter(
        None, "upper edge of the highest band [Hz]; half the rate if not given", gt=0
    )

    def check(self, sr: int | None) -> None:
        if self.fmax is not None and self.fmin >= self.fmax:
            raise SpecError(f"fmin={self.fmin:g} must be less than fmax={self.fmax:g}")
        if sr is not None and self.fmin >= sr / 2:
            raise SpecError(f"fmin={self.fmin:g} must be less than half of sr={sr}")

    def operator(self, sr: int) -> Operator:
        bank = filters.mel(sr, self.stft.frames.n_fft, self.n_mels, self.fmin, self.fmax)
        return Blockwise(
            lambda block: Block(
                kernels.filters.band_levels(block.x, *bank, AMIN, block.n_frames), block.n_frames
            )
        )


@dataclass(frozen=True, kw_only=True)
class MelDb(Node):
    """Mel spectra within `top_db` of their maximum in the whole signal.

    As `librosa.power_to_db` of a mel spectrogram. The maximum is known at the end of the
    signal, so the levels of all frames are kept until then, once for all readers.

    Blocks: shape (n_frames, n_mels), float32.
    """

    realigns: ClassVar[bool] = True

    mel: Mel = Mel()
    top_db: float = parameter(80.0, "range below the maximum of the signal [dB]", gt=0)

    def spill_bytes(self) -> int:
        return 4 * self.mel.n_mels

    def operator(self, sr: int) -> Operator:
        return _MelDb(self)


class _MelDb(Operator):
    def __init__(self, node: MelDb) -> None:
        self._top_db = np.float32(node.top_db)
        self._maximum = np.float32(-np.inf)
        self._levels = SpillBuffer(node.mel.n_mels)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        self._maximum = max(self._maximum, block.x.max())
        self._levels.append(block.x)
        return ()

    def finish(self) -> Iterable[Block]:
        floor = self._maximum - self._top_db
        for levels in self._levels.chunks():
            yield Block(np.maximum(levels, floor), len(levels))
