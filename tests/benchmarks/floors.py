"""What nobody can do without: decoding, resampling, and one Fourier transform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from scipy.fft import rfft
from scipy.signal import get_window

_BLOCK_FRAMES = 64


def transform_floor(y: np.ndarray, dtype: Any) -> Callable[[], None]:
    """Return a call that transforms the windowed frames of y, which are cut beforehand."""
    n_fft, hop_length = 2048, 512
    padded = np.pad(y, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    frames = (frames * get_window("hann", n_fft)).astype(dtype)

    def call() -> None:
        for start in range(0, len(frames), _BLOCK_FRAMES):
            rfft(frames[start : start + _BLOCK_FRAMES], axis=1, workers=1)

    return call


def file_floor(path: Path, dtype: Any) -> Callable[[], None]:
    """Return a call that decodes a file, resamples it to 22.05 kHz, and transforms it."""

    def resampled() -> np.ndarray:
        y, sr = soundfile.read(path, dtype="float32", always_2d=True)
        mono = y[:, 0] if y.shape[1] == 1 else (y[:, 0] + y[:, 1]) / np.float32(2)
        return mono if sr == 22_050 else soxr.resample(mono, sr, 22_050, quality="HQ")

    transform = transform_floor(resampled(), dtype)

    def call() -> None:
        resampled()
        transform()

    return call
