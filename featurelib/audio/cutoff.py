"""The frequency above which a signal has nothing, as after a low-pass filter or upsampling."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from featurelib import kernels
from featurelib.audio.meter import SILENCE_LEVEL, mix_down
from featurelib.kernels import LANES, aligned

_N_FFT = 1024

#: The beginning is looked at as a whole, so that short signals have some frames [samples].
_BEGINNING = 16 * _N_FFT

#: After it, one frame of so many samples is looked at.
_STRIDE = 32 * _N_FFT

#: Where all is this far below the strongest bin, there is nothing [dB]. Samples of 16 bits have
#: quantization noise of that level in a quiet recording.
_NOTHING_DB = -70.0

#: Recordings fade out with frequency. A filter cuts: by so much, within a fifth of the band [dB].
_CLIFF_DB = 25.0

#: The cutoff is where the spectrum is so far below its level before the cliff [dB].
_EDGE_DB = 15.0

#: The band before the cliff, as a share of the highest bin with content.
_BEFORE = (0.7, 0.87)

#: From this share of the highest bin with content on, there is nothing: filters are not ideal.
_BEYOND = 1.05

#: A cliff above this share of the bins is the filter that each recording has.
_OWN_FILTER = 0.97

#: Number of bins over which the power is averaged.
_SMOOTHED = 9


class CutoffMeter:
    """Measures the cutoff of a signal from its decoded samples, in bounded memory.

    It looks at some frames, mixed down, of the streams that have the first one's rate.
    """

    def __init__(self) -> None:
        self._sr = 0
        self._n = 0
        self._next, self._stop = 0, _BEGINNING  # the samples that are looked at next
        self._frames = np.empty(LANES * _N_FFT, np.float32)
        self._filled = 0
        self._magnitudes = aligned((1, _N_FFT // 2 + 1, LANES), np.float32)
        self._largest = np.zeros_like(self._magnitudes)
        self._transform = kernels.fft.transform(_window(), _N_FFT)

    def add(self, block: np.ndarray, sr: int) -> None:
        """Add samples, which must be finite.

        Parameters
        ----------
        block : np.ndarray [shape=(n, channels), dtype=float32]
            Decoded samples. The number of channels may differ between blocks.
        sr : int
            Sampling rate [Hz].
        """
        self._sr = self._sr or sr
        if sr != self._sr:
            return
        first, self._n = self._n, self._n + len(block)
        while self._next < self._n:
            stop = min(self._stop, self._n, self._next + len(self._frames) - self._filled)
            part = mix_down(block[self._next - first : stop - first])
            self._frames[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            self._next = stop
            if self._filled == len(self._frames):
                self._take()
            if stop == self._stop:
                self._next = (stop // _STRIDE + 1) * _STRIDE
                self._stop = self._next + _N_FFT

    def _take(self) -> None:
        """Add the complete frames to the largest magnitudes of each bin."""
        self._frames[self._filled // _N_FFT * _N_FFT :] = 0
        self._transform(self._frames, self._magnitudes)
        np.maximum(self._largest, self._magnitudes, out=self._largest)
        self._filled = 0

    def cutoff_hz(self) -> float | None:
        """Return the cutoff of all samples [Hz]. It ends the measurement: add none afterwards.

        Returns
        -------
        float or None
            The frequency at which the spectrum breaks off, beyond which there is nothing. None
            if there is content up to the Nyquist frequency, or if nothing can be said: the
            signal fades out, is silent, is too noisy or too short.
        """
        if self._filled:
            self._take()
        found = _cutoff_bin(self._largest[0])
        return None if found is None else found * self._sr / _N_FFT


def _cutoff_bin(largest: np.ndarray) -> int | None:
    """Return the bin at which a spectrum breaks off, of its magnitudes by bin and lane, or None."""
    # A tone of amplitude 1 has a magnitude of n_fft / 4 with this window.
    top = largest.max()
    if top < SILENCE_LEVEL * _N_FFT / 4:
        return None
    if largest[int(_OWN_FILTER * len(largest)) :].max() >= top * 10 ** (_NOTHING_DB / 20):
        return None  # as in most files
    power = (largest.max(axis=1) / np.float64(top)) ** 2
    db = _db(power)
    highest = int(np.flatnonzero(db >= _NOTHING_DB)[-1])
    beyond = int(_BEYOND * highest) + 1
    if beyond > _OWN_FILTER * len(db):
        return None
    smooth = _smoothed(power)
    low, high = (int(share * highest) for share in _BEFORE)
    before = float(_db(smooth[low : max(high, low + 1)].mean()))
    if before - db[beyond:].max() < _CLIFF_DB:
        return None
    return int(np.flatnonzero(_db(smooth[: highest + 1]) >= before - _EDGE_DB)[-1])


def _smoothed(power: np.ndarray) -> np.ndarray:
    """Return the mean of each bin and its neighbours."""
    sums = np.concatenate([[0.0], np.cumsum(power)])
    bins = np.arange(len(power))
    start = np.maximum(bins - _SMOOTHED // 2, 0)
    stop = np.minimum(bins + _SMOOTHED // 2 + 1, len(power))
    return (sums[stop] - sums[start]) / (stop - start)


def _db(power: np.ndarray) -> np.ndarray:
    return 10.0 * np.log10(np.maximum(power, 1e-30))


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    """Return a Hann window, as for a spectrogram."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)


def warm_up() -> None:
    """Compile the kernel that the meter uses."""
    meter = CutoffMeter()
    meter.add(np.ones((_N_FFT, 1), np.float32), sr=_N_FFT)
    meter.cutoff_hz()
