"""A small kernel that shows whether kernels of vectors can be compiled."""

from __future__ import annotations

import numpy as np

from featurelib.kernels.cache import kernel
from featurelib.kernels.vector import load, muladd, spread, sqrt, store


@kernel()
def probe(x: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`, of one vector, with the square root of x · x[0] + x."""
    value = load(x, 0)
    store(out, 0, sqrt(muladd(value, spread(x, 0), value)))
