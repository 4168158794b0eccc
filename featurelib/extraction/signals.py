"""Samples in memory, checked and cut into blocks like those of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from featurelib import audio
from featurelib.errors import AudioError, ParameterError
from featurelib.parameters import SR_LIMITS

_NUMBERS = (int, float, np.number)


def signal_blocks(y: np.ndarray, sr: int) -> audio.Blocks:
    """Check samples in memory, and return them as blocks.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (channels, n)]
        Samples, floating-point.
    sr : int
        Sampling rate [Hz].

    Returns
    -------
    iterable of (int, np.ndarray)
        Sampling rates [Hz] and float32 samples of shape (n, channels).

    Raises
    ------
    AudioError
        If there are no channels.
    ParameterError
        If `y` or `sr` has the wrong type, shape or value.
    """
    samples = _checked(y)
    low, high = SR_LIMITS
    if isinstance(sr, bool) or not isinstance(sr, _NUMBERS) or sr % 1 != 0:
        raise ParameterError(f"sr={sr!r} is not a whole number of Hz")
    if not low <= sr <= high:
        raise ParameterError(f"sr={sr!r} must lie between {low} and {high} Hz")
    return ((int(sr), block) for block in _slices(samples))


def _checked(y: Any) -> np.ndarray:
    """Check `y` and return it as float32, shape (channels, n)."""
    if not isinstance(y, np.ndarray) or y.dtype.kind != "f":
        kind = y.dtype if isinstance(y, np.ndarray) else type(y).__name__
        raise ParameterError(f"y must be an array of floating-point samples, not {kind}")
    if y.ndim not in (1, 2):
        raise ParameterError(f"y.shape={y.shape} is neither (n,) nor (channels, n)")
    if y.ndim == 2 and y.shape[0] > y.shape[1] > 0:
        raise ParameterError(
            f"y.shape={y.shape} has more channels than samples: give (channels, n), as y.T is"
        )
    if y.ndim == 2 and len(y) == 0:
        raise AudioError("empty", "no channels")
    if y.dtype != np.float32:
        with np.errstate(over="ignore"):  # SignalMeter raises the error
            y = y.astype(np.float32)
    return np.atleast_2d(y)


def _slices(samples: np.ndarray) -> Iterator[np.ndarray]:
    step = max(audio.BLOCK_SAMPLES // len(samples), 1)
    for start in range(0, samples.shape[1], step):
        # This memory layout makes the mean of the channels equal to librosa's.
        yield samples[:, start : start + step].T
