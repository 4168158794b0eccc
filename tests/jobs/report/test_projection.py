"""The map of tracks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jobs.report.projection import map_of


def clusters(n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return features of `n` tracks of three kinds, which differ in all of them."""
    random = np.random.default_rng(0)
    kinds = np.arange(n) % 3
    values = random.normal(size=(n, 12)) + 6 * random.normal(size=(3, 12))[kinds]
    return pd.DataFrame(values.astype(np.float32)), kinds


@pytest.mark.parametrize(("n", "method"), [(90, "t-SNE"), (20, "first two principal")])
def test_neighbours_on_the_map_are_of_one_kind(n: int, method: str) -> None:
    values, kinds = clusters(n)
    found = map_of(values)
    assert found is not None
    assert method in found.method
    assert found.points.shape == (n, 2)
    assert found.points.min() >= 0
    assert found.points.max() <= 1
    distance = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (kinds[distance.argmin(1)] == kinds).mean() > 0.95


def test_equal_features_give_equal_maps() -> None:
    values, _ = clusters(60)
    one, other = map_of(values), map_of(values.copy())
    assert one is not None
    assert other is not None
    assert np.array_equal(one.points, other.points)


def test_missing_values_and_features_that_do_not_vary() -> None:
    values, _ = clusters(60)
    whole = map_of(values)
    values[12], values[13] = 5.0, np.nan
    assert whole is not None
    assert np.array_equal(map_of(values).points, whole.points)  # type: ignore[union-attr]
    values.iloc[3, 4] = np.nan
    assert np.isfinite(map_of(values).points).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("shape", [(2, 5), (10, 0), (0, 5)])
def test_too_little_for_a_map(shape: tuple[int, int]) -> None:
    assert map_of(pd.DataFrame(np.random.default_rng(0).normal(size=shape))) is None


def test_nothing_varies_or_one_feature_does() -> None:
    assert map_of(pd.DataFrame(np.ones((10, 3)))) is None
    found = map_of(pd.DataFrame({"y": np.arange(40.0), "same": 1.0}))
    assert found is not None
    assert np.isfinite(found.points).all()
