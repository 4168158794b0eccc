"""The classifiers: how each is made and fitted, without a look at held-out files."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import featurelib.extras
from jobs.errors import UsageError
from jobs.settings import did_you_mean

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

#: The tutorial's network.
DEFAULT = "mlp"

_HIDDEN = (256, 128, 64)
_BATCH_ROWS = 32
_MAX_BATCH_ROWS = 256

#: A network is trained for at most so many epochs, and updates.
_EPOCHS = 100
_UPDATES = 20_000

#: Penalty of weights. It is divided by the number of rows, so that it matters for small tables:
#: on spoken digits it raises the accuracy for unseen speakers by a tenth, and costs nothing else.
_ALPHA = 0.1

_TREES = 300

_SVM_ROWS = 100_000

_INTERRUPTED = "interrupted by user"

#: It is no slip that there are few rows of each label.
_MANY_CLASSES = "number of unique classes"

#: Trees of large tables have leaves of at least this share of the rows, which bounds their size.
_LEAF_SHARE = 1e-5

#: Rows that are standardized or predicted at once.
_CHUNK_ROWS = 65_536

_FEW_ROWS, _MANY_ROWS = 10_000, 100_000


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline.

    Attributes
    ----------
    pipeline : sklearn.pipeline.Pipeline
        Steps ``scale``, ``impute`` and ``classify``.
    converged : bool
        Whether the solver reached its tolerance.
    """

    pipeline: Pipeline
    converged: bool


def probabilities(pipeline: Pipeline, X: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the probability of each class for each row, by a fitted pipeline.

    Parameters
    ----------
    pipeline : sklearn.pipeline.Pipeline
        The pipeline.
    X : np.ndarray [shape=(n_rows, n_columns), dtype=float32]
        Features; NaN is a missing value.
    n_classes : int
        Number of classes. A class that the training rows did not have gets 0.

    Returns
    -------
    np.ndarray [shape=(n_rows, n_classes), dtype=float64]
    """
    found = np.zeros((len(X), n_classes))
    with _threads(len(X)):
        for start in range(0, len(X), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            found[chunk, pipeline.classes_] = pipeline.predict_proba(X[chunk])
    return found


@contextlib.contextmanager
def _threads(n_rows: int) -> Iterator[None]:
    """Context manager for one thread if there are few rows: several would wait for each other."""
    with _thread_pools().limit(limits=1) if n_rows < _FEW_ROWS else contextlib.nullcontext():
        yield


@functools.cache
def _thread_pools() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def fit(
    name: str,
    X: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray,
    weights: np.ndarray,
    seed: int,
) -> Fitted:
    """Fit a classifier; the scaler sees only these rows.

    Parameters
    ----------
    name : str
        One of `ESTIMATORS`.
    X : np.ndarray [shape=(n_rows, n_columns), dtype=float32]
        Features; NaN is a missing value. It is overwritten.
    y : np.ndarray of int [shape=(n_rows,)]
        Number of each row's class.
    groups : np.ndarray of int [shape=(n_rows,)]
        Groups, which an inner split must not separate.
    weights : np.ndarray [shape=(n_rows,)]
        Weights of the rows, whose sum is the number of tracks.
    seed : int
        Seed of all that is random.

    Returns
    -------
    Fitted
    """
    check_name(name)
    with featurelib.extras.needing("ml"):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    with np.errstate(invalid="ignore"):  # a column may have no value
        for start in range(0, len(X), _CHUNK_ROWS):  # all at once would be copied as float64
            chunk = slice(start, start + _CHUNK_ROWS)
            scaler.partial_fit(X[chunk], sample_weight=weights[chunk])
            # the mean of no value is NaN, which later values would not change
            np.nan_to_num(scaler.mean_, copy=False)
            np.nan_to_num(scaler.var_, copy=False)
    imputer = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    imputer.fit(X[:1])
    for start in range(0, len(X), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        X[chunk] = imputer.transform(scaler.transform(X[chunk]))
    with warnings.catch_warnings(record=True) as caught, _threads(len(X)):
        warnings.simplefilter("always")
        classifier = ESTIMATORS[name](X, y, groups, weights, seed)
    converged = True
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            converged = name == "mlp"  # whose number of epochs is a part of its definition
        elif _INTERRUPTED in str(warning.message):  # the network makes a warning of Ctrl-C
            raise KeyboardInterrupt
        elif _MANY_CLASSES not in str(warning.message):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    steps = [("scale", scaler), ("impute", imputer), ("classify", classifier)]
    return Fitted(Pipeline(steps), converged)


def check_name(name: str) -> None:
    """Refuse names of no estimator.

    Raises
    ------
    UsageError
        If there is none of the name.
    """
    if name not in ESTIMATORS:
        raise UsageError(f"there is no estimator {name!r}{did_you_mean(name, ESTIMATORS)}")


def check_size(name: str, n_rows: int) -> None:
    """Refuse an estimator that would take days.

    Raises
    ------
    UsageError
        If there are too many rows for it.
    """
    if name == "svm" and n_rows > _SVM_ROWS:
        raise UsageError(
            f"the time of svm grows with the square of the rows, and there are {n_rows}: give"
            f" another estimator, such as {DEFAULT} or logistic, or at most {_SVM_ROWS} rows"
        )


def _mlp(X: np.ndarray, y: np.ndarray, groups: np.ndarray, weights: np.ndarray, seed: int) -> Any:
    """Fit the tutorial's network.

    It does not stop early, since scikit-learn would choose the rows that decide about it without
    regard to groups.
    """
    from sklearn.neural_network import MLPClassifier

    batch = int(np.clip(len(X) // 20, _BATCH_ROWS, _MAX_BATCH_ROWS))
    epochs = int(np.clip(_UPDATES * batch // len(X), 5, _EPOCHS))
    network = MLPClassifier(
        _HIDDEN,
        activation="relu",
        solver="adam",
        alpha=_ALPHA,
        batch_size=min(batch, len(X)),
        max_iter=epochs,
        random_state=seed,
    )
    # the penalty is for each batch, and a batch has as many rows if tracks are long
    return network.fit(X, y, sample_weight=weights / weights.mean())


def _svm(X: np.ndarray, y: np.ndarray, groups: np.ndarray, weights: np.ndarray, seed: int) -> Any:
    from jobs.models.svm import CalibratedSVC

    return CalibratedSVC(random_state=seed).fit(X, y, groups=groups, sample_weight=weights)


def _extra_trees(
    X: np.ndarray, y: np.ndarray, groups: np.ndarray, weights: np.ndarray, seed: int
) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    leaf = max(1, round(_LEAF_SHARE * len(X)))
    trees = ExtraTreesClassifier(_TREES, min_samples_leaf=leaf, n_jobs=-1, random_state=seed)
    # several threads would add up the votes in another order each time
    return trees.fit(X, y, sample_weight=weights).set_params(n_jobs=None)


def _gradient_boosting(
    X: np.ndarray, y: np.ndarray, groups: np.ndarray, weights: np.ndarray, seed: int
) -> Any:
    """Fit gradient boosting; as the network, it does not stop early."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    leaf = int(np.clip(len(X) // 100, 2, 20))
    boosting = HistGradientBoostingClassifier(
        early_stopping=False, min_samples_leaf=leaf, random_state=seed
    )
    return boosting.fit(X, y, sample_weight=weights / weights.mean())


def _logistic(
    X: np.ndarray, y: np.ndarray, groups: np.ndarray, weights: np.ndarray, seed: int
) -> Any:
    from sklearn.linear_model import LogisticRegression

    tolerance = 1e-4 if len(X) < _MANY_ROWS else 1e-3
    return LogisticRegression(max_iter=1000, tol=tolerance).fit(X, y, sample_weight=weights)


#: By name, the function that fits a classifier to standardized rows.
ESTIMATORS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], Any]] = {
    "mlp": _mlp,
    "svm": _svm,
    "extra-trees": _extra_trees,
    "gradient-boosting": _gradient_boosting,
    "logistic": _logistic,
}
