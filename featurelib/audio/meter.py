"""Measurements of decoded samples other than features: length, hash, peaks, clipping."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xxhash

from featurelib.errors import AudioError

#: Smallest |x| that counts as clipped: the largest 16-bit sample.
CLIP_LEVEL = np.float32(1.0 - 2.0**-15)

#: Peaks below this count as silence: -80 dBFS.
SILENCE_LEVEL = 1e-4

#: Largest accepted |x|. For the largest n_fft, the power of larger samples exceeds float32.
MAX_SAMPLE = 1e12


class SignalFacts(NamedTuple):
    """Facts about a whole decoded signal: the columns of the same names in `schema`.

    Attributes
    ----------
    duration_s : float
        Duration [s].
    sample_rate_hz, channels : int
        Sampling rate [Hz] and number of channels of the first stream.
    audio_hash : str
        XXH3-128 of rates, channels and samples, 32 hex digits.
    """

    duration_s: float
    sample_rate_hz: int
    channels: int
    audio_hash: str


class SignalMeter:
    """Computes the facts about a signal from its decoded samples, which must be finite."""

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._form: tuple[int, int] | None = None
        self._before_s = 0.0
        self._n_samples = 0
        self._hash = xxhash.xxh3_128()

    def add(self, block: np.ndarray, sr: int) -> float:
        """Add samples.

        Parameters
        ----------
        block : np.ndarray [shape=(n, channels), dtype=float32]
            Decoded samples. The number of channels may differ between blocks.
        sr : int
            Sampling rate [Hz]; it may differ between blocks.

        Returns
        -------
        float
            Largest |x| of the block.

        Raises
        ------
        AudioError
            If a sample is NaN, infinite, or too large for its spectrum to be finite.
        """
        if (sr, block.shape[1]) != self._form:
            self._begin(sr, block.shape[1])
        peak = max(float(block.max()), -float(block.min()))
        if not peak <= MAX_SAMPLE:  # NaN compares false
            bad = int(np.argmin(np.abs(block).ravel() <= MAX_SAMPLE))
            second = self._before_s + (self._n_samples + bad) // block.shape[1] / sr
            raise AudioError(
                "not_finite",
                f"a sample that is NaN, infinite or beyond ±{MAX_SAMPLE:g} at {second:.6g} s",
            )
        self._n_samples += block.size
        self._hash.update(np.ascontiguousarray(block).data)
        return peak

    def _begin(self, sr: int, channels: int) -> None:
        if self._form is not None:
            self._before_s = self._seconds()
            self._n_samples = 0
        self._form = (sr, channels)
        self._first = self._first or self._form
        self._hash.update(f"{sr} {channels} ".encode())

    def _seconds(self) -> float:
        assert self._form is not None
        sr, channels = self._form
        return self._before_s + self._n_samples // channels / sr

    def facts(self) -> SignalFacts:
        """Return the facts about all samples so far.

        Raises
        ------
        AudioError
            If there are no samples.
        """
        if self._first is None:
            raise AudioError("empty", "no samples")
        return SignalFacts(
            duration_s=self._seconds(),
            sample_rate_hz=self._first[0],
            channels=self._first[1],
            audio_hash=self._hash.hexdigest(),
        )


class PeakFacts(NamedTuple):
    """Level of the samples of one row: the columns of the same names in `schema`.

    Attributes
    ----------
    peak, mix_peak : float
        Largest |x| before and after mixing down.
    clipped_fraction : float
        Fraction of the samples with |x| of at least `CLIP_LEVEL`, before mixing down.
    is_silent : bool
        Whether the peak is below `SILENCE_LEVEL`.
    """

    peak: float
    mix_peak: float
    clipped_fraction: float
    is_silent: bool


class PeakMeter:
    """Measures the peaks and the clipping of the samples of one row.

    Attributes
    ----------
    n_samples : int
        Number of samples so far, summed over channels.
    """

    def __init__(self) -> None:
        self.n_samples = 0
        self._n_clipped = 0
        self._peak = 0.0
        self._mix_peak = 0.0

    def add(self, block: np.ndarray, y: np.ndarray, peak: float | None = None) -> None:
        """Add samples.

        Parameters
        ----------
        block : np.ndarray [shape=(n, channels), dtype=float32]
            Decoded samples.
        y : np.ndarray [shape=(n,), dtype=float32]
            The same samples, mixed down.
        peak : float, optional
            Largest |x| of the block, if known.
        """
        if not block.size:
            return
        if peak is None:
            peak = max(float(block.max()), -float(block.min()))
        if peak >= CLIP_LEVEL:
            self._n_clipped += int(np.count_nonzero(np.abs(block) >= CLIP_LEVEL))
        self._peak = max(self._peak, peak)
        mix_peak = peak if block.shape[1] == 1 else max(float(y.max()), -float(y.min()))
        self._mix_peak = max(self._mix_peak, mix_peak)
        self.n_samples += block.size

    def facts(self) -> PeakFacts:
        """Return the level of all samples so far."""
        return PeakFacts(
            peak=self._peak,
            mix_peak=self._mix_peak,
            clipped_fraction=self._n_clipped / max(self.n_samples, 1),
            is_silent=self._peak < SILENCE_LEVEL,
        )


def mix_down(block: np.ndarray) -> np.ndarray:
    """Return the mean of the channels, as `librosa.to_mono`.

    Parameters
    ----------
    block : np.ndarray [shape=(n, channels), dtype=float32]
        Samples.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
        For one channel a view of `block`.
    """
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):  # SignalMeter raises the error
        if channels == 2:
            # Same values as block.mean, ten times as fast.
            return (block[:, 0] + block[:, 1]) / np.float32(2)
        return block.mean(axis=1)
