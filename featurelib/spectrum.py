"""One block of frames and its spectrum, of which every descriptor takes its share."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from featurelib import banks
from featurelib.frames import FrameBlock
from featurelib.kernels import shape, spectrum
from featurelib.simd import LANES, aligned
from featurelib.spec import FeatureSpec

#: Floor of power and of squared magnitude before a logarithm, as librosa's amin.
AMIN = np.float32(1e-10)


class SpectrumBlock:
    """The frames of a block, transformed once; what several descriptors need is shared.

    Attributes
    ----------
    frames : FrameBlock
        The samples.
    n_frames : int
        Number of frames.
    S : np.ndarray [shape=(batches, 1 + n_fft / 2, LANES), dtype=float32]
        Magnitudes, those of `librosa.stft`: frame t is lane t % LANES of batch t // LANES.
        Lanes beyond the last frame hold numbers of no meaning.
    bin_width : float
        Distance of the bins [Hz].
    """

    def __init__(self, frames: FrameBlock, S: np.ndarray, transform: Transform) -> None:
        self._transform = transform
        self.frames = frames
        self.n_frames = frames.n_frames
        self.S = S
        self.bin_width = transform.bin_width

    @cached_property
    def log_power(self) -> np.ndarray:
        """Natural logarithm of the squared magnitudes, of at least `AMIN`, in lanes.

        Valid until the next block is transformed.
        """
        out = self._transform.scratch(len(self.S))
        shape.log_power(self.S, AMIN, out)
        return out

    @cached_property
    def power_sums(self) -> np.ndarray:
        """Sums of S, k S and k² S over the bins k of each frame, shape (3, n_frames)."""
        return np.ascontiguousarray(shape.power_sums(self.S)[:, : self.n_frames])

    def cells(self, x: np.ndarray) -> np.ndarray:
        """The values of a spectrum in lanes, without those of no frame, in any order."""
        if self.n_frames % LANES == 0:
            return x
        rows = x.transpose(0, 2, 1).reshape(-1, x.shape[1])
        return np.ascontiguousarray(rows[: self.n_frames])


class Transform:
    """Windows and transforms blocks of frames.

    The transform is in float64 and its result cast to complex64, as librosa does: a
    float32 transform moves spectral contrast by up to 1 % and can flip the tuning.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._hop = spec.hop_length
        self._window = banks.window(spec.window, spec.n_fft)
        self._n_bins = 1 + spec.n_fft // 2
        self.bin_width = spec.sr / spec.n_fft
        power_of_two = spec.n_fft & (spec.n_fft - 1) == 0
        self._tables = spectrum.fft_tables(spec.n_fft) if power_of_two else None
        self._fft_scratch = aligned((2, spec.n_fft // 2, LANES), np.float64)
        self._scratch: np.ndarray | None = None

    def __call__(self, block: FrameBlock) -> SpectrumBlock:
        """Transform a block."""
        n_batches = -(-block.n_frames // LANES)
        S = aligned((n_batches, self._n_bins, LANES), np.float32)
        if self._tables is None:
            spectrum.in_lanes(self._rows(block), S)
        else:
            spectrum.magnitudes(
                block.y, self._window, self._hop, *self._tables, self._fft_scratch, S
            )
        return SpectrumBlock(block, S, self)

    def scratch(self, n_batches: int) -> np.ndarray:
        """Memory of the size of a block's spectrum, the same for all blocks."""
        if self._scratch is None or len(self._scratch) < n_batches:
            self._scratch = aligned((n_batches, self._n_bins, LANES), np.float32)
        return self._scratch[:n_batches]

    def _rows(self, block: FrameBlock) -> np.ndarray:
        """Magnitudes of frames of any length, one row a frame."""
        from scipy.fft import rfft

        frames = np.lib.stride_tricks.sliding_window_view(block.y, len(self._window))
        frames = frames[:: self._hop][: block.n_frames]
        return np.abs(rfft(frames * self._window, axis=1, workers=1).astype(np.complex64))
