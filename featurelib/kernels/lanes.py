"""Lanes, the layout of blocks of frames, and aligned arrays for it."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

#: Number of lanes of a vector, which is the number of frames that are processed at once.
LANES = 8

#: Sums of magnitudes below this count as silence: the smallest normal float32.
TINY = float(np.finfo(np.float32).tiny)

_CACHE_LINE = 64


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an empty array that is aligned, so that each vector lies in one cache line."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + _CACHE_LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % _CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)


class Scratch(threading.local):
    """Aligned float32 memory for the results of one call; each thread has its own."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array with undefined values. The next call reuses its memory."""
        size = math.prod(shape)
        if self._memory.size < size:
            self._memory = aligned((size,), np.float32)
        return self._memory[:size].reshape(shape)
