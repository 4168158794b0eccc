"""Inner loops: compiled ones, or their reference in NumPy, by the same names.

Import the modules from here, ``from featurelib.kernels import spectral``, and never from
``featurelib.kernels.spectral``: so callers need not know which ones this process uses.

Spectra of a block of frames are arrays of shape (batches, bins, LANES): frame t is lane
t % LANES of batch t // LANES, and lanes beyond the last frame hold numbers of no meaning.
Results have one row, or one number, a frame.

What each kernel computes is defined in `featurelib.kernels.reference`. Compiled ones are
made at their first call and kept in numba's cache on disk. Their sums are in float64 or of
few float32 terms; what has to equal librosa's float32 arithmetic bit by bit (magnitudes,
roll-off, spectral peaks) does its operations in librosa's order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurelib.kernels.choice import Kernels, choose
from featurelib.kernels.lanes import LANES, aligned

__all__ = [
    "LANES",
    "NAME",
    "Kernels",
    "aligned",
    "contrast",
    "fft",
    "filters",
    "moments",
    "peaks",
    "quantiles",
    "samples",
    "spectral",
]

#: The kernels that this process uses. Their values differ in the last digits.
NAME: Kernels = choose()

if TYPE_CHECKING or NAME == "compiled":
    from featurelib.kernels import (
        contrast,
        fft,
        filters,
        moments,
        peaks,
        quantiles,
        samples,
        spectral,
    )
else:
    from featurelib.kernels import reference

    contrast = fft = filters = moments = peaks = quantiles = samples = spectral = reference
