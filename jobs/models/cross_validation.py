"""Cross-validation in which no group is on both sides of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import featurelib.extras
from jobs.errors import UsageError
from jobs.models.dataset import Dataset
from jobs.models.estimators import Fitted, check_name, fit, probabilities
from jobs.models.importance import Importance, Losses
from jobs.models.splitting import n_groups_by_class, stratified_folds

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5

#: Values of a column of official splits.
_TRAINING = {"train", "training", "tr", "validation", "valid", "val", "dev", "development"}
_TEST = {"test", "testing", "te", "eval", "evaluation"}

_MAX_VALUES = 100

_CHUNK_ROWS = 65_536


class Scores(NamedTuple):
    """Scores of some predictions.

    Attributes
    ----------
    accuracy : float
        Share of right predictions.
    macro_f1 : float
        Mean of the F1 scores of the classes.
    """

    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class Fold:
    """A fold: what was held out, and how well it was predicted.

    Attributes
    ----------
    name : str
        Its number, or the value of the column of splits.
    n_train, n_test : int
        Number of tracks on both sides.
    by_track, by_segment : Scores
        Scores of held-out tracks and rows; the same without segments.
    """

    name: str
    n_train: int
    n_test: int
    by_track: Scores
    by_segment: Scores


@dataclass(frozen=True)
class ClassScore:
    """How well a class was predicted, over all held-out tracks.

    Attributes
    ----------
    label : str
        The class.
    n_tracks : int
        Number of held-out tracks of it.
    precision, recall, f1 : float
        Share of right ones among the tracks predicted as it; share of its tracks predicted as it;
        their harmonic mean.
    """

    label: str
    n_tracks: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class CrossValidation:
    """The result of a cross-validation.

    Attributes
    ----------
    estimator : str
        Name of the estimator.
    classes : list of str
        The classes, sorted.
    probabilities : np.ndarray [shape=(n_tracks, n_classes), dtype=float32]
        Held-out probabilities of each track: the mean over its rows. NaN for tracks that were
        never held out.
    folds : list of Fold
        The folds.
    confusion : np.ndarray of int [shape=(n_classes, n_classes)]
        Number of held-out tracks by class (row) and predicted class (column).
    importance : list of Importance
        Accuracy by track that is lost if a feature is shuffled, the largest first; empty if not
        asked for.
    has_segments : bool
        Whether some track has several rows.
    notes : list of str
        What the user should know of it.
    """

    estimator: str
    classes: list[str]
    probabilities: np.ndarray
    folds: list[Fold]
    confusion: np.ndarray
    importance: list[Importance] = field(default_factory=list)
    has_segments: bool = False
    notes: list[str] = field(default_factory=list)

    def mean(self, level: str = "track") -> Scores:
        """Return the mean scores of the folds, by ``track`` or ``segment``."""
        return Scores(*(float(value) for value in self._scores(level).mean(axis=0)))

    def deviation(self, level: str = "track") -> Scores:
        """Return the standard deviation of the scores over the folds; 0 for one fold."""
        return Scores(*(float(value) for value in self._scores(level).std(axis=0)))

    def _scores(self, level: str) -> np.ndarray:
        return np.array([getattr(one, f"by_{level}") for one in self.folds])

    @property
    def by_class(self) -> list[ClassScore]:
        """Scores of each class over all held-out tracks."""
        right, n = np.diag(self.confusion), self.confusion.sum(axis=1)
        found = []
        for i, label in enumerate(self.classes):
            precision = right[i] / max(self.confusion[:, i].sum(), 1)
            recall = right[i] / max(n[i], 1)
            f1 = 2 * right[i] / max(n[i] + self.confusion[:, i].sum(), 1)
            found.append(ClassScore(label, int(n[i]), float(precision), float(recall), float(f1)))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as a dictionary for JSON, without the probabilities."""
        return {
            "estimator": self.estimator,
            "tracks": _summary(self.mean(), self.deviation()),
            "segments": _summary(self.mean("segment"), self.deviation("segment"))
            if self.has_segments
            else None,
            "folds": [
                {
                    **asdict(one),
                    "by_track": one.by_track._asdict(),
                    "by_segment": one.by_segment._asdict() if self.has_segments else None,
                }
                for one in self.folds
            ],
            "classes": [asdict(one) for one in self.by_class],
            "confusion": self.confusion.tolist(),
            "importance": [asdict(one) for one in self.importance],
            "notes": self.notes,
        }


def _summary(mean: Scores, deviation: Scores) -> dict[str, float]:
    return {
        "accuracy": mean.accuracy,
        "accuracy_deviation": deviation.accuracy,
        "macro_f1": mean.macro_f1,
        "macro_f1_deviation": deviation.macro_f1,
    }


class _Split(NamedTuple):
    name: str
    train: np.ndarray
    test: np.ndarray


def cross_validate(
    dataset: Dataset,
    estimator: str,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    split_column: str | None = None,
    importance: bool = True,
    on_fold: Callable[[str], None] = lambda text: None,
) -> CrossValidation:
    """Train on some tracks, predict the others, and compare with their labels.

    No group is on both sides of a split. A track's probability is the mean over its rows, and all
    tracks weigh the same.

    Parameters
    ----------
    dataset : Dataset
        Rows of a table, each with a label.
    estimator : str
        One of `jobs.models.estimators.ESTIMATORS`.
    folds : int
        Number of folds; fewer if a class has fewer groups.
    seed : int
        Seed of the folds, the estimator and the shuffling.
    split_column : str, optional
        A column of `Dataset.rows` with official splits. If its values are names of training,
        validation and test sets, the estimator is trained on training and validation, and
        scored on test. Otherwise each value is held out once. Training tracks whose group is on
        the other side are left out. So are tracks without a value.
    importance : bool
        Compute `CrossValidation.importance`.
    on_fold : callable
        Gets a line of text when work on a fold begins.

    Returns
    -------
    CrossValidation

    Raises
    ------
    UsageError
        If there is one class only, a class has fewer than two groups, or the column of splits
        cannot be used.
    """
    check_name(estimator)
    if folds < 2:
        raise UsageError(f"folds is {folds}: give a whole number of at least 2")
    classes, row_codes = dataset.encoded()
    firsts = dataset.track_rows
    codes, groups = row_codes[firsts], dataset.groups[firsts]
    if len(classes) < 2:
        raise UsageError(
            f"all {len(firsts)} files have the label {classes[0]!r}: a classifier needs two"
        )
    notes: list[str] = []
    if split_column is None:
        n_folds = _n_folds(classes, codes, groups, folds, notes)
        splits = _stratified(codes, groups, n_folds, seed)
    else:
        values = dataset.rows[split_column].iloc[firsts]
        splits = iter(_official(split_column, values, groups, notes))
    held_out = np.full((len(firsts), len(classes)), np.nan, np.float32)
    losses = Losses(dataset.features) if importance else None
    found = []
    n_late = 0
    for split in splits:
        _check_split(split, codes)
        on_fold(f"training, {split.name}")
        fitted = fit_rows(dataset, np.flatnonzero(split.train[dataset.tracks]), estimator, seed)
        n_late += not fitted.converged
        rows = np.flatnonzero(split.test[dataset.tracks])
        by_row = _predicted(fitted, dataset, rows, len(classes))
        held_out[split.test] = by_track(by_row, dataset.tracks[rows])
        found.append(
            Fold(
                split.name,
                int(split.train.sum()),
                int(split.test.sum()),
                scores_of(codes[split.test], held_out[split.test].argmax(axis=1)),
                scores_of(row_codes[rows], by_row.argmax(axis=1)),
            )
        )
        if losses is not None:
            on_fold(f"shuffling features, {split.name}")
            losses.add(fitted.pipeline, dataset, split.test, codes, seed)
    if n_late:
        notes.append(
            f"{estimator} reached its limit of steps before it had converged, in {n_late} of"
            f" {len(found)} folds"
        )
    is_known = ~np.isnan(held_out[:, 0])
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (codes[is_known], held_out[is_known].argmax(axis=1)), 1)
    return CrossValidation(
        estimator,
        classes,
        held_out,
        found,
        confusion,
        [] if losses is None else losses.mean(),
        dataset.has_segments,
        notes,
    )


def fit_rows(dataset: Dataset, rows: np.ndarray, estimator: str, seed: int) -> Fitted:
    """Fit an estimator to some rows of a dataset; each track weighs the same.

    Its classes are numbers of the dataset's.

    Parameters
    ----------
    dataset : Dataset
        The dataset.
    rows : np.ndarray of int
        Positions of the rows.
    estimator : str
        Name of the estimator.
    seed : int
        Seed of the estimator.
    """
    _, codes = dataset.encoded()
    n_rows = np.bincount(dataset.tracks)
    return fit(
        estimator,
        dataset.X.to_numpy()[rows],  # a copy, which `fit` may overwrite
        codes[rows],
        groups=dataset.groups[rows],
        weights=1.0 / n_rows[dataset.tracks[rows]],
        seed=seed,
    )


def by_track(values: np.ndarray, tracks: np.ndarray) -> np.ndarray:
    """Return the mean of the rows of each track, in the order of the tracks.

    Parameters
    ----------
    values : np.ndarray [shape=(n_rows, n_classes)]
        Values of each row.
    tracks : np.ndarray of int [shape=(n_rows,)]
        Track of each row, ascending.
    """
    firsts = np.flatnonzero(np.diff(tracks, prepend=-1))
    counts = np.diff(firsts, append=len(tracks))
    return np.add.reduceat(values, firsts, axis=0) / counts[:, np.newaxis]


def scores_of(truth: np.ndarray, predicted: np.ndarray) -> Scores:
    """Return the scores of predicted numbers of classes."""
    with featurelib.extras.needing("ml"):
        from sklearn.metrics import f1_score

    macro_f1 = f1_score(truth, predicted, average="macro", zero_division=0)
    return Scores(float((truth == predicted).mean()), float(macro_f1))


def _predicted(fitted: Fitted, dataset: Dataset, rows: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the probabilities of some rows, without a copy of all of them."""
    matrix = dataset.X.to_numpy()
    found = np.empty((len(rows), n_classes))
    for start in range(0, len(rows), _CHUNK_ROWS):
        chunk = rows[start : start + _CHUNK_ROWS]
        found[start : start + len(chunk)] = probabilities(fitted.pipeline, matrix[chunk], n_classes)
    return found


def _n_folds(
    classes: list[str], codes: np.ndarray, groups: np.ndarray, folds: int, notes: list[str]
) -> int:
    """Return the number of folds that all classes have groups for."""
    counts = n_groups_by_class(codes, groups)
    rarest = int(counts.argmin())
    label, fewest = classes[rarest], int(counts[rarest])
    if fewest < 2:
        n_files = int((codes == rarest).sum())
        copies = "" if n_files == 1 else ", all of one group (copies, or of one --group-by value)"
        raise UsageError(
            f"the label {label!r} has {n_files} file{'s' * (n_files > 1)}{copies}: cross-validation"
            " needs two groups of each label; add files, or leave that label out"
            " (extract with --exclude)"
        )
    if fewest < folds:
        notes.append(
            f"{fewest} folds instead of {folds}: the label {label!r} has {fewest} groups of files"
        )
    return min(folds, fewest)


def _stratified(codes: np.ndarray, groups: np.ndarray, n_folds: int, seed: int) -> Iterator[_Split]:
    folds = stratified_folds(codes, groups, n_folds=n_folds, seed=seed)
    for number, test in enumerate(folds, 1):
        yield _Split(f"fold {number} of {n_folds}", ~test, test)


def _official(column: str, values: pd.Series, groups: np.ndarray, notes: list[str]) -> list[_Split]:
    """Return the splits that a column gives; no group is on both sides."""
    is_known = values.notna().to_numpy(copy=True)
    texts = values.astype(str).to_numpy(dtype=object)
    is_known &= texts != ""
    if not is_known.all():
        notes.append(f"{int((~is_known).sum())} files have no {column}, and take no part")
    names = sorted(set(texts[is_known]))
    kinds = {name: name.strip().casefold() for name in names}
    is_official = set(kinds.values()) <= _TRAINING | _TEST
    if is_official and set(kinds.values()) & _TEST and set(kinds.values()) & _TRAINING:
        tests = [name for name in names if kinds[name] in _TEST]
        sets = [(" and ".join(tests), np.isin(texts, tests) & is_known)]
    elif not 2 <= len(names) <= _MAX_VALUES:
        raise UsageError(
            f"the column {column!r} has {len(names)} values: give one with training and test, or"
            f" with 2 to {_MAX_VALUES} values, each of which is held out once"
        )
    else:
        sets = [(f"{column} {name}", (texts == name) & is_known) for name in names]
    splits, n_leaks = [], 0
    for name, test in sets:
        train = ~test & is_known
        leaks = train & np.isin(groups, groups[test])
        n_leaks += int(leaks.sum())
        splits.append(_Split(name, train & ~leaks, test))
    if n_leaks:
        notes.append(
            f"{n_leaks} training files of the splits in {column} have a copy, or a file of their"
            " group, among the held-out ones: they are left out of training there"
        )
    return splits


def _check_split(split: _Split, codes: np.ndarray) -> None:
    n_classes = len(np.unique(codes[split.train]))
    if n_classes < 2 or not split.test.any():
        raise UsageError(
            f"{split.name}: {int(split.train.sum())} files of {n_classes} labels are left for"
            f" training and {int(split.test.sum())} for the test: give more files, or group them"
            " by less"
        )
