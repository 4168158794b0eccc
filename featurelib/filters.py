"""Filter banks, windows and transform matrices, computed once per process and parameter set.

Each follows the definition that librosa uses. Importing librosa itself would take a second per
process with the first call, which is far more than a short file takes.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from featurelib.kernels.filters import GROUP


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
    """Return the chroma filters for a tuning, grouped as `kernels.filters` needs them."""
    return _grouped(_chroma(sr, n_fft, n_chroma, tuning))


#: Chebyshev points. As a function of the tuning, a chroma filter has poles in the complex
#: plane, all along the scale. Polynomials in the tuning itself would need more points than
#: polynomials in its sine (map of Kosloff and Tal-Ezer, 1993), whose error is 1e-7.
_POINTS = np.cos(np.pi * (np.arange(18) + 0.5) / 18)
_MAP = 0.8

#: Tunings at which chroma is computed; other tunings are interpolated.
_TUNINGS = 0.5 * np.arcsin(_MAP * _POINTS) / np.arcsin(_MAP)


def n_condensed(n_fft: int, n_chroma: int) -> int:
    """Return the number of values in a condensed frame."""
    if not _condensable(n_fft, n_chroma):
        return 1 + n_fft // 2
    return _n_low(n_fft, n_chroma) + len(_TUNINGS) * n_chroma


def _condensable(n_fft: int, n_chroma: int) -> bool:
    """Return whether interpolation over tunings is exact enough and needs fewer values.

    It is not exact for two to five classes: the bells are so wide that they wrap around the
    octave. There they have a jump or a bend, which moves with the tuning.
    """
    n_kept = _n_low(n_fft, n_chroma) + len(_TUNINGS) * n_chroma
    return n_chroma not in range(2, 6) and n_kept < 1 + n_fft // 2


@lru_cache(maxsize=4)
def condensing_bank(sr: int, n_fft: int, n_chroma: int) -> np.ndarray | None:
    """Return the filters that condense a power spectrum.

    Chroma at any tuning can be interpolated from the condensed spectrum. It consists of the
    lowest bins, unchanged, and the chroma of the other bins at each of `_TUNINGS`. The lowest
    bins are wider than a step of the scale, so their filters change too abruptly with the
    tuning to be interpolated.

    Returns
    -------
    np.ndarray or None
        The filters, grouped as `kernels.filters` needs them; None if spectra should be kept
        as they are (see `_condensable`).
    """
    if not _condensable(n_fft, n_chroma):
        return None
    n_low = _n_low(n_fft, n_chroma)
    filters = np.concatenate([_chroma(sr, n_fft, n_chroma, tuning) for tuning in _TUNINGS])
    filters[:, :n_low] = 0
    return _grouped(np.concatenate((np.eye(n_low, filters.shape[1], dtype=np.float32), filters)))


def condensed_chroma(sr: int, n_fft: int, n_chroma: int, tuning: float) -> np.ndarray:
    """Return the matrix from condensed frames to chroma, shape (n_condensed, n_chroma)."""
    if not _condensable(n_fft, n_chroma):
        return _chroma(sr, n_fft, n_chroma, tuning).T
    n_low = _n_low(n_fft, n_chroma)
    low = _chroma(sr, n_fft, n_chroma, tuning)[:, :n_low].T
    x = np.sin(2 * tuning * np.arcsin(_MAP)) / _MAP
    # Lagrange polynomials.
    shares = []
    for i, point in enumerate(_POINTS):
        others = np.delete(_POINTS, i)
        shares.append(np.prod((x - others) / (point - others)))
    return np.concatenate((low, np.kron(np.array(shares)[:, None], np.eye(n_chroma))))


def _n_low(n_fft: int, n_chroma: int) -> int:
    """Return the number of lowest bins that are more than a step of the scale apart."""
    return min(math.ceil(1 / (2 ** (1 / n_chroma) - 1)) + 1, 1 + n_fft // 2)


def _chroma(sr: int, n_fft: int, n_chroma: int, tuning: float) -> np.ndarray:
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


def _grouped(bank: np.ndarray) -> np.ndarray:
    """Reshape filters (n, bins) to (groups, bins, `GROUP`); zeros fill the last group."""
    n, n_bins = bank.shape
    filled = np.zeros((-(-n // GROUP) * GROUP, n_bins), np.float32)
    filled[:n] = bank
    return np.ascontiguousarray(filled.reshape(-1, GROUP, n_bins).transpose(0, 2, 1))


@lru_cache(maxsize=8)
def dct(n_mels: int, n_mfcc: int) -> np.ndarray:
    """Return the first `n_mfcc` columns of the orthonormal DCT-II, shape (n_mels, n_mfcc)."""
    k = np.arange(n_mfcc)
    basis = np.cos(np.pi / n_mels * np.outer(np.arange(n_mels) + 0.5, k))
    return basis * np.where(k == 0, np.sqrt(1.0 / n_mels), np.sqrt(2.0 / n_mels))
