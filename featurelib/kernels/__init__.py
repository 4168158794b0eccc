"""Inner loops: compiled kernels, or a reference in NumPy with the same names.

Call kernels through this package: ``kernels.spectral.centroids(…)`` after ``from featurelib
import kernels``. So callers need not know which kernels this process uses. The choice is made
at the first call, because importing numba takes half a second. Planning a run and describing
a table need no kernels, so they do not import it.

Spectra of a block of frames are arrays of shape (batches, bins, LANES): frame t is lane
t % LANES of batch t // LANES. Lanes after the last frame hold meaningless numbers. Results
have one row or one number per frame.

`featurelib.kernels.reference` defines what each kernel computes. A compiled kernel is
compiled at its first call and kept in numba's cache on disk. Sums are in float64, or in
float32 if they have few terms. Values that must equal librosa's float32 values bit by bit
(magnitudes, roll-off, spectral peaks) are computed in librosa's order of operations.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from featurelib.kernels.choice import Kernels, choose, expected
from featurelib.kernels.lanes import LANES, Scratch, aligned

if TYPE_CHECKING:
    from featurelib.kernels import (
        constantq,
        contrast,
        fft,
        filters,
        medians,
        moments,
        peaks,
        periodicity,
        quantiles,
        rhythm,
        samples,
        spectral,
    )

    #: The kernels that this process uses: the values of the two differ in the last digits.
    NAME: Kernels

MODULES = (
    "constantq",
    "contrast",
    "fft",
    "filters",
    "medians",
    "moments",
    "peaks",
    "periodicity",
    "quantiles",
    "rhythm",
    "samples",
    "spectral",
)

__all__ = [
    "LANES",
    "NAME",
    "Kernels",
    "Scratch",
    "aligned",
    "constantq",
    "contrast",
    "expected",
    "fft",
    "filters",
    "medians",
    "moments",
    "peaks",
    "periodicity",
    "quantiles",
    "rhythm",
    "samples",
    "spectral",
]


def __getattr__(name: str) -> Any:
    if name not in (*MODULES, "NAME"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    chosen = choose()
    for module in MODULES:
        file = module if chosen == "compiled" else "reference"
        globals()[module] = import_module(f"{__name__}.{file}")
    globals()["NAME"] = chosen
    return globals()[name]
