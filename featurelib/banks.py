"""Filter banks and tables that depend on the spec only, made once a process."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from featurelib.kernels.filters import GROUP


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
    """librosa's chroma filters for a tuning, in groups as `kernels.filters` takes them."""
    return _grouped(_chroma(sr, n_fft, n_chroma, tuning))


#: Tunings between which chroma is interpolated: Chebyshev's points, as the filters change
#: smoothly with the tuning. So many leave an error far below a float32's.
_TUNINGS = 0.5 * np.cos(np.pi * (np.arange(16) + 0.5) / 16)


def n_condensed(n_fft: int, n_chroma: int) -> int:
    """Numbers that `condensing_bank` leaves of a frame."""
    return _n_low(n_fft, n_chroma) + len(_TUNINGS) * n_chroma


@lru_cache(maxsize=4)
def condensing_bank(sr: int, n_fft: int, n_chroma: int) -> np.ndarray:
    """Filters that leave of a power spectrum what its chroma at any tuning can be told from.

    These are the chroma filters at `_TUNINGS`, but for the lowest bins: there a bin spans
    more than a step of the scale, and filters change too abruptly to be interpolated.
    Those bins are passed on as they are. In groups as `kernels.filters` takes them.
    """
    n_low = _n_low(n_fft, n_chroma)
    filters = np.concatenate([_chroma(sr, n_fft, n_chroma, tuning) for tuning in _TUNINGS])
    filters[:, :n_low] = 0
    return _grouped(np.concatenate((np.eye(n_low, filters.shape[1], dtype=np.float32), filters)))


def condensed_chroma(sr: int, n_fft: int, n_chroma: int, tuning: float) -> np.ndarray:
    """What turns a frame of `condensing_bank`'s into chroma, shape (n_condensed, n_chroma)."""
    n_low = _n_low(n_fft, n_chroma)
    low = _chroma(sr, n_fft, n_chroma, tuning)[:, :n_low].T
    # Lagrange's polynomials.
    shares = []
    for i, node in enumerate(_TUNINGS):
        others = np.delete(_TUNINGS, i)
        shares.append(np.prod((tuning - others) / (node - others)))
    return np.concatenate((low, np.kron(np.array(shares)[:, None], np.eye(n_chroma))))


def _n_low(n_fft: int, n_chroma: int) -> int:
    """Number of lowest bins that lie more than a step of the scale apart."""
    return min(math.ceil(1 / (2 ** (1 / n_chroma) - 1)) + 1, 1 + n_fft // 2)


def _chroma(sr: int, n_fft: int, n_chroma: int, tuning: float) -> np.ndarray:
    import librosa.filters

    return librosa.filters.chroma(sr=sr, n_fft=n_fft, n_chroma=n_chroma, tuning=tuning)


def _grouped(bank: np.ndarray) -> np.ndarray:
    """Filters (n, bins) as (groups, bins, `GROUP`), the last group filled up with zeros."""
    n, n_bins = bank.shape
    filled = np.zeros((-(-n // GROUP) * GROUP, n_bins), np.float32)
    filled[:n] = bank
    return np.ascontiguousarray(filled.reshape(-1, GROUP, n_bins).transpose(0, 2, 1))


@lru_cache(maxsize=8)
def dct_matrix(n_mels: int, n_mfcc: int) -> np.ndarray:
    """The first columns of the orthonormal DCT-II as a matrix, shape (n_mels, n_mfcc)."""
    k = np.arange(n_mfcc)
    basis = np.cos(np.pi / n_mels * np.outer(np.arange(n_mels) + 0.5, k))
    return basis * np.where(k == 0, np.sqrt(1.0 / n_mels), np.sqrt(2.0 / n_mels))
