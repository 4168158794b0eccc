"""Mel spectra in dB."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from featurelib import filters, kernels
from featurelib.errors import SpecError
from featurelib.graph import Block, Blockwise, Node, Operator
from featurelib.parameters import parameter
from featurelib.spill import SpillBuffer
from featurelib.transforms.frames import PAD_MODES, FrameBlock
from featurelib.transforms.stft import AMIN, STFT


@dataclass(frozen=True, kw_only=True)
class Mel(Node):
    """Power in mel bands [dB], without a limit below the maximum.

    The bands are those of `librosa.filters.mel` (Slaney's mel scale and normalization).

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

    def beside(self, nodes: Collection[Node]) -> Node:
        frames = self.stft.frames
        if frames.center and frames.pad_mode == "constant":
            for mode in PAD_MODES:
                stft = replace(self.stft, frames=replace(frames, pad_mode=mode))
                other = replace(self, stft=stft)
                if other != self and other in nodes:
                    return _Repadded(mel=self, other=other)
        return self

    def bands(self, sr: int) -> Callable[[np.ndarray, int], np.ndarray]:
        """Return a function that maps spectra in lanes, and their number, to the bands' levels."""
        bank = filters.mel(sr, self.stft.frames.n_fft, self.n_mels, self.fmin, self.fmax)
        return lambda S, n_frames: kernels.filters.band_levels(S, *bank, AMIN, n_frames)

    def operator(self, sr: int) -> Operator:
        bands = self.bands(sr)
        return Blockwise(lambda block: Block(bands(block.x, block.n_frames), block.n_frames))


@dataclass(frozen=True, kw_only=True)
class _Repadded(Node):
    """`Mel` of frames that differ from another one's in the padding of the ends only."""

    mel: Mel
    other: Mel

    def inputs(self) -> tuple[Node, ...]:
        return (self.other, self.mel.stft.frames)

    def operator(self, sr: int) -> Operator:
        return _Ends(self.mel, sr)


class _Ends(Operator):
    """Replaces the levels of frames that reach into the padding."""

    def __init__(self, mel: Mel, sr: int) -> None:
        stft = mel.stft
        self._n_fft, self._hop, self._n_bins = (
            stft.frames.n_fft,
            stft.frames.hop_length,
            stft.n_bins,
        )
        self._transform = kernels.fft.transform(stft.window_values(), self._hop)
        self._bands = mel.bands(sr)
        self._others: deque[Block] = deque()
        self._ends: deque[list[tuple[int, int, np.ndarray]]] = deque()

    def push(self, block: Block, port: int) -> Iterable[Block]:
        if port == 0:
            self._others.append(block)
        else:
            frames: FrameBlock = block.x
            runs = _padded_runs(frames, self._n_fft, self._hop)
            self._ends.append([(*run, self._levels(frames.y, *run)) for run in runs])
        while self._others and self._ends:
            other, ends = self._others.popleft(), self._ends.popleft()
            levels = other.x.copy() if ends else other.x
            for start, stop, own in ends:
                levels[start:stop] = own
            yield Block(levels, other.n_frames)

    def _levels(self, y: np.ndarray, start: int, stop: int) -> np.ndarray:
        n_frames = stop - start
        S = kernels.aligned(
            (-(-n_frames // kernels.LANES), self._n_bins, kernels.LANES), np.float32
        )
        self._transform(y[start * self._hop : (stop - 1) * self._hop + self._n_fft], S)
        return self._bands(S, n_frames)


def _padded_runs(frames: FrameBlock, n_fft: int, hop_length: int) -> list[tuple[int, int]]:
    """Return first frame and end of each run of frames that reach into the padding."""
    n = frames.n_frames
    begin = min(-(-frames.low // hop_length), n)
    end = n
    if frames.high < len(frames.y):
        end = min(max((frames.high - n_fft) // hop_length + 1, 0), n)
    if begin >= end:
        return [(0, n)]
    return [run for run in ((0, begin), (end, n)) if run[0] < run[1]]


@dataclass(frozen=True, kw_only=True)
class MelDb(Node):
    """Mel spectrum in dB, limited to `top_db` below its maximum in the whole signal.

    Equal to `librosa.power_to_db` of `librosa.feature.melspectrogram`. The maximum is known
    only at the end of the signal, so the levels of all frames are kept until then. All readers
    share them.

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
