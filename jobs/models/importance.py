"""Permutation importance: the accuracy that is lost if a feature is shuffled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jobs.models.dataset import Dataset
from jobs.models.estimators import probabilities

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_REPEATS = 3

#: Of each fold, at most so many held-out tracks and rows are shuffled.
_TRACKS, _ROWS = 1000, 4000


@dataclass(frozen=True)
class Importance:
    """The importance of a feature.

    Attributes
    ----------
    feature : str
        Name of the feature. All of its columns are shuffled together, since columns of one
        feature tell much the same.
    mean, deviation : float
        Accuracy by track that is lost: mean and standard deviation over folds and repeats.
    """

    feature: str
    mean: float
    deviation: float


class Losses:
    """Collects the losses of accuracy over the folds.

    Parameters
    ----------
    features : mapping of str to list of str
        Columns of each feature.
    """

    def __init__(self, features: Mapping[str, list[str]]) -> None:
        self._features = features
        self._losses: dict[str, list[float]] = {name: [] for name in features}

    def add(
        self,
        pipeline: Pipeline,
        dataset: Dataset,
        is_held_out: np.ndarray,
        codes: np.ndarray,
        seed: int,
    ) -> None:
        """Shuffle each feature of held-out tracks.

        Parameters
        ----------
        pipeline : sklearn.pipeline.Pipeline
            The estimator, which has not seen these tracks.
        dataset : Dataset
            All rows.
        is_held_out : np.ndarray of bool [shape=(n_tracks,)]
            The tracks.
        codes : np.ndarray of int [shape=(n_tracks,)]
            Number of each track's class.
        seed : int
            Seed of the shuffling.
        """
        random = np.random.default_rng(seed)
        rows = _sample(dataset, np.flatnonzero(is_held_out), random)
        X = dataset.X.to_numpy()[rows]
        kept, members = np.unique(dataset.tracks[rows], return_inverse=True)
        n_classes = int(codes.max()) + 1

        def accuracy() -> float:
            sums = np.zeros((len(kept), n_classes))
            np.add.at(sums, members, probabilities(pipeline, X, n_classes))
            # the mean has the same maximum as the sum
            return float((sums.argmax(axis=1) == codes[kept]).mean())

        before = accuracy()
        for name, columns in self._features.items():
            places = dataset.X.columns.get_indexer(columns)
            values = X[:, places]
            for _ in range(_REPEATS):
                X[:, places] = values[random.permutation(len(X))]
                self._losses[name].append(before - accuracy())
            X[:, places] = values

    def mean(self) -> list[Importance]:
        """Return the importance of each feature, the largest first."""
        found = [
            Importance(name, float(np.mean(losses)), float(np.std(losses)))
            for name, losses in self._losses.items()
        ]
        return sorted(found, key=lambda one: -one.mean)


def _sample(dataset: Dataset, tracks: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the positions of the rows of some of the tracks."""
    tracks = random.permutation(tracks)[:_TRACKS]
    counts = np.bincount(dataset.tracks)[tracks]
    n = max(1, int(np.searchsorted(np.cumsum(counts), _ROWS, side="right")))
    chosen = np.zeros(int(dataset.tracks[-1]) + 1, bool)
    chosen[tracks[:n]] = True
    return np.flatnonzero(chosen[dataset.tracks])
