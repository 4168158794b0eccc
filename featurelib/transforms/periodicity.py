"""Periods of the frames of a signal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from featurelib import kernels
from featurelib.errors import SpecError
from featurelib.graph import Block, Node, Operator
from featurelib.parameters import parameter
from featurelib.transforms.frames import FrameBlock, Frames

#: C2 and C7, the range that librosa recommends for YIN [Hz].
FMIN, FMAX = 65.4064, 2093.0045

#: With more, the transform of whole frames is faster.
_MOST_PIECES = 32


@dataclass(frozen=True, kw_only=True)
class Periodicity(Node):
    """Period of each frame by YIN (de Cheveigné and Kawahara, 2002), as in `librosa.yin`.

    It is the first lag at which the cumulative mean normalized difference has a trough below
    a threshold. If there is none, it is the lag of the minimum.

    Blocks: shape (n_frames, 2), float64: period [samples], and 1.0 if there is such a
    trough, else 0.0.
    """

    frames: Frames = Frames()
    fmin: float = parameter(FMIN, "lowest fundamental frequency [Hz]", gt=0)
    fmax: float = parameter(FMAX, "highest fundamental frequency [Hz]", gt=0)
    trough_threshold: float = parameter(
        0.1, "a frame is periodic if its normalized difference falls below this", gt=0
    )

    def check(self, sr: int | None) -> None:
        if self.fmin >= self.fmax:
            raise SpecError(f"fmin={self.fmin:g} must be less than fmax={self.fmax:g}")
        if sr is None:
            return
        if self.fmax > sr / 2:
            raise SpecError(f"fmax={self.fmax:g} must be at most half of sr={sr}")
        n_fft = self.frames.n_fft
        if sr / self.fmin >= n_fft - 1:
            enough = 2 * ((math.floor(sr / self.fmin) + 3) // 2)  # an even number
            raise SpecError(
                f"n_fft={n_fft} at sr={sr} is too short for a period of fmin={self.fmin:g}: raise "
                f"n_fft to at least {enough}, or fmin to more than {sr / (n_fft - 1):g}"
            )

    def operator(self, sr: int) -> Operator:
        return _Periodicity(self, sr)


class _Periodicity(Operator):
    """Autocorrelates frames by way of their pieces, each of which is transformed once.

    The pieces are one step long where a step divides the frame, so that the frames share
    them. Else there is one piece, the frame.
    """

    def __init__(self, node: Periodicity, sr: int) -> None:
        n_fft, hop_length = node.frames.n_fft, node.frames.hop_length
        self._shortest = math.floor(sr / node.fmax)
        self._longest = math.ceil(sr / node.fmin)
        self._threshold = np.float32(node.trough_threshold)
        self._hop_length = hop_length
        is_shared = n_fft % hop_length == 0 and n_fft // hop_length <= _MOST_PIECES
        length = hop_length if is_shared else n_fft
        self._n_pieces = n_fft // length
        n_distances = min((self._longest - 1) // length + 1, self._n_pieces - 1)
        # No lag of a product of pieces may wrap around to the lags that are used.
        least = max(length + self._longest, (n_distances + 1) * length, 16)
        self._size = 1 << (least - 1).bit_length()
        window = np.zeros(self._size)
        window[:length] = 1.0
        self._transform = kernels.fft.complex_transform(window, hop_length)
        self._invert = kernels.fft.inverse_transform(self._size)
        shifts = np.arange(1, n_distances + 1)[:, None] * length
        angles = shifts * np.arange(self._size // 2 + 1) % self._size * (-2 * np.pi / self._size)
        self._make_room(0, 0)
        self._turns = np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        frames: FrameBlock = block.x
        n_batches = -(-frames.n_frames // kernels.LANES)
        n_batches_of_pieces = -(-(frames.n_frames + self._n_pieces - 1) // kernels.LANES)
        if len(self._pieces) < n_batches_of_pieces or len(self._spectra) < n_batches:
            self._make_room(n_batches, n_batches_of_pieces)
        pieces = self._pieces[:n_batches_of_pieces]
        spectra, correlations = self._spectra[:n_batches], self._correlations[:n_batches]
        out = np.empty((frames.n_frames, 2))
        self._transform(frames.y, pieces)
        kernels.periodicity.joined(pieces, self._n_pieces, self._turns, spectra)
        self._invert(spectra, correlations)
        kernels.periodicity.periods(
            correlations,
            frames.y,
            self._hop_length,
            self._shortest,
            self._longest,
            self._threshold,
            out,
        )
        return (Block(out, frames.n_frames),)

    def _make_room(self, n_batches: int, n_batches_of_pieces: int) -> None:
        lanes, n_bins = kernels.LANES, self._size // 2 + 1
        self._pieces = kernels.aligned((n_batches_of_pieces, 2, n_bins, lanes), np.float32)
        self._spectra = kernels.aligned((n_batches, 2, n_bins, lanes), np.float32)
        self._correlations = kernels.aligned((n_batches, self._size, lanes), np.float32)
