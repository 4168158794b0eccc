"""The short-time Fourier transform, and what several features need of its spectra."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from featurelib import filters, kernels
from featurelib.graph import Block, Blockwise, Node, Operator
from featurelib.kernels import LANES, aligned
from featurelib.parameters import parameter
from featurelib.transforms.frames import FrameBlock, Frames

#: Floor of power and of squared magnitude before a logarithm, as librosa's amin.
AMIN = np.float32(1e-10)

#: Windows of `scipy.signal.get_window` that take no parameter.
WINDOWS = (
    "hann",
    "hamming",
    "blackman",
    "blackmanharris",
    "nuttall",
    "flattop",
    "bartlett",
    "cosine",
    "boxcar",
)


@dataclass(frozen=True, kw_only=True)
class STFT(Node):
    """Magnitudes of the short-time Fourier transform, those of `librosa.stft`.

    The transform is in float64 and its result cast to complex64, as librosa does: a
    float32 transform moves spectral contrast by up to 1 % and can flip the tuning.

    Blocks: magnitudes in lanes, shape (batches, 1 + n_fft / 2, LANES), float32: frame t is
    lane t % LANES of batch t // LANES. Lanes beyond the last frame hold numbers of no
    meaning. The memory is not used again.
    """

    frames: Frames = Frames()
    window: str = parameter("hann", "window function, a name of SciPy's", choices=WINDOWS)

    @property
    def n_bins(self) -> int:
        """Number of frequency bins."""
        return 1 + self.frames.n_fft // 2

    def operator(self, sr: int) -> Operator:
        return _Transform(self)


class _Transform(Operator):
    """Windows and transforms blocks of frames."""

    def __init__(self, node: STFT) -> None:
        window = filters.window(node.window, node.frames.n_fft)
        self._transform = kernels.fft.transform(window, node.frames.hop_length)
        self._n_bins = node.n_bins

    def push(self, block: Block, port: int) -> Iterable[Block]:
        frames: FrameBlock = block.x
        n_batches = -(-frames.n_frames // LANES)
        S = aligned((n_batches, self._n_bins, LANES), np.float32)
        self._transform(frames.y, S)
        return (Block(S, frames.n_frames),)


def rows(S: np.ndarray, n_frames: int) -> np.ndarray:
    """Spectra in lanes as rows, shape (n_frames, bins), in memory of their own."""
    return np.ascontiguousarray(S.transpose(0, 2, 1).reshape(-1, S.shape[1])[:n_frames])


def cells(S: np.ndarray, n_frames: int) -> np.ndarray:
    """The values of spectra in lanes, without those of no frame, in any order."""
    return S if n_frames % LANES == 0 else rows(S, n_frames)


@dataclass(frozen=True, kw_only=True)
class PowerSums(Node):
    """Sums of S, k S and k² S over the bins k of each frame.

    Blocks: shape (3, n_frames), float64.
    """

    stft: STFT = STFT()

    def operator(self, sr: int) -> Operator:
        return Blockwise(_power_sums)


def _power_sums(block: Block) -> Block:
    sums = np.empty((3, len(block.x) * LANES))
    kernels.spectral.power_sums(block.x, sums)
    return Block(np.ascontiguousarray(sums[:, : block.n_frames]), block.n_frames)


@dataclass(frozen=True, kw_only=True)
class LogPower(Node):
    """Natural logarithm of the squared magnitudes, of at least `AMIN`.

    Blocks: in lanes, as those of `STFT`. The memory is used again.
    """

    stft: STFT = STFT()

    def operator(self, sr: int) -> Operator:
        return _LogPower()


class _LogPower(Operator):
    def __init__(self) -> None:
        self._scratch = np.empty((0, 0, LANES), np.float32)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        S = block.x
        if len(self._scratch) < len(S):
            self._scratch = aligned(S.shape, np.float32)
        out = self._scratch[: len(S)]
        kernels.spectral.log_power(S, AMIN, out)
        return (Block(out, block.n_frames),)
