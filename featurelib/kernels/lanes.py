"""Lanes, the layout of blocks of frames, and aligned arrays for it."""

from __future__ import annotations

import math
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
