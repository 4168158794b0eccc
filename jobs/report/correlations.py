"""Correlations between features: a heat map of some, and the pairs that say the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

#: Most features on the heat map.
N_FEATURES = 40

#: Pairs of features whose correlation is at least this large say nearly the same.
REDUNDANT = 0.95

#: Most pairs that are listed.
N_PAIRS = 40


@dataclass(frozen=True)
class Pair:
    """Two features and their rank correlation, -1 to 1."""

    one: str
    other: str
    r: float


@dataclass(frozen=True)
class Correlations:
    """Rank correlations between features.

    Attributes
    ----------
    names : list of str
        Features on the heat map, similar ones next to each other.
    matrix : np.ndarray [shape=(n, n)]
        Their Spearman correlations.
    stands_for : list of int
        Number of features for which each one stands, itself included.
    n_features : int
        Number of features that vary.
    constant : list of str
        Features that are left out, because all tracks have the same value or none.
    pairs : list of Pair
        The most similar pairs of all features that reach `REDUNDANT`, the closest first.
    n_redundant : int
        Number of such pairs.
    """

    names: list[str]
    matrix: np.ndarray
    stands_for: list[int]
    n_features: int
    constant: list[str]
    pairs: list[Pair]
    n_redundant: int


def correlations(values: pd.DataFrame, n: int = N_FEATURES) -> Correlations | None:
    """Return the rank correlations between features; None if fewer than two vary.

    Of more than `n` features, similar ones are clustered (average linkage of 1 - |r|) into `n`
    clusters, and each cluster is shown by its most typical feature.

    Parameters
    ----------
    values : pandas.DataFrame [shape=(n_tracks, n_features)]
        Features of tracks; a missing value is taken as the median.
    n : int
        Most features on the heat map.
    """
    names = [str(name) for name in values.columns]
    matrix = values.to_numpy(np.float64)
    if len(matrix) < 3:
        return None
    ranks, varies = _ranks(matrix)
    constant = [name for name, v in zip(names, varies, strict=True) if not v]
    names = [name for name, v in zip(names, varies, strict=True) if v]
    if len(names) < 2:
        return None
    r = np.clip(ranks.T @ ranks, -1, 1)
    chosen, stands_for = _representatives(r, n)
    rows, columns = np.triu_indices(len(names), 1)
    strength = np.abs(r[rows, columns])
    redundant = np.flatnonzero(strength >= REDUNDANT)
    closest = redundant[np.argsort(-strength[redundant], kind="stable")][:N_PAIRS]
    pairs = [
        Pair(names[rows[k]], names[columns[k]], float(r[rows[k], columns[k]])) for k in closest
    ]
    return Correlations(
        [names[i] for i in chosen],
        r[np.ix_(chosen, chosen)],
        stands_for,
        len(names),
        constant,
        pairs,
        len(redundant),
    )


def _ranks(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return standardized ranks of the columns that vary, and which vary."""
    from scipy.stats import rankdata

    columns = []
    varies = np.zeros(matrix.shape[1], bool)
    for i, column in enumerate(matrix.T):
        is_known = np.isfinite(column)
        if not is_known.any():
            continue
        ranks = rankdata(np.where(is_known, column, np.median(column[is_known])))
        ranks -= ranks.mean()
        norm = np.linalg.norm(ranks)
        if norm > 0:
            varies[i] = True
            columns.append(ranks / norm)
    return np.array(columns).T, varies


def _representatives(r: np.ndarray, n: int) -> tuple[list[int], list[int]]:
    """Return the features to show, similar ones side by side, and for how many each stands."""
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - np.abs(r)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=len(r) <= 200)
    order = leaves_list(tree)
    if len(r) <= n:
        return order.tolist(), [1] * len(r)
    clusters = fcluster(tree, n, "maxclust")
    chosen, stands_for = [], []
    for cluster in dict.fromkeys(clusters[order]):
        members = np.flatnonzero(clusters == cluster)
        typical = members[np.argmax(np.abs(r[np.ix_(members, members)]).sum(0))]
        chosen.append(int(typical))
        stands_for.append(len(members))
    return chosen, stands_for
