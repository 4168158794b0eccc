"""Predict the time to extract a file, from its size and format and from measured times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from jobs.corpus.formats import format_of, guessed_seconds

#: Weight of the prior, which is that guesses are right [s].
_PRIOR_SECONDS = 1.0

#: Guessed and measured seconds of files, by format.
Timings = dict[str, tuple[float, float]]


class CostModel:
    """Guessed costs, corrected by the ratio of measured to guessed seconds of each format."""

    def __init__(self) -> None:
        self._guessed: defaultdict[str, float] = defaultdict(float)
        self._measured: defaultdict[str, float] = defaultdict(float)

    def observe(self, timings: Mapping[str, tuple[float, float]]) -> None:
        """Add guessed and measured seconds of files, by format."""
        for name, (guessed, measured) in timings.items():
            self._guessed[name] += guessed
            self._measured[name] += measured

    def seconds(self, path: str, size: int | None) -> float:
        """Return the expected cost of a file [s]."""
        name = format_of(path)
        guessed, measured = self._guessed.get(name, 0.0), self._measured.get(name, 0.0)
        factor = (measured + _PRIOR_SECONDS) / (guessed + _PRIOR_SECONDS)
        return factor * guessed_seconds(path, size)

    @property
    def factor(self) -> float:
        """Ratio of measured to guessed seconds over all formats."""
        guessed, measured = sum(self._guessed.values()), sum(self._measured.values())
        return (measured + _PRIOR_SECONDS) / (guessed + _PRIOR_SECONDS)
