"""Compiled inner loops.

Spectra of a block of frames are arrays of shape (batches, bins, `simd.LANES`): frame t is
lane t % LANES of batch t // LANES, and lanes beyond the last frame hold numbers of no
meaning. Results have one row, or one number, a frame.

Each kernel is compiled at its first call and kept in numba's cache on disk. Sums are in
float64 or of few float32 terms; what has to equal librosa's float32 arithmetic bit by bit
(magnitudes, roll-off, spectral peaks) does its operations in librosa's order.
"""

from __future__ import annotations

import contextlib
from pathlib import Path


def forget_compiled() -> None:
    """Remove what numba keeps on disk of the kernels.

    It compiles a kernel again when the kernel's own file has changed, but does not see
    changes in `featurelib.simd`.
    """
    from featurelib.kernels import spectrum

    folder = Path(str(spectrum.magnitudes.stats.cache_path))  # that of all kernels
    with contextlib.suppress(OSError):  # another process does the same, or only reads here
        for file in folder.glob("*.nb[ic]"):
            file.unlink()
