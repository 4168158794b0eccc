"""Inner loops: compiled ones, or their reference in NumPy, by the same names.

Write ``from featurelib import kernels`` and call ``kernels.spectral.flux(…)``: callers need not
know which kernels this process uses, and numba is imported at the first call only.

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
    from featurelib.kernels.choice import Kernels

    #: The kernels that this process uses. Their values differ in the last digits.
    NAME: Kernels

__all__ = [
    "LANES",
    "NAME",
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
    """Choose the kernels when one is needed for the first time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if "NAME" not in globals():
        from featurelib.kernels.choice import choose

        globals()["NAME"] = choose()
    if name != "NAME":
        module = name if globals()["NAME"] == "compiled" else "reference"
        globals()[name] = import_module(f"{__name__}.{module}")
    return globals()[name]
