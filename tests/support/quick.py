"""Long lists of parameters, of which the quick suite runs some and the slow one the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def slow_but(quick: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """Mark values slow, but those named; all of them are for `pytest.mark.parametrize`."""
    quick = list(quick)
    return [value if value in quick else _slow(value) for value in values]


def slow_but_every(n: int, values: Sequence[Any]) -> list[Any]:
    """Mark values slow, but the first of each n."""
    return [value if i % n == 0 else _slow(value) for i, value in enumerate(values)]


def _slow(value: Any) -> Any:
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=pytest.mark.slow)
