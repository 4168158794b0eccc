"""Chroma: power by pitch class, tuned to the signal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import filters, kernels
from featurelib.features.base import Feature, as_if_at, rate, stft_arguments, which_class
from featurelib.graph import Block, Node, Operator
from featurelib.parameters import parameter, sr_parameter
from featurelib.spill import SpillBuffer
from featurelib.transforms.stft import STFT
from featurelib.transforms.tuning import EstimatedTuning

#: Bytes of spectra that are kept in memory: 4096 frames of 2048 samples.
_WHOLE_BYTES = 4096 * 1025 * 4


@dataclass(frozen=True, kw_only=True)
class ChromaSTFT(Feature):
    """Power in each pitch class, relative to the strongest of the frame.

    Equal to `librosa.feature.chroma_stft`. The filters depend on the tuning, which is known
    only at the end of the signal, so the spectra are kept until then.
    """

    family: ClassVar[str] = "chroma_stft"
    realigns: ClassVar[bool] = True

    stft: STFT = STFT()
    sr: int | None = sr_parameter()
    n_chroma: int = parameter(12, "pitch classes", ge=1, le=1200)

    @property
    def width(self) -> int:
        return self.n_chroma

    @property
    def has_rows(self) -> bool:
        return True

    def inputs(self) -> tuple[Node, ...]:
        return (
            self.stft,
            EstimatedTuning(stft=self.stft, bins_per_octave=self.n_chroma, sr=self.sr),
        )

    def definition(self, row: int | None, sr: int | None) -> str:
        return (
            f"power of a frame in {which_class(row, self.n_chroma)}, over that of its strongest "
            "class (0 for silence); pitch classes follow the tuning estimated from the signal"
            f"{as_if_at(self.sr)}"
        )

    def librosa(self, sr: int | None) -> str:
        sr = self.sr or sr
        return (
            f"librosa.feature.chroma_stft(y=y, sr={rate(sr)}, {stft_arguments(self.stft)}, "
            f"n_chroma={self.n_chroma})"
        )

    def spill_bytes(self) -> int:
        return 4 * self.stft.n_bins

    def operator(self, sr: int) -> Operator:
        return _Chroma(self, sr)


class _Chroma(Operator):
    """Keeps spectra (port 0) until the tuning (port 1) is known, then computes chroma."""

    def __init__(self, node: ChromaSTFT, sr: int) -> None:
        self._axis = (node.sr or sr, node.stft.frames.n_fft, node.n_chroma)
        self._n_values = node.stft.n_bins * kernels.LANES
        self._tuning = 0.0
        self._spectra: list[Block] = []  # no copy: STFT does not reuse the memory
        self._spilled: SpillBuffer | None = None
        self._n_frames = self._n_bytes = 0

    def push(self, block: Block, port: int) -> Iterable[Block]:
        if port == 1:
            self._tuning = block.x
            return ()
        self._spectra.append(block)
        self._n_frames += block.n_frames
        self._n_bytes += block.x.nbytes
        if self._n_bytes > _WHOLE_BYTES:
            self._spill()
        return ()

    def _spill(self) -> None:
        if self._spilled is None:
            self._spilled = SpillBuffer(self._n_values)
        for S, _ in self._spectra:
            self._spilled.append(S.reshape(len(S), -1))
        self._spectra.clear()

    def finish(self) -> Iterable[Block]:
        bank = filters.chroma(*self._axis, self._tuning)
        if self._spilled is None:
            parts = [kernels.filters.filtered(S, bank, n_frames) for S, n_frames in self._spectra]
            if parts:
                yield _relative(parts[0] if len(parts) == 1 else np.concatenate(parts))
            return
        n_left = self._n_frames  # only the last batch of all can have lanes of no frame
        for chunk in self._spilled.chunks():
            n_frames = min(len(chunk) * kernels.LANES, n_left)
            n_left -= n_frames
            yield _relative(
                kernels.filters.filtered(
                    chunk.reshape(len(chunk), -1, kernels.LANES), bank, n_frames
                )
            )


def _relative(power: np.ndarray) -> Block:
    return Block(kernels.filters.relative_to_strongest(power), len(power))
