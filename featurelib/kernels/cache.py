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

#: Beside compiled kernels: the version of the code that they are of.
_VERSION_FILE = "featurelib-version"


def forget_compiled_of_others(version: str) -> None:
    """Remove what numba keeps on disk of kernels of another version of the code.

    It compiles a kernel again when the kernel's own file has changed, but does not see
    changes in `featurelib.simd`.
    """
    from featurelib.kernels import spectrum

    folder = Path(str(spectrum.magnitudes.stats.cache_path))  # that of all kernels
    note = folder / _VERSION_FILE
    with contextlib.suppress(OSError):  # it is there to be read only, or not there yet
        if note.exists() and note.read_text() == version:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.nb[ic]"):
            file.unlink(missing_ok=True)
        note.write_text(version)
