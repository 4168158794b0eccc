"""Resampling of a signal that arrives in pieces."""

from __future__ import annotations

import math

import numpy as np
import soxr


class Resampler:
    """Resamples by soxr's "HQ", to the samples and the length that librosa gives.

    Parameters
    ----------
    orig_sr, target_sr : int
        Sampling rates [Hz].
    """

    def __init__(self, orig_sr: int, target_sr: int) -> None:
        self._ratio = float(target_sr) / orig_sr
        self._stream = (
            None
            if orig_sr == target_sr
            else soxr.ResampleStream(orig_sr, target_sr, 1, dtype="float32", quality="HQ")
        )
        self._taken = 0
        self._given = 0

    def push(self, y: np.ndarray) -> np.ndarray:
        """Take in samples of shape (n,); return those that are ready."""
        if self._stream is None:
            return y
        self._taken += len(y)
        return self._give(self._stream.resample_chunk(np.ascontiguousarray(y)))

    def finish(self) -> np.ndarray:
        """The rest, so that there are ceil(n * ratio) samples in all."""
        if self._stream is None:
            return np.empty(0, np.float32)
        rest = self._give(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
        missing = math.ceil(self._taken * self._ratio) - self._given
        self._given += missing
        return np.concatenate((rest, np.zeros(missing, np.float32)))

    def _give(self, y: np.ndarray) -> np.ndarray:
        # The filter's delay keeps the output behind this bound until the very end.
        y = y[: math.ceil(self._taken * self._ratio) - self._given]
        self._given += len(y)
        return y


class JoiningResampler:
    """Resamples signals that follow one another, each from its own rate, and joins them.

    Parameters
    ----------
    target_sr : int
        Sampling rate of the whole [Hz].
    """

    def __init__(self, target_sr: int) -> None:
        self._target_sr = target_sr
        self._sr: int | None = None
        self._current: Resampler | None = None

    def push(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Take in samples of shape (n,) at a rate; return those that are ready."""
        if sr != self._sr:
            rest = self.finish()
            self._sr, self._current = sr, Resampler(sr, self._target_sr)
            if len(rest):
                return np.concatenate((rest, self._current.push(y)))
        assert self._current is not None
        return self._current.push(y)

    def finish(self) -> np.ndarray:
        """The rest of the last signal."""
        return np.empty(0, np.float32) if self._current is None else self._current.finish()
