"""Programs of Debian's packages, which `make test-servers` needs."""

from __future__ import annotations

import shutil

import pytest


def needed(program: str, package: str | None = None) -> str:
    """Return the path of a program; fail and name its package if it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"no {program} here: apt-get install {package or program}")
    return found
