"""Short-time Fourier transform, and intermediate results that several features share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from featurelib import filters, kernels
from featurelib.graph import Block, Blockwise, Node, Operator
from featurelib.parameters import parameter
from featurelib.transforms.frames import FrameBlock, Frames

#: Lower limit of power before a logarithm; librosa's `amin`.
AMIN = np.float32(1e-10)

#: Windows of `scipy.signal.get_window` without parameters.
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
    """Magnitudes of the short-time Fourier transform, equal to those of `librosa.stft`.

    The transform is computed in float64 and its result is cast to complex64, as in librosa. A
    float32 transform changes spectral contrast by up to 1 % and can change the tuning.

    Blocks: magnitudes in lanes, shape (batches, 1 + n_fft / 2, LANES), float32. Frame t is
    lane t % LANES of batch t // LANES. Lanes after the last frame are undefined. The memory
    is not reused.
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
        n_batches = -(-frames.n_frames // kernels.LANES)
        S = kernels.aligned((n_batches, self._n_bins, kernels.LANES), np.float32)
        self._transform(frames.y, S)
        return (Block(S, frames.n_frames),)


def rows(S: np.ndarray, n_frames: int) -> np.ndarray:
    """Convert spectra in lanes to a new array of shape (n_frames, bins)."""
    return np.ascontiguousarray(S.transpose(0, 2, 1).reshape(-1, S.shape[1])[:n_frames])


def cells(S: np.ndarray, n_frames: int) -> np.ndarray:
    """Return the values of spectra in lanes in any order and shape, without undefined lanes."""
    return S if n_frames % kernels.LANES == 0 else rows(S, n_frames)


@dataclass(frozen=True, kw_only=True)
class PowerSums(Node):
    """Sums of S, k S and k² S over the bins k of each frame, for magnitudes S.

    Blocks: shape (3, n_frames), float64.
    """

    stft: STFT = STFT()

    def operator(self, sr: int) -> Operator:
        return Blockwise(_power_sums)


def _power_sums(block: Block) -> Block:
    sums = np.empty((3, len(block.x) * kernels.LANES))
    kernels.spectral.power_sums(block.x, sums)
    return Block(np.ascontiguousarray(sums[:, : block.n_frames]), block.n_frames)


@dataclass(frozen=True, kw_only=True)
class LogPower(Node):
    """Natural logarithm of the power, which is limited to at least `AMIN`.

    Blocks: in lanes, as for `STFT`. The memory is reused.
    """

    stft: STFT = STFT()

    def operator(self, sr: int) -> Operator:
        return _LogPower()


class _LogPower(Operator):
    def __init__(self) -> None:
        self._scratch = np.empty((0, 0, kernels.LANES), np.float32)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        S = block.x
        if len(self._scratch) < len(S):
            self._scratch = kernels.aligned(S.shape, np.float32)
        out = self._scratch[: len(S)]
        kernels.spectral.log_power(S, AMIN, out)
        return (Block(out, block.n_frames),)
