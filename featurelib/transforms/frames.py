"""Framing: from samples in pieces of any length to blocks of overlapping frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from featurelib.errors import AudioError, SpecError
from featurelib.graph import Block, Node, Operator, Signal
from featurelib.parameters import parameter

#: Frames per block; it does not change values.
BLOCK_FRAMES = 64

#: Modes of `numpy.pad` that depend only on values near the edge.
PAD_MODES = ("constant", "edge", "reflect")


class FrameBlock(NamedTuple):
    """Consecutive overlapping frames, stored as one range of padded samples.

    Attributes
    ----------
    y : np.ndarray [shape=((n_frames - 1) * hop_length + n_fft,), dtype=float32]
        Samples. Frame t is y[t * hop_length : t * hop_length + n_fft]. The next block reuses
        the memory.
    n_frames : int
        Number of frames.
    low, high : int
        y[low:high] belongs to the signal; the rest is padding.
    """

    y: np.ndarray
    n_frames: int
    low: int
    high: int


class Framer:
    """Cuts a signal that arrives in pieces into blocks of frames, padded at both ends.

    Parameters
    ----------
    n_fft, hop_length : int
        Length of a frame, and distance between frames [samples].
    pad : int
        Samples of padding at each end.
    pad_mode : str
        One of `PAD_MODES`.
    block_frames : int
        Most frames per block.
    """

    def __init__(
        self, *, n_fft: int, hop_length: int, pad: int, pad_mode: str, block_frames: int
    ) -> None:
        self._n_fft = n_fft
        self._hop = hop_length
        self._pad = pad
        self._mode = pad_mode
        self._buffer = np.empty((block_frames - 1) * hop_length + n_fft, np.float32)
        self._fill = 0
        self._start = -pad  # index of buffer[0] in the signal
        self._length = 0  # samples of the signal so far
        self._head: np.ndarray | None = np.empty(0, np.float32)
        self._last = np.empty(0, np.float32)  # last samples, on which the padding depends

    def push(self, y: np.ndarray) -> Iterator[FrameBlock]:
        """Process samples of shape (n,) and yield the blocks that they complete."""
        self._length += len(y)
        reach = self._pad + 1
        # A copy, because the caller may reuse the memory of y.
        self._last = np.concatenate((self._last, y[-reach:]))[-reach:]
        if self._head is not None:
            self._head = np.concatenate((self._head, y))
            if len(self._head) < reach:
                return
            y = self._padded(self._head, self._pad, 0)
            self._head = None
        yield from self._feed(y)

    def finish(self) -> Iterator[FrameBlock]:
        """Pad the end and yield the remaining blocks."""
        if self._head is not None:
            tail = self._padded(self._head, self._pad, self._pad)
        else:
            tail = self._padded(self._last, 0, self._pad)[len(self._last) :]
        yield from self._feed(tail)
        if self._fill >= self._n_fft:
            yield self._block((self._fill - self._n_fft) // self._hop + 1)

    def _padded(self, y: np.ndarray, before: int, after: int) -> np.ndarray:
        if self._mode == "constant":  # ten times as fast, which matters for short files
            out = np.zeros(before + len(y) + after, np.float32)
            out[before : before + len(y)] = y
            return out
        return np.pad(y, (before, after), mode=self._mode)  # type: ignore[call-overload]

    def _feed(self, y: np.ndarray) -> Iterator[FrameBlock]:
        while len(y):
            part = y[: len(self._buffer) - self._fill]
            self._buffer[self._fill : self._fill + len(part)] = part
            self._fill += len(part)
            y = y[len(part) :]
            if self._fill == len(self._buffer):
                n_frames = (self._fill - self._n_fft) // self._hop + 1
                yield self._block(n_frames)
                step = n_frames * self._hop
                self._fill -= step
                self._buffer[: self._fill] = self._buffer[step : step + self._fill]
                self._start += step

    def _block(self, n_frames: int) -> FrameBlock:
        y = self._buffer[: (n_frames - 1) * self._hop + self._n_fft]
        low = min(max(-self._start, 0), len(y))
        high = min(max(self._length - self._start, 0), len(y))
        return FrameBlock(y, n_frames, low, high)


@dataclass(frozen=True, kw_only=True)
class Frames(Node):
    """Overlapping frames of samples, as in `librosa.stft`.

    Blocks: `FrameBlock`. The memory is reused.

    The last frame differs from librosa's in one case: `pad_mode` is "reflect", `hop_length` is
    at least n_fft / 2, and the signal's length is a multiple of `hop_length`. There librosa
    pads the end separately and reflects it one sample further.
    """

    realigns: ClassVar[bool] = True

    signal: Signal = Signal()
    n_fft: int = parameter(2048, "length of a frame [samples]", ge=16, le=65_536, even=True)
    hop_length: int = parameter(512, "from one frame to the next [samples]", ge=1)
    center: bool = parameter(True, "frame t is centred on sample t · hop_length")
    pad_mode: str = parameter("constant", "how the ends are padded if centred", choices=PAD_MODES)

    def check(self, sr: int | None) -> None:
        if self.hop_length > self.n_fft:
            raise SpecError(
                f"hop_length={self.hop_length} leaves samples out: at most n_fft={self.n_fft}"
            )

    def operator(self, sr: int) -> Operator:
        return FramesOperator(self)


class FramesOperator(Operator):
    """Cuts samples into frames and counts them.

    Parameters
    ----------
    node : Frames
        Node to compute.

    Attributes
    ----------
    n_frames : int
        Number of frames so far.
    """

    def __init__(self, node: Frames) -> None:
        self._framer = Framer(
            n_fft=node.n_fft,
            hop_length=node.hop_length,
            pad=node.n_fft // 2 if node.center else 0,
            pad_mode=node.pad_mode,
            block_frames=BLOCK_FRAMES,
        )
        self._n_fft = node.n_fft
        self.n_frames = 0

    def push(self, block: Block, port: int) -> Iterable[Block]:
        for frames in self._framer.push(block.x):
            yield self._block(frames)

    def finish(self) -> Iterable[Block]:
        for frames in self._framer.finish():
            yield self._block(frames)
        if self.n_frames == 0:
            raise AudioError(
                "too_short", f"shorter than one frame of {self._n_fft} samples, without padding"
            )

    def _block(self, frames: FrameBlock) -> Block:
        self.n_frames += frames.n_frames
        return Block(frames, frames.n_frames)
