"""Small disks in memory, which fill up for real."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

_MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


def on_a_small_disk(
    folder: Path, size: str, *arguments: str | Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process that sees a disk of some size at a folder.

    The test is skipped where users may not mount disks of their own.

    Parameters
    ----------
    folder
        Where the disk is mounted.
    size
        Its size, as `mount` takes it.
    *arguments
        Of Python.
    **environment
        More variables of the environment.
    """
    if not _can_mount():
        pytest.skip("no user namespaces here")
    line = ["unshare", "-rm", "sh", "-c", _MOUNT, "sh", size, str(folder), sys.executable]
    return subprocess.run(
        [*line, *map(os.fspath, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@functools.cache
def _can_mount() -> bool:
    try:
        line = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
        return subprocess.run(line, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
