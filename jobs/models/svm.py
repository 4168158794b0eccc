"""A support vector machine with probabilities that no inner split leaks into."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

import featurelib.extras
from jobs.models.splitting import n_groups_by_class, stratified_folds

with featurelib.extras.needing("ml"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.svm import SVC

_FOLDS = 5


class CalibratedSVC(ClassifierMixin, BaseEstimator):
    """Support vector machine (radial basis functions) with calibrated probabilities.

    The probabilities are the softmax of the decision values times a factor, which is that of the
    largest likelihood (temperature scaling; Guo et al., 2017, "On calibration of modern neural
    networks"). The decision values that it is chosen by are those of held-out groups:
    scikit-learn's own calibration would separate files from their copies.

    Parameters
    ----------
    C : float
        Inverse strength of the regularization.
    random_state : int
        Seed of the inner split.

    Attributes
    ----------
    classes_ : np.ndarray
        The classes, sorted.
    svc_ : sklearn.svm.SVC
        The machine, fitted to all rows.
    factor_ : float
        Factor of the decision values.
    """

    def __init__(self, C: float = 10.0, random_state: int = 0) -> None:
        self.C = C
        self.random_state = random_state

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        groups: np.ndarray,
        sample_weight: np.ndarray,
    ) -> CalibratedSVC:
        """Fit the machine and the calibration.

        Parameters
        ----------
        X : np.ndarray [shape=(n_rows, n_columns)]
            Standardized features.
        y : np.ndarray of int [shape=(n_rows,)]
            Number of each row's class.
        groups : np.ndarray of int [shape=(n_rows,)]
            Groups, which are not separated.
        sample_weight : np.ndarray [shape=(n_rows,)]
            Weights of the rows.
        """
        self.classes_, y = np.unique(y, return_inverse=True)
        self.n_features_in_ = X.shape[1]
        self.svc_ = self._machine().fit(X, y, sample_weight=sample_weight)
        values = self._values(self.svc_, X)
        n_folds = min(_FOLDS, int(n_groups_by_class(y, groups).min()))
        if n_folds > 1:  # else the machine's own values have to do
            for is_held_out in stratified_folds(y, groups, n_folds=n_folds, seed=self.random_state):
                train = ~is_held_out
                if len(np.unique(y[train])) < len(self.classes_) or not is_held_out.any():
                    continue
                machine = self._machine().fit(X[train], y[train], sample_weight[train])
                values[is_held_out] = self._values(machine, X[is_held_out])
        self.factor_ = _factor(values, y, sample_weight)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probability of each class, float64 [shape=(n_rows, n_classes)]."""
        return softmax(self.factor_ * self._values(self.svc_, X), axis=1)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the most probable class of each row."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _machine(self) -> SVC:
        return SVC(C=self.C, kernel="rbf", gamma="scale", cache_size=500)

    @staticmethod
    def _values(machine: SVC, X: np.ndarray) -> np.ndarray:
        values = machine.decision_function(X)
        return np.stack([-values, values], axis=1) / 2 if values.ndim == 1 else values


def _factor(values: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Return the factor of decision values that makes the labels most likely."""

    def loss(exponent: float) -> float:
        shares = log_softmax(np.exp(exponent) * values, axis=1)
        return -float(np.average(shares[np.arange(len(y)), y], weights=weights))

    return float(np.exp(minimize_scalar(loss, bounds=(-6.0, 5.0), method="bounded").x))
