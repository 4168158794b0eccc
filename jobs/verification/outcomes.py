"""What the comparison of a file's values with librosa's gives."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

#: Largest share of the frames of a quantized feature that rounding errors may flip.
MAX_FLIPPED = 0.05

#: Note about values that were compared, and are only outside of the tolerance without it.
WITHIN_ROUNDING = "within librosa's own rounding errors"

#: Note about values for which librosa has none.
NOT_FINITE = "without a finite value of librosa's"

#: Stands for an infinite share of the tolerance, which JSON cannot express.
_LARGEST = 1e12


@dataclass(frozen=True)
class Deviation:
    """A value and what librosa gives.

    Attributes
    ----------
    path : str
        Stored path of the file.
    channel, segment : int or None
        The row.
    column : str
        The column.
    value, expected : float
        Value in the table, and by librosa. Of a series, those of the frame that differs most.
    tolerance : float
        Largest difference that featurelib promises.
    """

    path: str
    channel: int | None
    segment: int | None
    column: str
    value: float
    expected: float
    tolerance: float

    @property
    def share(self) -> float:
        """The difference as a share of the tolerance."""
        difference = abs(self.value - self.expected)
        if not math.isfinite(difference):
            return _LARGEST
        if difference == 0:
            return 0.0
        return min(difference / self.tolerance, _LARGEST) if self.tolerance else _LARGEST

    def to_dict(self) -> dict[str, Any]:
        """Return the deviation as a dictionary for JSON."""
        finite = {
            name: number if math.isfinite(number) else str(number)
            for name, number in (("value", self.value), ("librosa", self.expected))
        }
        return {
            "path": self.path,
            "channel": self.channel,
            "segment": self.segment,
            "column": self.column,
            **finite,
            "tolerance": self.tolerance,
            "share": self.share,
        }


@dataclass
class FamilyOutcome:
    """What was found about the columns of one family.

    Attributes
    ----------
    n_values : int
        Number of values that were compared; a series is one value.
    largest : Deviation, optional
        The largest deviation, as a share of the tolerance.
    n_frames, n_flipped : int
        Of quantized features: number of frames, and of those that differ from librosa's.
    notes : Counter
        Number of values that were not compared, or are apart, by the reason.
    """

    n_values: int = 0
    largest: Deviation | None = None
    n_frames: int = 0
    n_flipped: int = 0
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def n_not_compared(self) -> int:
        """Number of values that were not compared."""
        return self.notes.total() - self.notes[WITHIN_ROUNDING]

    @property
    def flipped(self) -> float:
        """Share of the frames that differ."""
        return self.n_flipped / self.n_frames if self.n_frames else 0.0

    def note(self, deviation: Deviation) -> None:
        """Count a value that was compared."""
        self.n_values += 1
        if self.largest is None or deviation.share > self.largest.share:
            self.largest = deviation

    def add(self, other: FamilyOutcome) -> None:
        """Add the outcome of other values of this family."""
        if other.largest is not None and (
            self.largest is None or other.largest.share > self.largest.share
        ):
            self.largest = other.largest
        self.n_values += other.n_values
        self.n_frames += other.n_frames
        self.n_flipped += other.n_flipped
        self.notes += other.notes


@dataclass
class FileOutcome:
    """What was found about one file.

    Attributes
    ----------
    problem : str
        Why the file was not verified; empty if it was.
    n_rows : int
        Number of rows that were verified.
    families : dict
        Outcome of each family, by its name.
    outside : list of Deviation
        Values that differ by more than the tolerance.
    compared : set of str
        Names of the entries of which values were compared.
    refused : dict of str to str
        For the other entries that have a librosa counterpart: why not, by their names.
    """

    problem: str = ""
    n_rows: int = 0
    families: dict[str, FamilyOutcome] = field(default_factory=dict)
    outside: list[Deviation] = field(default_factory=list)
    compared: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def family(self, name: str) -> FamilyOutcome:
        """Return the outcome of a family, to be changed."""
        return self.families.setdefault(name, FamilyOutcome())
