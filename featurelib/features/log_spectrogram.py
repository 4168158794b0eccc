"""Logarithmic power spectrogram for speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.errors import SpecError
from featurelib.features.base import Feature
from featurelib.features.spectral_density import density_call
from featurelib.graph import Block, Blockwise, Operator
from featurelib.parameters import parameter
from featurelib.transforms.frames import Frames
from featurelib.transforms.stft import STFT

#: Added to the power spectral density before the logarithm.
_EPS = np.float32(1e-14)


@dataclass(frozen=True, kw_only=True)
class LogSpectrogram(Feature):
    """Natural logarithm of the power spectral density, as for speech recognition.

    The spectrogram of the Deep Speech tutorials: symmetric Hann windows of 20 ms every 10 ms (at
    16 kHz), not centred, and 1e-14 added to the density. Samples after the last whole window
    are left out. To keep frequencies up to `f` [Hz], set ``n_bins = floor(f * n_fft / sr) + 1``.
    """

    family: ClassVar[str] = "log_spectrogram"

    stft: STFT = STFT(frames=Frames(n_fft=320, hop_length=160, center=False), fftbins=False)
    n_bins: int | None = parameter(None, "lowest bins kept; all if not given", ge=1)

    @property
    def width(self) -> int:
        return self.n_bins or self.stft.n_bins

    @property
    def has_rows(self) -> bool:
        return True

    def check(self, sr: int | None) -> None:
        if self.n_bins is not None and self.n_bins > self.stft.n_bins:
            raise SpecError(
                f"n_bins={self.n_bins} must be at most {self.stft.n_bins}, 1 + n_fft / 2"
            )

    def definition(self, row: int | None, sr: int | None) -> str:
        which = "each bin" if row is None else f"bin {row}"
        if row is not None and sr is not None:
            which += f" ({row * sr / self.stft.frames.n_fft:g} Hz)"
        return (
            f"natural logarithm of the power spectral density of a frame in {which} plus 1e-14; "
            "the density is one-sided, per Hz"
        )

    def librosa(self, sr: int | None) -> str:
        lowest = "" if self.n_bins is None else f"[:{self.n_bins}]"
        return f"np.log({density_call(self.stft, sr)} + 1e-14){lowest}"

    def operator(self, sr: int) -> Operator:
        scales = self.stft.density_scales(sr).astype(np.float32)
        n_bins = self.width

        def logarithms(block: Block) -> Block:
            out = np.empty((block.n_frames, n_bins), np.float32)
            kernels.spectral.log_density(block.x, scales, _EPS, out)
            return Block(out, block.n_frames)

        return Blockwise(logarithms)
