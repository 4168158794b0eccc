"""What files cost to extract: guessed from their size and format, corrected by what is measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from jobs.corpus.formats import format_of

_SECONDS_A_FILE = 0.0008
_SECONDS_A_BYTE = {"wav": 5e-9, "aif": 5e-9, "aiff": 5e-9, "au": 5e-9, "flac": 1.3e-8}
_SECONDS_A_BYTE_LOSSY = 5e-8

#: Seconds of guesses that weigh as much as what was measured.
_PRIOR_SECONDS = 1.0

Timings = dict[str, tuple[float, float]]
"""Guessed and measured seconds of files, by format."""


def guessed_seconds(path: str, size: int | None) -> float:
    """Return the rough cost of a file: a constant, and so much a byte by its format."""
    a_byte = _SECONDS_A_BYTE.get(format_of(path), _SECONDS_A_BYTE_LOSSY)
    return _SECONDS_A_FILE + (size or 0) * a_byte


class HasTimings(Protocol):
    """A result that says what its files took."""

    spent: Timings


Result = TypeVar("Result", bound=HasTimings)


class CostModel:
    """Guesses, multiplied by how far they were off so far with the same format."""

    def __init__(self) -> None:
        self._guessed: defaultdict[str, float] = defaultdict(float)
        self._measured: defaultdict[str, float] = defaultdict(float)

    def watch(self, results: Iterable[Result]) -> Iterator[Result]:
        """Pass results on and learn from them."""
        for result in results:
            self.observe(result.spent)
            yield result

    def observe(self, spent: Mapping[str, tuple[float, float]]) -> None:
        """Take in what files took, by format."""
        for name, (guessed, measured) in spent.items():
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
