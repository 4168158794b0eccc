"""Filter banks and tables that depend on the spec only, made once a process."""

from __future__ import annotations

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
    import librosa.filters

    return librosa.filters.get_window(name, n_fft, fftbins=True)


@lru_cache(maxsize=8)
def frequencies(sr: int, n_fft: int) -> np.ndarray:
    """Centre frequencies of the bins [Hz], shape (1 + n_fft / 2,)."""
    return np.fft.rfftfreq(n_fft, 1.0 / sr)


@lru_cache(maxsize=8)
def mel_bank(sr: int, n_fft: int, n_mels: int) -> SparseBank:
    """librosa's mel filters (Slaney's scale and norm), weights of shape (n_mels, bins)."""
    import librosa.filters

    weights = librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels)
    used = weights > 0
    starts = used.argmax(axis=1)
    stops = np.where(used.any(axis=1), weights.shape[1] - used[:, ::-1].argmax(axis=1), starts)
    return SparseBank(starts, stops, weights)


@lru_cache(maxsize=128)
def chroma_bank(sr: int, n_fft: int, n_chroma: int, tuning: float) -> np.ndarray:
    """librosa's chroma filters for a tuning, in float64, shape (bins, n_chroma)."""
    import librosa.filters

    bank = librosa.filters.chroma(sr=sr, n_fft=n_fft, n_chroma=n_chroma, tuning=tuning)
    return np.ascontiguousarray(bank.T, np.float64)


@lru_cache(maxsize=8)
def dct_matrix(n_mels: int, n_mfcc: int) -> np.ndarray:
    """The first columns of the orthonormal DCT-II as a matrix, shape (n_mels, n_mfcc)."""
    k = np.arange(n_mfcc)
    basis = np.cos(np.pi / n_mels * np.outer(np.arange(n_mels) + 0.5, k))
    return basis * np.where(k == 0, np.sqrt(1.0 / n_mels), np.sqrt(2.0 / n_mels))
