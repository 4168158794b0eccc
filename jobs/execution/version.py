"""The version of the code, which must be the same in the driver and all workers."""

from __future__ import annotations

import functools
import hashlib
import re
from importlib import metadata
from pathlib import Path

import soundfile

import featurelib

DISTRIBUTION = "featurelib"
_DECIDES_VALUES = ("numpy", "scipy", "soundfile", "miniaudio", "av", "soxr", "numba", "pyarrow")
_FFMPEG_LIBRARY = re.compile(r"lib(avcodec|avformat|avutil|swresample)[-.].*")


def software_version() -> str:
    """Return the installed version of featurelib."""
    return metadata.version(DISTRIBUTION)


def _version_of(library: str) -> str:
    """Return the installed version of a library; ``none`` if it is missing, as numba may be."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "none"


def _ffmpeg_libraries() -> list[str]:
    """Return names that identify the FFmpeg build that PyAV uses."""
    # a wheel has FFmpeg inside, with digests in the file names; importing it would take 0.1 s
    names = (Path(str(file)).name for file in metadata.files("av") or ())
    if bundled := sorted(name for name in names if _FFMPEG_LIBRARY.fullmatch(name)):
        return bundled
    return [featurelib.ffmpeg_version()]


@functools.cache
def code_version() -> str:
    """Return the version of featurelib with a digest of everything that affects values.

    The digest covers the source code of both packages and the versions of the libraries. A
    suffix names kernels that are not compiled, because the last digits of their values differ.
    """
    from featurelib import kernels

    digest = hashlib.sha256()
    top = Path(__file__).resolve().parents[2]
    for package in ("featurelib", "jobs"):
        for path in sorted((top / package).rglob("*.py")):
            digest.update(str(path.relative_to(top)).encode())
            digest.update(path.read_bytes())
    libraries = " ".join(f"{name} {_version_of(name)}" for name in _DECIDES_VALUES)
    digest.update(f"{libraries} libsndfile {soundfile.__libsndfile_version__}".encode())
    digest.update(" ".join(_ffmpeg_libraries()).encode())
    name = kernels.expected()
    others = "" if name == "compiled" else f".{name}"
    return f"{software_version()}+{digest.hexdigest()[:12]}{others}"
