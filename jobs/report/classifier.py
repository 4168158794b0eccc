"""How well the features tell the labels: a simple classifier on tracks that it was not shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jobs.errors import UsageError
from jobs.models.cross_validation import ClassScore, CrossValidation, cross_validate
from jobs.models.dataset import HASH, Dataset
from jobs.models.grouping import joined
from jobs.report.groups import group_labels
from jobs.report.reading import Features
from jobs.table.schema import LABEL, PATH

#: The classifier: quick, without options to tune, and with probabilities that mean something.
ESTIMATOR = "logistic"

#: Most tracks that it learns from and predicts.
N_TRACKS = 5000

#: Most labels in the confusion matrix.
N_SHOWN = 20

#: Labels of fewer tracks take no part: each of the five parts of the cross-validation should have
#: one. If fewer than two labels have so many, two will do, and there are fewer parts.
_ENOUGH, _FEWEST = 5, 2


@dataclass(frozen=True)
class Classification:
    """Predictions of tracks by a classifier that was trained on others.

    Attributes
    ----------
    result : CrossValidation
        Probabilities, folds and confusion matrix.
    tracks : pandas.DataFrame
        The tracks of the probabilities, in their order.
    largest_share : float
        Accuracy of always guessing the largest label, 0 to 1.
    n_small : int
        Number of labels that take no part, since they have too few tracks.
    is_sample : bool
        Whether the table has more tracks.
    shown : list of str
        Labels of `confusion`: the largest first, and the rest together.
    confusion : np.ndarray of int [shape=(n, n)]
        Number of tracks by label (row) and predicted label (column).
    """

    result: CrossValidation
    tracks: pd.DataFrame
    largest_share: float
    n_small: int
    is_sample: bool
    shown: list[str]
    confusion: np.ndarray

    @property
    def accuracy(self) -> float:
        """Share of all held-out tracks whose label was predicted, 0 to 1."""
        return float(self.result.confusion.trace() / self.result.confusion.sum())

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels, over all held-out tracks."""
        return float(np.mean([score.f1 for score in self.result.by_class]))

    @property
    def weakest(self) -> list[ClassScore]:
        """Scores of all labels, the lowest F1 first."""
        return sorted(self.result.by_class, key=lambda score: (score.f1, score.label))


def classify(features: Features, *, seed: int = 0) -> Classification:
    """Cross-validate a classifier on tracks.

    Copies (equal ``audio_hash``) are never on both sides of a split. Silent tracks, tracks
    without label and those of very small labels take no part.

    Parameters
    ----------
    features : Features
        At most `N_TRACKS` tracks.
    seed : int
        Seed of the folds and the classifier.

    Raises
    ------
    UsageError
        If fewer than two labels have enough tracks, or there is no feature; the message says
        which.
    featurelib.MissingExtraError
        If scikit-learn is not installed.
    """
    tracks, values = features.tracks, features.values
    if values.shape[1] == 0:
        raise UsageError("the table has no feature with one number per row")
    is_used = tracks[LABEL].notna() & ~tracks["is_silent"].fillna(False).astype(bool)
    counts = Counter(tracks[LABEL][is_used])
    enough = [label for label, n in counts.items() if n >= _ENOUGH]
    if len(enough) < 2:
        enough = [label for label, n in counts.items() if n >= _FEWEST]
    if len(enough) < 2:
        raise UsageError(
            f"{len(enough)} of {len(counts)} labels have at least {_FEWEST} tracks, and a"
            " classifier needs two such labels"
        )
    is_used &= tracks[LABEL].isin(enough)
    tracks, values = tracks[is_used], values[is_used]
    result = cross_validate(_dataset(tracks, values), ESTIMATOR, seed=seed, importance=False)
    groups = group_labels(tracks[LABEL], N_SHOWN)
    return Classification(
        result,
        tracks,
        max(counts[label] for label in enough) / len(tracks),
        len(counts) - len(enough),
        features.is_sample,
        groups.names,
        _confusion(result, groups.names, groups.codes, tracks),
    )


def _dataset(tracks: pd.DataFrame, values: pd.DataFrame) -> Dataset:
    import pyarrow as pa

    n = len(tracks)
    return Dataset(
        X=values.reset_index(drop=True),
        y=tracks[LABEL].astype(object).reset_index(drop=True),
        groups=joined(n, [pa.array(tracks[HASH].to_list(), pa.string(), from_pandas=True)]),
        tracks=np.arange(n),
        rows=tracks[[PATH, HASH]].reset_index(drop=True),
        features={},
    )


def _confusion(
    result: CrossValidation, names: list[str], codes: np.ndarray, tracks: pd.DataFrame
) -> np.ndarray:
    """Return the confusion matrix of groups of labels."""
    group_of = dict(zip(tracks[LABEL].astype(object), codes, strict=True))
    groups = np.array([group_of[label] for label in result.classes])
    matrix = np.zeros((len(names), len(names)), np.int64)
    np.add.at(matrix, (groups[:, np.newaxis], groups[np.newaxis, :]), result.confusion)
    return matrix
