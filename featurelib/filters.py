"""Filter banks, windows and transform matrices, computed once per process and parameter set.

Each follows the definition that librosa uses. Importing librosa itself would take a second per
process with the first call, which is far more than a short file takes.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np


class SparseBank(NamedTuple):
    """Filters that are zero outside a range of bins.

    Attributes
    ----------
    starts, stops : np.ndarray [shape=(n_filters,)]
        Filter i is zero outside bins [starts[i], stops[i]).
    weights : np.ndarray [shape=(n_filters, n_bins), dtype=float32]
        Weight of each bin.
    """

    starts: np.ndarray
    stops: np.ndarray
    weights: np.ndarray


@lru_cache(maxsize=8)
def window(name: str, n_fft: int) -> np.ndarray:
    """Return a periodic window in float64, shape (n_fft,), as `scipy.signal.get_window`."""
    if name == "hann":
        return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, n_fft + 1))[:-1]
    from scipy.signal import get_window  # the import takes half a second

    return get_window(name, n_fft, fftbins=True)


@lru_cache(maxsize=8)
def frequencies(sr: int, n_fft: int) -> np.ndarray:
    """Return the centre frequencies of the bins [Hz], shape (1 + n_fft / 2,)."""
    return np.fft.rfftfreq(n_fft, 1.0 / sr)


@lru_cache(maxsize=16)
def mel(
    sr: int, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None
) -> SparseBank:
    """Return triangular mel filters of equal area, equal to `librosa.filters.mel`.

    The corners of the triangles are equally spaced on M. Slaney's mel scale (Auditory
    Toolbox, 1998).

    Parameters
    ----------
    sr : int
        Sampling rate [Hz].
    n_fft : int
        Length of a frame [samples].
    n_mels : int
        Number of filters.
    fmin, fmax : float
        Lowest and highest corner [Hz]; `fmax` is sr / 2 by default.

    Returns
    -------
    SparseBank
        `n_mels` filters of 1 + n_fft / 2 bins.
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
    """Return chroma filters (D. Ellis, 2007), equal to `librosa.filters.chroma`.

    Each filter is a bell around its pitch class, as wide as a bin or a step of the scale,
    whichever is wider. The weights of a bin over all classes have unit length. They are then
    scaled by a bell around A5.

    Returns
    -------
    np.ndarray [shape=(n_chroma, 1 + n_fft / 2), dtype=float32]
    """
    bins = np.arange(1, n_fft // 2 + 2)
    a0 = 440.0 * 2.0 ** (tuning / n_chroma) / 16
    steps = n_chroma * np.log2(bins * (sr / n_fft) / a0)
    steps = np.concatenate(([steps[0] - 1.5 * n_chroma], steps))  # in front: the bin of 0 Hz
    width = np.maximum(np.diff(steps), 1.0)
    steps = steps[:-1]
    half = round(n_chroma / 2)
    distance = np.mod(steps - np.arange(n_chroma)[:, None] + half, n_chroma) - half
    bells = np.exp(-0.5 * (2.0 * distance / width) ** 2)
    bells /= np.sqrt(np.sum(bells**2, axis=0))
    bells *= np.exp(-0.5 * ((steps / n_chroma - 5.0) / 2.0) ** 2)
    # Steps are counted from A, pitch classes from C.
    return np.roll(bells, -3 * (n_chroma // 12), axis=0).astype(np.float32)


#: Slaney's mel scale: linear up to 1000 Hz (15 mel), then 27 mel for each factor of 6.4.
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
    """Return the first `n_mfcc` columns of the orthonormal DCT-II, shape (n_mels, n_mfcc)."""
    k = np.arange(n_mfcc)
    basis = np.cos(np.pi / n_mels * np.outer(np.arange(n_mels) + 0.5, k))
    return basis * np.where(k == 0, np.sqrt(1.0 / n_mels), np.sqrt(2.0 / n_mels))
