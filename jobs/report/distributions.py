"""How each feature is distributed: quantiles by label, a histogram, separation of the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from jobs.report.groups import Groups

#: Quantiles of each feature that are kept for each group.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

#: Bins of the histogram of a feature.
N_BINS = 40

#: The histogram leaves out this share of the values at either end, which would squeeze the rest.
_TAIL = 0.005

#: A group of fewer tracks has no quantiles worth showing, and its separation is chance.
_MIN_TRACKS = 2


@dataclass(frozen=True)
class Distribution:
    """Distribution of one feature.

    Attributes
    ----------
    name : str
        Name of the feature.
    quantiles : np.ndarray [shape=(n_groups, 5)]
        `QUANTILES` of each group; NaN for a group without values.
    counts : np.ndarray [shape=(n_groups,)]
        Number of values of each group.
    edges : tuple of float
        First and last edge of the histogram.
    bins : np.ndarray [shape=(N_BINS,)]
        Number of values in each bin.
    n_outside : int
        Number of values beyond the edges.
    n_missing : int
        Number of tracks without a value.
    separation : float
        Share of the variance of the ranks that lies between the labels, 0 to 1; NaN if there
        are fewer than two labels, or all values are equal.
    """

    name: str
    quantiles: np.ndarray
    counts: np.ndarray
    edges: tuple[float, float]
    bins: np.ndarray
    n_outside: int
    n_missing: int
    separation: float


def distributions(values: pd.DataFrame, groups: Groups, labels: pd.Series) -> list[Distribution]:
    """Return the distribution of each feature, in the order of the columns.

    Parameters
    ----------
    values : pandas.DataFrame [shape=(n_tracks, n_features)]
        Features of tracks; NaN where there is no value.
    groups : Groups
        Groups of these tracks by label.
    labels : pandas.Series
        Label of each track.

    Notes
    -----
    The separation is the effect size epsilon squared of the Kruskal-Wallis test (Tomczak and
    Tomczak, "The need to report effect size estimates revisited", 2014). Only ranks count, so
    neither outliers nor the unit change it.
    """
    codes = pd.factorize(labels)[0]
    return [
        _distribution(str(name), values[name].to_numpy(np.float64), groups, codes)
        for name in values.columns
    ]


def _distribution(name: str, y: np.ndarray, groups: Groups, codes: np.ndarray) -> Distribution:
    is_known = np.isfinite(y)
    known = y[is_known]
    quantiles = np.full((len(groups.names), len(QUANTILES)), np.nan)
    counts = np.bincount(groups.codes[is_known], minlength=len(groups.names))
    for group in np.flatnonzero(counts):
        quantiles[group] = np.quantile(y[is_known & (groups.codes == group)], QUANTILES)
    low, high = np.quantile(known, [_TAIL, 1 - _TAIL]) if len(known) else (0.0, 0.0)
    bins, edges = np.histogram(known, N_BINS, range=(low, high))
    return Distribution(
        name,
        quantiles,
        counts,
        (float(edges[0]), float(edges[-1])),
        bins,
        len(known) - int(bins.sum()),
        len(y) - len(known),
        separation(known, codes[is_known]),
    )


def separation(values: np.ndarray, codes: np.ndarray) -> float:
    """Return the share of the variance of the ranks that lies between groups, 0 to 1.

    Parameters
    ----------
    values : np.ndarray [shape=(n,)]
        Finite values.
    codes : np.ndarray [shape=(n,), dtype=int]
        Group of each value; -1 for none.

    Returns
    -------
    float
        NaN if fewer than two groups have two values, or all values are equal.

    Examples
    --------
    >>> import numpy as np
    >>> separation(np.array([1.0, 1.0, 9.0, 9.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    from scipy.stats import rankdata

    sizes = np.bincount(codes[codes >= 0], minlength=1)
    is_used = (codes >= 0) & (sizes[codes] >= _MIN_TRACKS)
    if np.count_nonzero(sizes >= _MIN_TRACKS) < 2:
        return float("nan")
    ranks = rankdata(values[is_used])
    ranks -= ranks.mean()
    total = float(ranks @ ranks)
    if total == 0:
        return float("nan")
    used = codes[is_used]
    sums = np.bincount(used, ranks, minlength=len(sizes))
    between = np.sum(np.divide(sums**2, sizes, where=sizes > 0, out=np.zeros(len(sizes))))
    return min(1.0, float(between) / total)
