"""Which code this is: driver and workers have to run the same."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "featurelib"
_DECIDES_VALUES = ("numpy", "scipy", "soundfile", "soxr", "numba", "pyarrow")


def software_version() -> str:
    """Return the installed version of featurelib."""
    return metadata.version(DISTRIBUTION)


@functools.cache
def code_version() -> str:
    """Return a digest of the source code of both packages and of the libraries that decide values.

    It is the same wherever a worker computes the same rows.
    """
    digest = hashlib.sha256()
    top = Path(__file__).resolve().parent.parent
    for package in ("featurelib", "jobs"):
        for path in sorted((top / package).rglob("*.py")):
            digest.update(str(path.relative_to(top)).encode())
            digest.update(path.read_bytes())
    libraries = " ".join(f"{name} {metadata.version(name)}" for name in _DECIDES_VALUES)
    digest.update(libraries.encode())
    return f"{software_version()}+{digest.hexdigest()[:12]}"
