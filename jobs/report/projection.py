"""A map of tracks: their features in two dimensions, so that similar tracks lie side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from featurelib.extras import needing

#: Most tracks on the map.
N_TRACKS = 5000

#: With fewer tracks, t-SNE has no neighbourhoods to keep: the map is that of the components.
_MIN_TSNE = 30

_PERPLEXITY = 30.0
_N_STEPS = 500
_N_COMPONENTS = 30

#: Scaled features beyond this number of deviations are drawn in, so that a few do not rule the map.
_MOST_DEVIATIONS = 8.0


@dataclass(frozen=True)
class Map:
    """Tracks in two dimensions.

    Attributes
    ----------
    points : np.ndarray [shape=(n_tracks, 2)]
        Place of each track; the axes have no unit.
    method : str
        What made the map, in a few words.
    is_tsne : bool
        Whether that is t-SNE, so that directions and large distances mean nothing.
    kept : float
        Share of the variance that the components keep on which the map is based, 0 to 1.
    """

    points: np.ndarray
    method: str
    is_tsne: bool
    kept: float


def map_of(values: pd.DataFrame, *, seed: int = 0) -> Map | None:
    """Return a map of tracks; None if there are fewer than three, or no feature varies.

    Parameters
    ----------
    values : pandas.DataFrame [shape=(n_tracks, n_features)]
        Features; a missing value is taken as the median.
    seed : int
        Seed of what is random.

    Raises
    ------
    featurelib.MissingExtraError
        If scikit-learn is not installed.

    Notes
    -----
    The features are standardized. Their principal components are mapped by t-SNE (van der
    Maaten and Hinton, 2008), which begins with the first two of them, so equal features give
    equal maps. The first two components alone tear fewer neighbours apart only where there are
    few tracks: for 200 spoken digits, the trustworthiness (10 neighbours) is 0.91 for them and
    0.98 for t-SNE.
    """
    scaled = _scaled(values.to_numpy(np.float64))
    if len(scaled) < 3 or not scaled.size:
        return None
    components, kept = _components(scaled)
    n_used = components.shape[1]
    if n_used == 1:
        components = np.column_stack([components, np.zeros(len(components))])
    if len(scaled) < _MIN_TSNE or n_used == 1:
        share = kept[: min(2, n_used)].sum()
        method = "the first two principal components"
        return Map(_framed(components[:, :2]), method, is_tsne=False, kept=float(share))
    points = _tsne(components, seed)
    method = f"t-SNE of {n_used} principal components"
    return Map(_framed(points), method, is_tsne=True, kept=float(kept.sum()))


def _scaled(matrix: np.ndarray) -> np.ndarray:
    """Return standardized columns; leave out those that do not vary."""
    columns = []
    for column in matrix.T:
        is_known = np.isfinite(column)
        if not is_known.any():
            continue
        column = np.where(is_known, column, np.median(column[is_known]))
        deviation = column.std()
        if deviation > 1e-9 * np.abs(column).max():
            scaled = (column - column.mean()) / deviation
            columns.append(np.clip(scaled, -_MOST_DEVIATIONS, _MOST_DEVIATIONS))
    return np.stack(columns, axis=1) if columns else np.empty((len(matrix), 0))


def _components(scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the principal components with most variance, and the share of each."""
    centred = scaled - scaled.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    n = min(_N_COMPONENTS, len(values), len(scaled) - 1)
    values, vectors = values[::-1].clip(0), vectors[:, ::-1]
    n = max(1, min(n, int(np.count_nonzero(values > 1e-9 * values[0]))))
    shares = values / values.sum()
    vectors = vectors[:, :n]
    largest = vectors[np.abs(vectors).argmax(0), range(n)]
    return centred @ (vectors * np.sign(largest)), shares[:n]  # whatever sign LAPACK chose


def _tsne(components: np.ndarray, seed: int) -> np.ndarray:
    with needing("report"):
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    start = components[:, :2] / components[:, 0].std() * 1e-4
    perplexity = min(_PERPLEXITY, (len(components) - 1) / 3)
    tsne = TSNE(
        init=start.astype(np.float32),
        perplexity=perplexity,
        learning_rate="auto",
        max_iter=_N_STEPS,
        random_state=seed,
    )
    with threadpool_limits(1, "openmp"):  # more threads add up in any order
        return tsne.fit_transform(components.astype(np.float32)).astype(np.float64)


def _framed(points: np.ndarray) -> np.ndarray:
    """Return points with each axis moved and scaled to the range from 0 to 1."""
    low, extent = points.min(0), np.ptp(points, axis=0)
    return np.divide(points - low, extent, where=extent > 0, out=np.full(points.shape, 0.5))
