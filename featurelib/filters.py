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
def window(
    name: str, n_fft: int, win_length: int | None = None, fftbins: bool = True
) -> np.ndarray:
    """Return a window in float64, between zeros, as `librosa.stft` uses it.

    Parameters
    ----------
    name : str
        Name of a window of `scipy.signal.get_window`.
    n_fft : int
        Length of a frame [samples].
    win_length : int, optional
        Length of the window without the zeros; `n_fft` by default.
    fftbins : bool
        Whether the window is periodic; otherwise symmetric.

    Returns
    -------
    np.ndarray [shape=(n_fft,)]
    """
    length = win_length or n_fft
    values = _window(name, length, fftbins)
    before = (n_fft - length) // 2
    return np.pad(values, (before, n_fft - length - before)) if length < n_fft else values


def _window(name: str, length: int, fftbins: bool) -> np.ndarray:
    if name == "hann":
        points = length + 1 if fftbins else length
        return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, points))[:length]
    from scipy.signal import get_window  # the import takes half a second

    return get_window(name, length, fftbins=fftbins)


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


@lru_cache(maxsize=16)
def mel_bands(
    sr: int, n_fft: int, n_bands: int, fmin: float = 0.0, fmax: float | None = None
) -> SparseBank:
    """Return bands that are equally wide on Slaney's mel scale and take the mean of their bins.

    A band starts at its lower edge and ends before its upper edge; the highest one includes it.

    Parameters
    ----------
    sr, n_fft, fmin, fmax
        As for `mel`.
    n_bands : int
        Number of bands.

    Returns
    -------
    SparseBank
        A band without a bin has start = stop.
    """
    fmax = sr / 2 if fmax is None else fmax
    edges = mel_edges(n_bands, fmin, fmax)
    freqs = frequencies(sr, n_fft)
    bounds = np.searchsorted(freqs, edges)
    bounds[-1] = np.searchsorted(freqs, edges[-1], side="right")
    starts, stops = bounds[:-1], bounds[1:]
    bins = np.arange(len(freqs))
    used = (starts[:, None] <= bins) & (bins < stops[:, None])
    weights = used / np.maximum(stops - starts, 1)[:, None]
    return SparseBank(starts.copy(), stops.copy(), weights.astype(np.float32))


def mel_edges(n_bands: int, fmin: float, fmax: float) -> np.ndarray:
    """Return the edges of bands that are equally wide on Slaney's mel scale [Hz]."""
    edges = _hz(np.linspace(_mel(fmin), _mel(fmax), n_bands + 1))
    edges[0], edges[-1] = fmin, fmax  # without rounding
    return edges


@lru_cache(maxsize=16)
def polynomial_fit(sr: int, n_fft: int, order: int) -> np.ndarray:
    """Return the matrix that fits a polynomial in frequency [Hz] to a spectrum.

    Least squares as in `numpy.polyfit`: columns are scaled to unit length, and small singular
    values are cut at the same limit.

    Returns
    -------
    np.ndarray [shape=(order + 1, 1 + n_fft / 2), dtype=float64]
        One row for each coefficient, the highest power first.
    """
    freqs = frequencies(sr, n_fft)
    powers = np.vander(freqs, order + 1)
    lengths = np.linalg.norm(powers, axis=0)
    limit = len(freqs) * np.finfo(np.float64).eps
    return np.linalg.pinv(powers / lengths, rcond=limit) / lengths[:, None]


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


#: Share of the sum of a constant-Q filter's spectrum that is cut off: librosa's `sparsity`.
_SPARSITY = 0.01

#: Bandwidth of a Hann window [bins], as librosa rounds it.
_HANN_BANDWIDTH = 1.50018310546875


def constant_q_cutoff(fmax: float, bins_per_octave: int) -> float:
    """Return the frequency up to which the constant-Q filter of frequency `fmax` reaches [Hz]."""
    return fmax * (1 + 0.5 * _HANN_BANDWIDTH * _relative_bandwidth(bins_per_octave))


def _relative_bandwidth(bins_per_octave: int) -> float:
    """Return the bandwidth of a constant-Q filter over its frequency: 1 / Q."""
    ratio = 2.0 ** (2.0 / bins_per_octave)
    return (ratio - 1) / (ratio + 1)


@lru_cache(maxsize=128)
def constant_q(fmin: float, bins_per_octave: int) -> np.ndarray:
    """Return the filters of one octave of a constant-Q transform, as `librosa.cqt` has them.

    Each is a tone under a Hann window. Its length is Q periods, and its sum of magnitudes is the
    square root of that length. Small values of its spectrum are cut off. Filters are longest for
    the lowest bin; all are centred in a length that is a power of two.

    Signals and frequencies of half the rate have the same filters.

    Parameters
    ----------
    fmin : float
        Frequency of the lowest bin, as a fraction of the sampling rate.
    bins_per_octave : int
        Number of filters, a multiple of 12.

    Returns
    -------
    np.ndarray [shape=(bins_per_octave / 12, length, 24), dtype=float32]
        Real parts, then imaginary parts, of 12 filters each.
    """
    from scipy.fft import fft  # librosa's; NumPy's rounds in other places

    freqs = fmin * 2.0 ** (np.arange(bins_per_octave) / bins_per_octave)
    lengths = 1.0 / _relative_bandwidth(bins_per_octave) / freqs
    size = int(2.0 ** np.ceil(np.log2(lengths.max())))
    tones = np.zeros((bins_per_octave, size), np.complex64)
    for tone, freq, length in zip(tones, freqs, lengths, strict=True):
        times = np.arange(-length // 2, length // 2)
        wave = np.exp(2j * np.pi * freq * times) * _window("hann", len(times), True)
        start = (size - len(wave)) // 2
        tone[start : start + len(wave)] = wave / np.abs(wave).sum()
    # In single precision and with librosa's roundings. The smallest values that are kept depend on
    # them, and so do the frames around the end of a sound, whose edges are much louder.
    spectra = fft((tones * (lengths / size)[:, None]).astype(np.complex64))[:, : size // 2 + 1]
    sizes = np.abs(spectra)
    ranked = np.sort(sizes, axis=1)
    sums = np.cumsum(ranked / sizes.sum(axis=1, keepdims=True), axis=1)
    first = np.argmin(sums < _SPARSITY, axis=1)
    spectra[sizes < np.take_along_axis(ranked, first[:, None], axis=1)] = 0
    # A product of spectra is a sum of samples with the transform of the spectrum as weights.
    weights = np.fft.fft(spectra.astype(np.complex128), size) / np.sqrt(lengths)[:, None]
    groups = weights.reshape(-1, 12, size)
    parts = np.concatenate((groups.real, groups.imag), axis=1).transpose(0, 2, 1)
    return np.ascontiguousarray(parts, np.float32)
