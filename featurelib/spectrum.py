"""One block of frames and its spectrum, of which every descriptor takes its share."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from featurelib import banks, kernels
from featurelib.frames import FrameBlock
from featurelib.spec import FeatureSpec

#: Floor of power and of squared magnitude before a logarithm, as librosa's amin.
AMIN = np.float32(1e-10)


class SpectrumBlock:
    """The frames of a block, transformed once; what several descriptors need is shared.

    Attributes
    ----------
    frames : FrameBlock
        The samples.
    S : np.ndarray [shape=(n_frames, 1 + n_fft / 2), dtype=float32]
        Magnitudes, equal to those of `librosa.stft` bit by bit.
    freqs : np.ndarray [shape=(1 + n_fft / 2,)]
        Frequencies of the bins [Hz].
    """

    def __init__(self, frames: FrameBlock, S: np.ndarray, freqs: np.ndarray) -> None:
        self.frames = frames
        self.S = S
        self.freqs = freqs

    @cached_property
    def power(self) -> np.ndarray:
        """Squared magnitudes, float32."""
        return np.square(self.S)

    @cached_property
    def floored_power(self) -> np.ndarray:
        """Squared magnitudes of at least `AMIN`."""
        return np.maximum(self.power, AMIN)

    @cached_property
    def log_power(self) -> np.ndarray:
        """Natural logarithm of the floored power."""
        return np.log(self.floored_power)

    @cached_property
    def totals(self) -> np.ndarray:
        """Sum of the magnitudes of each frame, shape (n_frames,)."""
        return kernels.row_sums(self.S)

    @cached_property
    def centroids(self) -> np.ndarray:
        """Spectral centroid of each frame [Hz], shape (n_frames,)."""
        return kernels.centroids(self.S, self.freqs, self.totals)


class Transform:
    """Windows and transforms blocks of frames.

    The transform is in float64 and its result cast to complex64, as librosa does: a
    float32 transform moves spectral contrast by up to 1 % and can flip the tuning.
    """

    def __init__(self, spec: FeatureSpec, block_frames: int) -> None:
        # Imported here: describing a spec must not wait for it.
        from scipy.fft import rfft

        self._rfft = rfft
        self._hop = spec.hop_length
        self._window = banks.window(spec.window, spec.n_fft)
        self._freqs = banks.frequencies(spec.sr, spec.n_fft)
        self._windowed = np.empty((block_frames, spec.n_fft))

    def __call__(self, block: FrameBlock) -> SpectrumBlock:
        """Transform a block."""
        windowed = self._windowed[: block.n_frames]
        kernels.windowed_frames(block.y, self._window, self._hop, windowed)
        S = np.abs(self._rfft(windowed, axis=1, workers=1).astype(np.complex64))
        return SpectrumBlock(block, S, self._freqs)
