"""Short-time Fourier transform, and intermediate results that several features share."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from featurelib import filters, kernels
from featurelib.errors import SpecError
from featurelib.graph import Block, Blockwise, Node, Operator
from featurelib.parameters import parameter
from featurelib.transforms.frames import BLOCK_FRAMES, FrameBlock, Frames

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
    win_length: int | None = parameter(
        None, "length of the window, in the middle of a frame [samples]; n_fft if not given", ge=2
    )
    fftbins: bool = parameter(True, "a periodic window; false: a symmetric one")

    @property
    def n_bins(self) -> int:
        """Number of frequency bins."""
        return 1 + self.frames.n_fft // 2

    def window_values(self) -> np.ndarray:
        """Return the window with the zeros around it, shape (n_fft,), float64."""
        return filters.window(self.window, self.frames.n_fft, self.win_length, self.fftbins)

    def density_scales(self, sr: int) -> np.ndarray:
        """Return what turns squared magnitudes into one-sided power spectral densities [1/Hz].

        Returns
        -------
        np.ndarray [shape=(1 + n_fft / 2,), dtype=float64]
        """
        scales = np.full(self.n_bins, 2.0)
        scales[[0, -1]] = 1.0
        return scales / (np.sum(self.window_values() ** 2) * sr)

    def check(self, sr: int | None) -> None:
        if self.win_length is not None and self.win_length > self.frames.n_fft:
            raise SpecError(
                f"win_length={self.win_length} must be at most n_fft={self.frames.n_fft}"
            )

    def beside(self, nodes: Collection[Node]) -> Node:
        spectra = Spectra(stft=self)
        return _Magnitudes(spectra=spectra) if spectra in nodes else self

    def operator(self, sr: int) -> Operator:
        transform, n_bins = _Transform(self), self.n_bins

        def spectra(block: Block) -> Block:
            frames: FrameBlock = block.x
            n_batches = -(-frames.n_frames // kernels.LANES)
            S = kernels.aligned((n_batches, n_bins, kernels.LANES), np.float32)
            transform.fill(frames.y, S)
            return Block(S, frames.n_frames)

        return Blockwise(spectra)


def stft_arguments(stft: STFT) -> str:
    """Return the arguments that make librosa's spectral features use the same STFT."""
    frames = stft.frames
    arguments = f"n_fft={frames.n_fft}, hop_length={frames.hop_length}{window_arguments(stft)}"
    if not frames.center:
        arguments += ", center=False"
    elif frames.pad_mode != "constant":
        arguments += f", pad_mode={frames.pad_mode!r}"
    return arguments


def window_arguments(stft: STFT) -> str:
    """Return the arguments of a librosa call for the window; empty for the default one."""
    arguments = ""
    if not stft.fftbins:
        length = stft.win_length or stft.frames.n_fft
        window = f"librosa.filters.get_window({stft.window!r}, {length}, fftbins=False)"
        arguments += f", window={window}"
    elif stft.window != "hann":
        arguments += f", window={stft.window!r}"
    return arguments if stft.win_length is None else f"{arguments}, win_length={stft.win_length}"


class _Transform(threading.local):
    """Transform of frames to magnitudes; each thread has its own, because it has memory."""

    def __init__(self, node: STFT) -> None:
        self.fill = kernels.fft.transform(node.window_values(), node.frames.hop_length)


@dataclass(frozen=True, kw_only=True)
class Spectra(Node):
    """Complex short-time Fourier transform, equal to `librosa.stft`.

    Blocks: in lanes, shape (batches, 2, 1 + n_fft / 2, LANES), float32: real and imaginary
    parts. The memory is reused by the block after the next one.
    """

    stft: STFT = STFT()

    def inputs(self) -> tuple[Node, ...]:
        return (self.stft.frames,)

    def operator(self, sr: int) -> Operator:
        return _ComplexTransform(self.stft)


class _ComplexTransform(Operator):
    def __init__(self, stft: STFT) -> None:
        hop_length = stft.frames.hop_length
        self._transform = kernels.fft.complex_transform(stft.window_values(), hop_length)
        shape = (BLOCK_FRAMES // kernels.LANES, 2, stft.n_bins, kernels.LANES)
        self._this, self._next = (kernels.aligned(shape, np.float32) for _ in range(2))

    def push(self, block: Block, port: int) -> Iterable[Block]:
        D = self._this[: -(-block.n_frames // kernels.LANES)]
        self._this, self._next = self._next, self._this
        self._transform(block.x.y, D)
        return (Block(D, block.n_frames),)


@dataclass(frozen=True, kw_only=True)
class _Magnitudes(Node):
    """Magnitudes as those of `STFT`, from spectra that another node needs too."""

    spectra: Spectra

    def operator(self, sr: int) -> Operator:
        return Blockwise(_magnitudes)


def _magnitudes(block: Block) -> Block:
    n_batches, _, n_bins, _ = block.x.shape
    S = kernels.aligned((n_batches, n_bins, kernels.LANES), np.float32)
    kernels.spectral.absolute_values(block.x, S)
    return Block(S, block.n_frames)


def rows(S: np.ndarray, n_frames: int) -> np.ndarray:
    """Convert spectra in lanes to a new array of shape (n_frames, bins)."""
    return np.ascontiguousarray(S.transpose(0, 2, 1).reshape(-1, S.shape[1])[:n_frames])


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
        scratch = kernels.Scratch()

        def log_power(block: Block) -> Block:
            out = scratch.take(block.x.shape)
            kernels.spectral.log_power(block.x, AMIN, out)
            return Block(out, block.n_frames)

        return Blockwise(log_power)
