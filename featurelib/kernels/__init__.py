"""Inner loops: compiled ones, or their reference in NumPy, by the same names.

Call them through this package, ``kernels.spectral.centroids(…)`` after ``from featurelib
import kernels``, so that callers need not know which ones this process uses. The choice is
made at the first call, as numba takes half a second to get ready: who only plans a run, or
describes a table, does not wait for it.

Spectra of a block of frames are arrays of shape (batches, bins, LANES): frame t is lane
t % LANES of batch t // LANES, and lanes beyond the last frame hold numbers of no meaning.
Results have one row, or one number, a frame.

What each kernel computes is defined in `featurelib.kernels.reference`. Compiled ones are
made at their first call and kept in numba's cache on disk. Their sums are in float64 or of
few float32 terms; what has to equal librosa's float32 arithmetic bit by bit (magnitudes,
roll-off, spectral peaks) does its operations in librosa's order.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from featurelib.kernels.choice import Kernels, choose
from featurelib.kernels.lanes import LANES, aligned

if TYPE_CHECKING:
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

    #: The kernels that this process uses. Their values differ in the last digits.
    NAME: Kernels

_MODULES = ("contrast", "fft", "filters", "moments", "peaks", "quantiles", "samples", "spectral")

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


def __getattr__(name: str) -> Any:
    if name not in (*_MODULES, "NAME"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    chosen = choose()
    for module in _MODULES:
        file = module if chosen == "compiled" else "reference"
        globals()[module] = import_module(f"{__name__}.{file}")
    globals()["NAME"] = chosen
    return globals()[name]
