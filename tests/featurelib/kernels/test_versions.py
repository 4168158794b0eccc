"""The numbas that are allowed are the ones that are tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

TOP = Path(__file__).parents[3]


def pinned(file: str, name: str) -> list[int]:
    """The first version of a library in a file of constraints."""
    found = re.search(rf"^{name}==([\d.]+)", (TOP / file).read_text(), re.MULTILINE)
    assert found
    return [int(part) for part in found[1].split(".")]


def test_numba_is_bounded_by_what_is_tested():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    (requirement,) = (one for one in project["dependencies"] if one.startswith("numba"))
    low, high = re.fullmatch(r"numba>=0\.(\d+),<0\.(\d+)", requirement).groups()
    assert pinned("tests/constraints-lowest.txt", "numba") == [0, int(low), 0]
    assert pinned("constraints.txt", "numba")[:2] == [0, int(high) - 1]
