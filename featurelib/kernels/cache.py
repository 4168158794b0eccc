"""Numba's cache of compiled kernels on disk."""

import contextlib
from pathlib import Path

#: Beside compiled kernels: the version of the code that they are of.
_VERSION_FILE = "featurelib-version"


def forget_compiled_of_others(version: str) -> None:
    """Remove what numba keeps on disk of kernels of another version of the code.

    It compiles a kernel again when the kernel's own file has changed, but does not see
    changes in `featurelib.kernels.vector`.
    """
    from featurelib.kernels import fft

    folder = Path(str(fft.magnitudes.stats.cache_path))  # that of all kernels
    note = folder / _VERSION_FILE
    with contextlib.suppress(OSError):  # it is there to be read only, or not there yet
        if note.exists() and note.read_text() == version:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.nb[ic]"):
            file.unlink(missing_ok=True)
        note.write_text(version)
