"""`Finding`: something about the tracks of a table that its owner should know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from jobs.table.schema import LABEL

#: Most examples of a finding.
N_EXAMPLES = 20

#: Names in the text of one example.
_NAMED = 3

#: A problem spoils training or measuring; a notice may have a good reason.
Severity = Literal["problem", "notice"]


@dataclass(frozen=True)
class Example:
    """One of the tracks, labels or features that a finding is about.

    Attributes
    ----------
    path : str
        Stored path of the track, or the name of the label or feature.
    detail : str
        What is the matter with it.
    label : str, optional
        Label of the track.
    """

    path: str
    detail: str
    label: str | None


@dataclass(frozen=True)
class Finding:
    """Something about the tracks of a table that its owner should know.

    Paths, labels and details may hold any text: they come from files.

    Attributes
    ----------
    kind : str
        Its kind: a word of letters and ``_``.
    title : str
        What was found.
    severity : str
        ``problem`` or ``notice``.
    count : int
        Number of tracks concerned.
    total : int
        Number of tracks looked at.
    examples : list of Example
        At most `N_EXAMPLES`, the worst first.
    advice : str
        What to do.
    sampled : bool
        Whether only a sample of the tracks was looked at.
    unit : str
        What is counted: ``tracks``, ``files``, ``labels`` or ``features``.
    """

    kind: str
    title: str
    severity: Severity
    count: int
    total: int
    examples: list[Example]
    advice: str
    sampled: bool = False
    unit: str = "tracks"


def text_or_none(value: Any) -> str | None:
    """Return a label as text; None if there is none."""
    return None if value is None or pd.isna(value) else str(value)


def examples_of(rows: pd.DataFrame, detail: Callable[[Any], str]) -> list[Example]:
    """Return the first rows as examples.

    Parameters
    ----------
    rows : pandas.DataFrame
        Tracks, the worst first.
    detail : callable
        Gets a row as a named tuple, and returns what is the matter with it.
    """
    first = rows.head(N_EXAMPLES)
    return [
        Example(str(row.path), detail(row), text_or_none(getattr(row, LABEL, None)))
        for row in first.itertuples(index=False)
    ]


def worst(tracks: pd.DataFrame, is_found: pd.Series | np.ndarray, key: Any) -> pd.DataFrame:
    """Return the tracks that are found, those with the largest key first, then by path."""
    keys = np.asarray(key, float)
    found = np.flatnonzero(np.asarray(is_found, bool))
    return tracks.iloc[found[np.argsort(-keys[found], kind="stable")]]


def others(paths: Sequence[str]) -> str:
    """Return a text that names a few paths.

    Examples
    --------
    >>> others(["a", "b"])
    'a, b'
    >>> others(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    named = ", ".join(paths[:_NAMED])
    return named if len(paths) <= _NAMED else f"{named} and {len(paths) - _NAMED} more"


def numbers(column: pd.Series) -> np.ndarray:
    """Return a column as float64, with NaN for what is not known."""
    return column.to_numpy(float, na_value=np.nan)


def flags(column: pd.Series) -> np.ndarray:
    """Return a column as booleans; what is not known is false."""
    return column.fillna(False).to_numpy(bool)


def kilohertz(hz: float) -> str:
    """Return a frequency as text.

    Examples
    --------
    >>> kilohertz(44100), kilohertz(3875.2), kilohertz(8000)
    ('44.1 kHz', '3.9 kHz', '8 kHz')
    """
    return f"{round(hz / 1000, 1):g} kHz" if hz not in (11_025, 22_050) else f"{hz / 1000:g} kHz"
