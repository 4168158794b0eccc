"""Onset strength."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.features.base import Feature, rate
from featurelib.features.melspectrogram import melspectrogram_call
from featurelib.graph import Block, Operator
from featurelib.parameters import parameter
from featurelib.transforms.mel import MelDb

#: Ways to take the mel bands together.
AGGREGATES = ("mean", "median")


@dataclass(frozen=True, kw_only=True)
class OnsetStrength(Feature):
    """Rise of the mel spectrum in dB since the frame before, over all bands.

    Equal to `librosa.onset.onset_strength`, with its delay by n_fft // (2 * hop_length) frames.
    The first frames are 0.
    """

    family: ClassVar[str] = "onset_strength"
    unit: ClassVar[str] = "dB"

    mel: MelDb = MelDb()
    aggregate: str = parameter("mean", "how the bands are taken together", choices=AGGREGATES)

    @property
    def delay(self) -> int:
        """Number of frames by which the values are late."""
        frames = self.mel.mel.stft.frames
        return frames.n_fft // (2 * frames.hop_length)

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            f"{self.aggregate} over {self.mel.mel.n_mels} mel bands of the rise of the level [dB]"
            f" since the frame before (0 where it falls), {self.delay} frames late"
        )

    def librosa(self, sr: int | None) -> str:
        return f"{self.librosa_envelope(sr)}[np.newaxis]"

    def librosa_envelope(self, sr: int | None) -> str:
        """Return the librosa call that gives the values of all frames, shape (n_frames,)."""
        frames = self.mel.mel.stft.frames
        S = melspectrogram_call(self.mel.mel, sr)
        top_db = "" if self.mel.top_db == 80 else f", top_db={self.mel.top_db:.12g}"
        return (
            f"librosa.onset.onset_strength(S=librosa.power_to_db({S}{top_db}), sr={rate(sr)}, "
            f"n_fft={frames.n_fft}, hop_length={frames.hop_length}, "
            f"aggregate=np.{self.aggregate})"
        )

    def operator(self, sr: int) -> Operator:
        return _Rises(self)


class _Rises(Operator):
    def __init__(self, node: OnsetStrength) -> None:
        rhythm = kernels.rhythm
        self._rises = rhythm.mean_rises if node.aggregate == "mean" else rhythm.median_rises
        self._before: np.ndarray | None = None
        self._late = np.zeros(node.delay, np.float32)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        levels = block.x
        rises = np.empty(len(levels), np.float32)
        before = levels[0].copy() if self._before is None else self._before
        self._rises(levels, before, rises)
        self._before = levels[-1].copy()
        rises = np.concatenate((self._late, rises))
        self._late = rises[len(levels) :]
        return (Block(rises[: len(levels), None], len(levels)),)
