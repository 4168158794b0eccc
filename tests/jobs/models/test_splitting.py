"""Folds never separate a group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.models.splitting import _bundles, n_groups_by_class, stratified_folds

_ITEMS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=12, max_size=80
).filter(lambda items: len({code for code, _ in items}) == 3)


@pytest.mark.filterwarnings("ignore:The least populated class")
@given(_ITEMS, st.integers(0, 5))
def test_each_item_is_held_out_once_and_groups_stay_together(
    items: list[tuple[int, int]], seed: int
) -> None:
    codes, groups = np.array(items).T
    if n_groups_by_class(codes, groups).min() < 3 or np.bincount(codes).min() < 3:
        return
    folds = list(stratified_folds(codes, groups, n_folds=3, seed=seed))
    assert len(folds) == 3
    np.testing.assert_array_equal(np.sum(folds, axis=0), 1)
    for is_held_out in folds:
        assert not set(groups[is_held_out]) & set(groups[~is_held_out])


@given(_ITEMS, st.integers(1, 4))
def test_bundles_are_coarser_than_groups(items: list[tuple[int, int]], n_most: int) -> None:
    codes, groups = np.array(items).T
    bundles = _bundles(codes, groups, n_most, 0)
    for group in set(groups):
        assert len(set(bundles[groups == group])) == 1
    if len(set(groups)) > n_most:
        assert len(set(bundles)) <= 3 * n_most


def test_many_groups_give_equal_folds() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 10, 30_000)
    folds = list(stratified_folds(codes, np.arange(30_000), n_folds=5, seed=0))
    counts = np.array([np.bincount(codes[fold], minlength=10) for fold in folds])
    shares = counts / np.bincount(codes)
    assert np.abs(shares - 0.2).max() < 0.02


def test_groups_by_class_are_counted() -> None:
    codes, groups = np.array([0, 0, 1, 1, 1]), np.array([4, 4, 4, 2, 0])
    assert n_groups_by_class(codes, groups).tolist() == [1, 3]
