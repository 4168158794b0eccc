"""Labels as a few groups that a chart can tell apart: the largest, and the rest together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

#: Most labels that a chart distinguishes by colour.
N_LABELS = 10

NO_LABEL = "(no label)"


@dataclass(frozen=True)
class Groups:
    """Groups of tracks by label.

    Attributes
    ----------
    names : list of str
        Names of the groups: the largest labels, all others together, and tracks without label.
    codes : np.ndarray [shape=(n,), dtype=int]
        Group of each track.
    n_labels : int
        Number of labels that have a group of their own.
    n_others : int
        Number of labels that share a group.
    """

    names: list[str]
    codes: np.ndarray
    n_labels: int
    n_others: int

    def take(self, places: np.ndarray) -> Groups:
        """Return the same groups for some of the tracks, given by their places."""
        return replace(self, codes=self.codes[places])

    @property
    def note(self) -> str:
        """What a reader must know about labels that have no group of their own; or empty."""
        if not self.n_others:
            return ""
        return (
            f"The {self.n_labels} largest labels are shown by name, the other {self.n_others}"
            " together."
        )


def group_labels(labels: pd.Series, n: int = N_LABELS) -> Groups:
    """Group tracks by label: the `n` largest labels, then all others, then those without.

    Parameters
    ----------
    labels : pandas.Series
        Label of each track; null where there is none.
    n : int
        Most labels with a group of their own. One label more is never a group of "others".

    Returns
    -------
    Groups
        Labels are sorted by the number of their tracks, the largest first, then by name.

    Examples
    --------
    >>> import pandas as pd
    >>> groups = group_labels(pd.Series(["rock", "jazz", "rock", None]))
    >>> groups.names, groups.codes.tolist()
    (['rock', 'jazz', '(no label)'], [0, 1, 0, 2])
    """
    counts = labels.value_counts()
    counts = counts[counts > 0]
    ranked = sorted(counts.index.astype(str), key=lambda name: (-counts[name], name))
    named = ranked if len(ranked) <= n + 1 else ranked[:n]
    n_others = len(ranked) - len(named)
    place = {name: i for i, name in enumerate(named)}
    names = list(named)
    if n_others:
        names.append(_unlike(f"({n_others} other labels)", ranked))
    codes = labels.map(place).astype("float64").to_numpy(na_value=np.nan)
    is_missing = labels.isna().to_numpy()
    codes = np.where(np.isnan(codes), float(len(named)), codes)
    if is_missing.any():
        codes[is_missing] = len(names)
        names.append(_unlike(NO_LABEL, ranked))
    return Groups(names, codes.astype(np.int64), len(named), n_others)


def _unlike(name: str, labels: list[str]) -> str:
    """Return a name that is no label."""
    while name in labels:
        name = f"({name})"
    return name
