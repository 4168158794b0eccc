"""Framing: from samples in pieces of any length to blocks of overlapping frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from featurelib.errors import AudioError, SpecError
from featurelib.graph import Block, Node, Operator, Samples, Signal
from featurelib.parameters import parameter

#: Frames per block; it does not change values.
BLOCK_FRAMES = 144

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
        Length of a frame, and distance between frames [samples]. Frames may be apart.
    pad : int
        Samples of padding at each end.
    pad_mode : str
        One of `PAD_MODES`.
    block_frames : int
        Most frames per block.
    pads_apart : bool
        Whether the end is padded as by `librosa.stft`; see `Frames`.
    """

    def __init__(
        self,
        *,
        n_fft: int,
        hop_length: int,
        pad: int,
        pad_mode: str,
        block_frames: int,
        pads_apart: bool = False,
    ) -> None:
        self._n_fft = n_fft
        self._hop = hop_length
        self._pad = pad
        self._mode = pad_mode
        self._pads_apart = pads_apart and hop_length >= pad
        size = (block_frames - 1) * hop_length + max(n_fft, hop_length)
        self._buffer = np.empty(size, np.float32)
        self._fill = 0
        self._start = -pad  # index of buffer[0] in the signal
        self._length = 0  # samples of the signal so far
        self._head: np.ndarray | None = np.empty(0, np.float32)
        if pad_mode == "constant":  # padding needs no samples, which saves time on short files
            self._head = None
            self._buffer[:pad] = 0
            self._fill = pad
        self._last = np.empty(0, np.float32)  # last samples, on which the padding depends

    def push(self, y: np.ndarray) -> Iterator[FrameBlock]:
        """Process samples of shape (n,) and yield the blocks that they complete."""
        self._length += len(y)
        reach = self._pad + 1
        if self._mode != "constant":
            # A copy, because the caller may reuse the memory of y.
            self._last = np.concatenate((self._last, y[-reach:]))[-reach:]
        if self._head is not None:
            n = reach - len(self._head)
            self._head = np.concatenate((self._head, y[:n]))
            if len(self._head) < reach:
                return
            yield from self._feed(self._padded(self._head, self._pad, 0))
            self._head, y = None, y[n:]
        yield from self._feed(y)

    def finish(self) -> Iterator[FrameBlock]:
        """Pad the end and yield the remaining blocks."""
        if self._mode == "constant":
            tail = np.zeros(self._pad, np.float32)
        elif self._head is not None:
            tail = self._padded(self._head, self._pad, self._pad)
        else:
            last = self._last
            if self._pads_apart and self._length % self._hop == 0 and self._length > self._hop:
                last = last[1:]
            tail = self._padded(last, 0, self._pad)[len(last) :]
        yield from self._feed(tail)
        if self._fill >= self._n_fft:
            yield self._block((self._fill - self._n_fft) // self._hop + 1)

    def _padded(self, y: np.ndarray, before: int, after: int) -> np.ndarray:
        if self._mode == "reflect" and len(y) > max(before, after):
            # faster than numpy.pad, which matters for short files
            return np.concatenate((y[before:0:-1], y, y[-2::-1][:after]))
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


class FrameGrid(Node):
    """Base class of nodes that define frames.

    Their operators have the attribute `n_frames`, the number of frames so far.

    Attributes
    ----------
    hop_length : int
        Distance between frames [samples].
    center : bool
        Whether frame t is centred on sample t · hop_length.
    """

    hop_length: int
    center: bool


def frames_of(node: Node) -> FrameGrid | None:
    """Return the frames from which a node is computed; None if it reads only samples."""
    if isinstance(node, FrameGrid):
        return node
    if isinstance(node, Samples):
        return None
    return next((grid for source in node.inputs() if (grid := frames_of(source))), None)


@dataclass(frozen=True, kw_only=True)
class Frames(FrameGrid):
    """Overlapping frames of samples, as in `librosa.stft`.

    Blocks: `FrameBlock`. The memory is reused.

    The last frame differs from librosa's in one case: `pad_mode` is "reflect", `hop_length` is
    at least n_fft / 2, and the signal's length is a multiple of `hop_length`. There librosa
    pads the end separately and reflects it one sample further.
    """

    realigns: ClassVar[bool] = True

    signal: Samples = Signal()
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
