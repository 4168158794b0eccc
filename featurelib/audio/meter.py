"""What is known of decoded samples beside features: length, hash, peaks, clipping."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xxhash

from featurelib.errors import AudioError

#: Samples of this size count as clipped: the largest of 16 bits.
CLIP_LEVEL = np.float32(1.0 - 2.0**-15)

#: Peaks below this count as silence: -80 dBFS.
SILENCE_LEVEL = 1e-4

#: Beyond this the power spectrum of the largest n_fft would leave float32.
MAX_SAMPLE = 1e12


class SignalFacts(NamedTuple):
    """What is known of a decoded signal as a whole; see the schema's columns."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    audio_hash: str


class SignalMeter:
    """Gathers the facts of a signal from its decoded samples, and refuses what is not finite."""

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._form: tuple[int, int] | None = None
        self._before_s = 0.0
        self._n_samples = 0
        self._hash = xxhash.xxh3_128()

    def add(self, block: np.ndarray, sr: int) -> float:
        """Take in samples.

        Parameters
        ----------
        block : np.ndarray [shape=(n, channels), dtype=float32]
        sr : int
            Their sampling rate [Hz]; like the number of channels, it may change on the way.

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
        """The facts of all samples so far.

        Raises
        ------
        AudioError
            If there were none.
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
    """How loud the samples of one row are; see the schema's columns."""

    peak: float
    mix_peak: float
    clipped_fraction: float
    is_silent: bool


class PeakMeter:
    """Peaks and clipping of the samples that one row is of, before and after mixing down."""

    def __init__(self) -> None:
        #: Samples so far, of all channels together.
        self.n_samples = 0
        self._n_clipped = 0
        self._peak = 0.0
        self._mix_peak = 0.0

    def add(self, block: np.ndarray, y: np.ndarray, peak: float | None = None) -> None:
        """Take in samples.

        Parameters
        ----------
        block : np.ndarray [shape=(n, channels), dtype=float32]
            Samples as they were decoded.
        y : np.ndarray [shape=(n,), dtype=float32]
            The same, mixed down.
        peak : float, optional
            Largest |x| of the block, if it is known.
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
        """The facts of all samples so far."""
        return PeakFacts(
            peak=self._peak,
            mix_peak=self._mix_peak,
            clipped_fraction=self._n_clipped / max(self.n_samples, 1),
            is_silent=self._peak < SILENCE_LEVEL,
        )


def mix_down(block: np.ndarray) -> np.ndarray:
    """Mean of the channels.

    Parameters
    ----------
    block : np.ndarray [shape=(n, channels), dtype=float32]

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
        For one channel a view of `block`.
    """
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):  # the meter tells what is not finite
        if channels == 2:
            # The same numbers as the mean's, ten times as fast.
            return (block[:, 0] + block[:, 1]) / np.float32(2)
        return block.mean(axis=1)
