"""Correlations between features."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from jobs.report.correlations import correlations


def features(n: int, n_features: int, seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=(n, n_features))
    return pd.DataFrame(values, columns=[f"f{i}" for i in range(n_features)])


def test_they_are_spearmans() -> None:
    values = features(60, 5)
    values["f4"] = np.exp(values["f0"])  # the same ranks
    values["f3"] = -(values["f1"] ** 3)
    found = correlations(values)
    assert found is not None
    expected = pd.DataFrame(spearmanr(values).statistic, values.columns, values.columns)
    np.testing.assert_allclose(found.matrix, expected.loc[found.names, found.names], atol=1e-12)
    pairs = {(pair.one, pair.other): round(pair.r, 6) for pair in found.pairs}
    assert pairs == {("f0", "f4"): 1.0, ("f1", "f3"): -1.0}
    place = found.names.index
    assert abs(place("f0") - place("f4")) == 1  # similar ones are neighbours
    assert abs(place("f1") - place("f3")) == 1


def test_of_many_features_each_one_shown_stands_for_its_cluster() -> None:
    base = features(200, 4)
    copies = {
        f"{name}_{i}": base[name] + 0.01 * features(200, 1, seed=i)["f0"]
        for name in base
        for i in range(5)
    }
    found = correlations(pd.DataFrame(copies), n=4)
    assert found is not None
    assert sorted(name[:2] for name in found.names) == ["f0", "f1", "f2", "f3"]
    assert found.stands_for == [5, 5, 5, 5]
    assert found.n_features == 20


def test_what_does_not_vary_is_named_and_left_out() -> None:
    values = features(30, 3)
    values["same"], values["none"] = 1.0, np.nan
    found = correlations(values)
    assert found is not None
    assert found.constant == ["same", "none"]
    assert sorted(found.names) == ["f0", "f1", "f2"]


def test_too_little_to_correlate() -> None:
    assert correlations(features(2, 5)) is None
    assert correlations(features(20, 1)) is None
    assert correlations(features(20, 0)) is None
    assert correlations(features(0, 4)) is None
