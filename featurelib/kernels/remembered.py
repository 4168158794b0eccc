"""What is known about kernels on this machine, so that it need not be found out again.

Importing numba and loading a kernel takes a second. A driver that only plans needs neither: it
reads here that kernels can be compiled, or that those of a spec are compiled. A fact is a small
file beside numba's own cache. Its name covers the source code of all kernels, the versions of
numba, llvmlite and Python, the processor and numba's settings.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path

_FOLDER = Path(__file__).parent
_CPU = Path("/proc/cpuinfo")


def knows(fact: str) -> bool:
    """Return whether a fact was remembered by any process on this machine."""
    path = _path(fact)
    return path is not None and path.is_file()


def remember(fact: str) -> None:
    """Remember a fact, unless no file can be written beside numba's cache."""
    path = _path(fact)
    if path is None or path.is_file():
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        file, name = tempfile.mkstemp(dir=path.parent)
        os.close(file)
        os.replace(name, path)


def forget(fact: str) -> None:
    """Forget a fact."""
    if (path := _path(fact)) is not None:
        path.unlink(missing_ok=True)


def _path(fact: str) -> Path | None:
    """Return the file of a fact; None if the machine cannot be identified."""
    try:
        identity = _identity(_settings())
    except (OSError, metadata.PackageNotFoundError):
        return None
    name = hashlib.sha256(f"{identity} {fact}".encode()).hexdigest()[:32]
    return folder() / f"featurelib-{name}"


def folder() -> Path:
    """Return the folder of numba's cache, if it can be written."""
    return Path(os.environ.get("NUMBA_CACHE_DIR") or _FOLDER / "__pycache__")


def _settings() -> str:
    ignored = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")
    return repr(sorted(i for i in os.environ.items() if "NUMBA_" in i[0] and i[0] not in ignored))


@functools.cache
def _identity(settings: str) -> str:
    found = hashlib.sha256(settings.encode())
    for library in ("numba", "llvmlite", "numpy"):
        found.update(metadata.version(library).encode())
    for path in sorted(_FOLDER.glob("*.py")):
        found.update(path.read_bytes())
    found.update(f"{_FOLDER} {sys.version} {platform.machine()} {_processor()}".encode())
    return found.hexdigest()


def _processor() -> str:
    """Return the model and the instruction sets of the processor, as the system names them."""
    try:
        lines = _CPU.read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
