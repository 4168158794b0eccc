"""Filter banks and tables that depend on parameters only, made once a process.

They are librosa's, from their definitions: importing librosa and its first call would take
each process a second, many times what the short files of a small job take.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np


class SparseBank(NamedTuple):
    """Filters that are zero outside of bins [start, stop)."""

    starts: np.ndarray
    stops: np.ndarray
    weights: np.ndarray


@lru_cache(maxsize=8)
def window(name: str, n_fft: int) -> np.ndarray:
    """Periodic window function in float64, shape (n_fft,)."""
    if name == "hann":
        return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n_fft + 1))[:-1]
    from scipy.signal import get_window  # takes half a second

    return get_window(name, n_fft, fftbins=True)


@lru_cache(maxsize=8)
def frequencies(sr: int, n_fft: int) -> np.ndarray:
    """Centre frequencies of the bins [Hz], shape (1 + n_fft / 2,)."""
    return np.fft.rfftfreq(n_fft, 1.0 / sr)


@lru_cache(maxsize=16)
def mel(
    sr: int, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None
) -> SparseBank:
    """Mel filters on Slaney's scale and of equal area, weights of shape (n_mels, bins).

    Triangles between points at equal distances on M. Slaney's scale (Auditory Toolbox,
    1998), from `fmin` to `fmax` (by default sr / 2), as `librosa.filters.mel` has them.
    """
    fmax = sr / 2 if fmax is None else fmax
    points = _hz(np.linspace(_mel(fmin), _mel(fmax), n_mels + 2))[:, None]
    low, centre, high = points[:-2], points[1:-1], points[2:]
    freqs = frequencies(sr, n_fft)
    slopes = np.minimum((freqs - low) / (centre - low), (high - freqs) / (high - centre))
    weights = (np.maximum(slopes, 0.0) * (2.0 / (high - low))).astype(np.float32)
    used = weights > 0
    starts = used.argmax(axis=1)
    stops = np.where(used.any(axis=1), weights.shape[1] - used[:, ::-1].argmax(axis=1), starts)
    return SparseBank(starts, stops, weights)


@lru_cache(maxsize=128)
def chroma(sr: int, n_fft: int, n_chroma: int, tuning: float) -> np.ndarray:
    """Filters (n_chroma, bins), as `librosa.filters.chroma` has them (D. Ellis, 2007).

    Bells around each pitch class, as wide as a bin or a step of the scale, whichever is
    more; bins count alike over all classes, and less the further they are from A5.
    """
    bins = np.arange(1, n_fft // 2 + 2)
    a0 = 440.0 * 2.0 ** (tuning / n_chroma) / 16
    steps = n_chroma * np.log2(bins * (sr / n_fft) / a0)
    steps = np.concatenate(([steps[0] - 1.5 * n_chroma], steps))  # a place for 0 Hz
    width = np.maximum(np.diff(steps), 1.0)
    steps = steps[:-1]
    half = round(n_chroma / 2)
    distance = np.mod(steps - np.arange(n_chroma)[:, None] + half, n_chroma) - half
    bells = np.exp(-0.5 * (2.0 * distance / width) ** 2)
    bells /= np.sqrt(np.sum(bells**2, axis=0))
    bells *= np.exp(-0.5 * ((steps / n_chroma - 5.0) / 2.0) ** 2)
    # The scale counts from A, chroma from C.
    return np.roll(bells, -3 * (n_chroma // 12), axis=0).astype(np.float32)


#: Slaney's mel scale: linear up to 15 mel, 1000 Hz; then 27 mel for a factor of 6.4.
_LINEAR_HZ, _KNEE_HZ, _KNEE_MEL, _LOG_STEP = 200.0 / 3, 1000.0, 15.0, math.log(6.4) / 27


def _mel(hz: float) -> float:
    if hz < _KNEE_HZ:
        return hz / _LINEAR_HZ
    return _KNEE_MEL + math.log(hz / _KNEE_HZ) / _LOG_STEP


def _hz(mel: np.ndarray) -> np.ndarray:
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, above)


@lru_cache(maxsize=8)
def dct(n_mels: int, n_mfcc: int) -> np.ndarray:
    """The first columns of the orthonormal DCT-II as a matrix, shape (n_mels, n_mfcc)."""
    k = np.arange(n_mfcc)
    basis = np.cos(np.pi / n_mels * np.outer(np.arange(n_mels) + 0.5, k))
    return basis * np.where(k == 0, np.sqrt(1.0 / n_mels), np.sqrt(2.0 / n_mels))
