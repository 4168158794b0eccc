"""What files cost to extract: guessed from their size and format, corrected by what is measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from jobs.corpus.formats import format_of, guessed_seconds

#: Seconds of guesses that weigh as much as what was measured.
_PRIOR_SECONDS = 1.0

Timings = dict[str, tuple[float, float]]
"""Guessed and measured seconds of files, by format."""


class CostModel:
    """Guesses, multiplied by how far they were off so far with the same format."""

    def __init__(self) -> None:
        self._guessed: defaultdict[str, float] = defaultdict(float)
        self._measured: defaultdict[str, float] = defaultdict(float)

    def observe(self, timings: Mapping[str, tuple[float, float]]) -> None:
        """Take in what files took, by format."""
        for name, (guessed, measured) in timings.items():
            self._guessed[name] += guessed
            self._measured[name] += measured

    def seconds(self, path: str, size: int | None) -> float:
        """Return the expected cost of a file."""
        name = format_of(path)
        guessed, measured = self._guessed.get(name, 0.0), self._measured.get(name, 0.0)
        factor = (measured + _PRIOR_SECONDS) / (guessed + _PRIOR_SECONDS)
        return factor * guessed_seconds(path, size)

    @property
    def factor(self) -> float:
        """How far all guesses together were off."""
        guessed, measured = sum(self._guessed.values()), sum(self._measured.values())
        return (measured + _PRIOR_SECONDS) / (guessed + _PRIOR_SECONDS)
