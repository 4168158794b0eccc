"""Splits that separate no group: for cross-validation, and inside of estimators."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import featurelib.extras

#: The groups of a class are joined at random to at most so many for each fold: the search for the
#: best fold takes each group by itself.
_GROUPS_A_FOLD = 100


def n_groups_by_class(codes: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the number of groups that have items of each class.

    Parameters
    ----------
    codes, groups : np.ndarray of int [shape=(n,)]
        Class and group of each item, as numbers from 0.

    Returns
    -------
    np.ndarray [shape=(n_classes,), dtype=int64]
    """
    n_classes = int(codes.max()) + 1
    pairs = np.unique(groups.astype(np.int64) * n_classes + codes)
    return np.bincount(pairs % n_classes, minlength=n_classes)


def stratified_folds(
    codes: np.ndarray, groups: np.ndarray, *, n_folds: int, seed: int
) -> Iterator[np.ndarray]:
    """Yield whether each item is held out, for each fold.

    Parameters
    ----------
    codes : np.ndarray of int [shape=(n,)]
        Class of each item, as a number from 0. Folds have about equal shares of each class.
    groups : np.ndarray of int [shape=(n,)]
        Group of each item. All of a group are held out in the same fold.
    n_folds : int
        Number of folds.
    seed : int
        Seed of the order of the groups.

    Yields
    ------
    np.ndarray [shape=(n,), dtype=bool]
    """
    with featurelib.extras.needing("ml"):
        from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    bundles = _bundles(codes, groups, _GROUPS_A_FOLD * n_folds, seed)
    for _, test in splitter.split(np.empty((len(codes), 0)), codes, bundles):
        is_held_out = np.zeros(len(codes), bool)
        is_held_out[test] = True
        yield is_held_out


def _bundles(codes: np.ndarray, groups: np.ndarray, n_most: int, seed: int) -> np.ndarray:
    """Join the groups of each class at random until there are at most `n_most` of it.

    What is joined is a coarser grouping, so that no group is separated.
    """
    names, members = np.unique(groups, return_inverse=True)
    if len(names) <= n_most:
        return members
    of_group = np.zeros(len(names), np.int64)
    of_group[members] = codes  # of several classes, the last item's
    random = np.random.default_rng(seed)
    bundle = np.empty(len(names), np.int64)
    n_bundles = 0
    for code in range(int(of_group.max()) + 1):
        mine = random.permutation(np.flatnonzero(of_group == code))
        n = min(n_most, len(mine))
        bundle[mine] = n_bundles + np.arange(len(mine)) % max(n, 1)
        n_bundles += n
    return bundle[members]
