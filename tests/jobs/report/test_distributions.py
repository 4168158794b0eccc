"""Distributions of features, and how well they tell labels apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kruskal

from jobs.report.distributions import distributions, separation
from jobs.report.groups import group_labels


def test_separation_is_the_effect_size_of_kruskal_and_wallis() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 3, 200)
    values = np.round(random.normal(size=200) + 0.4 * codes, 1)  # with ties
    statistic = kruskal(*(values[codes == code] for code in range(3))).statistic
    assert separation(values, codes) == pytest.approx(statistic / (len(values) - 1))


def test_separation_ignores_tracks_without_label_and_single_ones() -> None:
    values = np.array([1.0, 2.0, 8.0, 9.0, 100.0, -100.0])
    with_others = separation(values, np.array([0, 0, 1, 1, -1, 2]))
    assert with_others == separation(values[:4], np.array([0, 0, 1, 1]))


@pytest.mark.parametrize(
    ("values", "codes"), [([1.0, 2.0, 3.0], [0, 0, 0]), ([1.0] * 4, [0, 0, 1, 1]), ([], [])]
)
def test_no_separation(values: list[float], codes: list[int]) -> None:
    assert np.isnan(separation(np.array(values), np.array(codes, int)))


def test_quantiles_of_each_group_and_what_is_missing() -> None:
    random = np.random.default_rng(1)
    y = random.normal(size=101).astype(np.float32)
    y[7] = np.nan
    labels = pd.Series(["a"] * 60 + ["b"] * 41)
    [found] = distributions(pd.DataFrame({"y": y}), group_labels(labels), labels)
    assert found.n_missing == 1
    assert found.counts.tolist() == [59, 41]
    for row, name in enumerate(("a", "b")):
        expected = pd.Series(y[labels == name].astype(float)).quantile(
            [0.05, 0.25, 0.5, 0.75, 0.95]
        )
        np.testing.assert_allclose(found.quantiles[row], expected)
    assert found.bins.sum() + found.n_outside == 100


def test_one_far_value_does_not_squeeze_the_histogram() -> None:
    y = np.append(np.linspace(0, 1, 999), 1e9)
    labels = pd.Series(["a"] * 1000)
    [found] = distributions(pd.DataFrame({"y": y}), group_labels(labels), labels)
    assert found.edges[1] < 1.1
    assert found.n_outside > 0


def test_a_constant_feature_and_one_without_values() -> None:
    values = pd.DataFrame({"same": [2.0] * 4, "none": [np.nan] * 4})
    labels = pd.Series(["a", "a", "b", "b"])
    same, none = distributions(values, group_labels(labels), labels)
    assert same.bins.sum() == 4
    assert none.n_missing == 4
    assert none.counts.tolist() == [0, 0]
    assert np.isnan(none.quantiles).all()
