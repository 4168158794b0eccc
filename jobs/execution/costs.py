"""Predict the time to extract files, from their sizes and formats and from measured times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from jobs.corpus.formats import cost_class, guessed_seconds

#: Weight of what is assumed before anything is measured: that the guesses are right, and that a
#: class of files is as its neighbour [s].
_PRIOR_SECONDS = 0.05

#: Guessed and measured seconds of files, by class (see `jobs.corpus.formats.cost_class`).
Timings = dict[str, tuple[float, float]]


class CostModel:
    """Guessed costs, corrected by the ratio of measured to guessed seconds of each class.

    A class of which no file was measured has the ratio of the class of the same format whose
    sizes are the nearest; if there is none, the ratio of all files.
    """

    def __init__(self) -> None:
        self._formats: defaultdict[str, dict[int, tuple[float, float]]] = defaultdict(dict)
        self._guessed = self._measured = 0.0

    def observe(self, timings: Timings) -> None:
        """Add guessed and measured seconds of files, by class."""
        for name, (guessed, measured) in timings.items():
            audio_format, magnitude = _parts(name)
            sizes = self._formats[audio_format]
            before = sizes.get(magnitude, (0.0, 0.0))
            sizes[magnitude] = (before[0] + guessed, before[1] + measured)
            self._guessed += guessed
            self._measured += measured

    def seconds(self, path: str, size: int | None) -> float:
        """Return the expected cost of a file [s]."""
        return self._ratio(cost_class(path, size)) * guessed_seconds(path, size)

    def total(self, guesses: Mapping[str, float]) -> float:
        """Return the expected cost of files whose guessed seconds are given by class [s]."""
        return sum(self._ratio(name) * guessed for name, guessed in guesses.items())

    def knows(self, name: str) -> bool:
        """Return whether a file of a class was measured."""
        audio_format, magnitude = _parts(name)
        return magnitude in self._formats[audio_format]

    def knows_format(self, name: str) -> bool:
        """Return whether a file of the format of a class was measured."""
        return bool(self._formats[_parts(name)[0]])

    @property
    def factor(self) -> float:
        """Ratio of measured to guessed seconds over all classes."""
        return _ratio(self._guessed, self._measured, 1.0)

    def _ratio(self, name: str) -> float:
        audio_format, magnitude = _parts(name)
        sizes = self._formats[audio_format]
        if not sizes:
            return self.factor
        near = sizes[min(sizes, key=lambda other: abs(other - magnitude))]
        assumed = near[1] / near[0]
        return _ratio(*sizes.get(magnitude, (0.0, 0.0)), assumed)


def _parts(name: str) -> tuple[str, int]:
    audio_format, _, magnitude = name.partition(":")
    return audio_format, int(magnitude)


def _ratio(guessed: float, measured: float, assumed: float) -> float:
    return (measured + assumed * _PRIOR_SECONDS) / (guessed + _PRIOR_SECONDS)
