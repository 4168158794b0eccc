"""The layout of blocks of frames in lanes, and memory for it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: Lanes of every vector, and so frames that are worked on at once.
LANES = 8

#: Sums of magnitudes below this count as silence: the smallest normal float32.
TINY = float(np.finfo(np.float32).tiny)

_CACHE_LINE = 64


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array like `numpy.empty`'s whose vectors lie in one cache line each."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + _CACHE_LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % _CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)
