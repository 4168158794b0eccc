"""The estimators: missing values, weights, scalers, inner splits, the same result twice."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from jobs.errors import UsageError
from jobs.models import estimators, svm
from jobs.models.estimators import ESTIMATORS, Fitted, check_name, check_size, fit, probabilities


def fitted(name: str, X: np.ndarray, y: np.ndarray, **options: Any) -> Fitted:
    options = {"groups": np.arange(len(X)), "weights": np.ones(len(X)), "seed": 0, **options}
    return fit(name, X.astype(np.float32), y, **options)


def clusters(n: int, n_classes: int, n_columns: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    X = 4 * random.normal(size=(n_classes, n_columns))[y] + random.normal(size=(n, n_columns))
    return X.astype(np.float32), y


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_odd_columns_are_no_trouble(name: str, n_classes: int) -> None:
    X, y = clusters(45, n_classes)
    X[::7, 0] = np.nan
    X = np.column_stack([X, np.full(45, np.nan), np.full(45, 3.0), 1e9 * X[:, 1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fitted(name, X, y)
        found = probabilities(model.pipeline, X.astype(np.float32), n_classes)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert (found.argmax(axis=1) == y).mean() > 0.95
    again = probabilities(fitted(name, X, y).pipeline, X.astype(np.float32), n_classes)
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("name", ["mlp", "extra-trees"])
def test_the_seed_decides(name: str) -> None:
    random = np.random.default_rng(1)
    X, y = random.normal(size=(60, 2)), np.arange(60) % 3
    new = random.normal(size=(60, 2)).astype(np.float32)
    one, two = (probabilities(fitted(name, X, y, seed=seed).pipeline, new, 3) for seed in (0, 1))
    assert np.abs(one - two).max() > 1e-6


def test_the_scaler_knows_the_training_rows_only() -> None:
    X, y = clusters(40, 2)
    X[3, 2] = np.nan
    pipeline = fitted("logistic", X, y).pipeline
    np.testing.assert_allclose(pipeline[0].mean_, np.nanmean(X, axis=0), rtol=1e-5)
    np.testing.assert_allclose(pipeline[0].scale_, np.nanstd(X, axis=0), rtol=1e-5)


def test_a_missing_value_counts_as_the_mean() -> None:
    X, y = clusters(40, 2)
    pipeline = fitted("logistic", X, y).pipeline
    one, two = X[:1].copy(), X[:1].copy()
    one[0, 1], two[0, 1] = np.nan, X[:, 1].mean()
    np.testing.assert_allclose(
        probabilities(pipeline, one, 2), probabilities(pipeline, two, 2), atol=1e-5
    )


def test_a_class_that_was_not_there_gets_nothing() -> None:
    X, y = clusters(30, 3)
    pipeline = fitted("logistic", X[y != 1], y[y != 1]).pipeline
    found = probabilities(pipeline, X, 3)
    assert (found[:, 1] == 0).all()
    assert (found[y == 2].argmax(axis=1) == 2).all()


@pytest.mark.parametrize("name", ["logistic", "gradient-boosting", "extra-trees", "svm", "mlp"])
def test_weights_reach_the_classifier(name: str) -> None:
    """Where classes lie upon each other, their probabilities are their shares of the weight."""
    random = np.random.default_rng(0)
    X = random.choice([0.0, 1.0], (400, 1)).astype(np.float32)
    y = np.arange(400) % 2
    weights = np.where(y == 1, 9.0, 1.0)
    found = probabilities(fitted(name, X, y, weights=weights).pipeline, X, 2)[:, 1]
    assert 0.8 < np.median(found) < 0.97


def test_no_inner_split_leaks() -> None:
    """Labels that mean nothing: only copies on both sides of an inner split make one sure."""
    random = np.random.default_rng(0)
    X = np.repeat(random.normal(size=(200, 30)), 4, axis=0)
    y = np.repeat(random.permutation(np.arange(200) % 2), 4)
    groups = np.repeat(np.arange(200), 4)
    new = random.normal(size=(200, 30)).astype(np.float32)

    def sureness(values: np.ndarray) -> float:
        return float(values.max(axis=1).mean())

    plain = CalibratedClassifierCV(SVC(C=10), cv=StratifiedKFold(5, shuffle=True, random_state=0))
    assert sureness(plain.fit(X, y).predict_proba(new)) > 0.6
    ours = fitted("svm", X, y, groups=groups)
    assert sureness(probabilities(ours.pipeline, new, 2)) < 0.56
    leaking = fitted("svm", X, y)  # each row a group of its own
    assert sureness(probabilities(leaking.pipeline, new, 2)) > 0.6
    for name in ("mlp", "gradient-boosting"):
        assert fitted(name, X[::20], y[::20]).pipeline[-1].early_stopping is False


def test_inner_folds_get_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    folds = svm.stratified_folds

    def note(codes: np.ndarray, groups: np.ndarray, **options: Any) -> Any:
        for is_held_out in folds(codes, groups, **options):
            assert not set(groups[is_held_out]) & set(groups[~is_held_out])
            seen.append(is_held_out)
            yield is_held_out

    monkeypatch.setattr(svm, "stratified_folds", note)
    X, y = clusters(60, 3)
    fitted("svm", X, y, groups=np.arange(60) // 6 * 3 + y)
    assert len(seen) > 1


def test_the_network_is_quick() -> None:
    X, y = clusters(1000, 10, 98)
    started = time.process_time()
    fitted("mlp", X, y)
    assert time.process_time() - started < 30


def test_unfinished_solvers_are_said_and_not_shown(
    recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = np.random.default_rng(0).normal(size=(60, 5)), np.arange(60) % 3
    assert fitted("logistic", X, y).converged

    def short(X: Any, y: Any, groups: Any, weights: Any, seed: int) -> Any:
        return LogisticRegression(max_iter=1).fit(X, y)

    monkeypatch.setitem(ESTIMATORS, "logistic", short)
    assert not fitted("logistic", X, y).converged
    assert [str(one.message) for one in recwarn] == []


def test_other_warnings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def loud(X: Any, y: Any, groups: Any, weights: Any, seed: int) -> Any:
        warnings.warn("look at this", UserWarning, stacklevel=1)
        return LogisticRegression().fit(X, y)

    monkeypatch.setitem(ESTIMATORS, "logistic", loud)
    X, y = clusters(30, 2)
    with pytest.warns(UserWarning, match="look at this"):
        fitted("logistic", X, y)


def test_ctrl_c_within_the_network_is_ctrl_c() -> None:
    """scikit-learn makes a warning of it."""
    X, y = clusters(2000, 3)

    def train() -> None:
        for _ in range(50):
            fitted("mlp", X, y)

    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            train()
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)


def test_the_scaler_counts_each_track_once() -> None:
    """A file of nine segments, and one of a single segment."""
    X = np.array([[0.0]] * 9 + [[10.0]], np.float32)
    y, weights = np.array([0] * 9 + [1]), np.array([1 / 9] * 9 + [1.0])
    scaler = fit("logistic", X, y, groups=y, weights=weights, seed=0).pipeline[0]
    np.testing.assert_allclose([scaler.mean_[0], scaler.scale_[0]], [5, 5])


def test_a_column_that_is_empty_at_first_is_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimators, "_CHUNK_ROWS", 10)
    y = np.arange(40) % 2
    X = (y[:, np.newaxis] * 6.0 + 7).astype(np.float32)
    X[:20] = np.nan
    fitted = fit("logistic", X, y, groups=y, weights=np.ones(40), seed=0)
    assert fitted.pipeline[0].mean_ == pytest.approx([10])
    found = probabilities(fitted.pipeline, np.array([[7], [13]], np.float32), 2)
    assert found.argmax(axis=1).tolist() == [0, 1]


def test_many_labels_give_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    y = np.repeat(np.arange(20), 2)[:-3]
    X = np.random.default_rng(0).normal(size=(len(y), 2)).astype(np.float32)
    fit("logistic", X, y, groups=y, weights=np.ones(len(y)), seed=0)
    assert [str(one.message) for one in recwarn] == []


def test_names_and_sizes_are_checked() -> None:
    with pytest.raises(UsageError, match=r"no estimator 'mpl'.*did you mean 'mlp'"):
        check_name("mpl")
    with pytest.raises(UsageError, match="; there are mlp, svm, extra-trees"):
        check_name("resnet")
    with pytest.raises(UsageError, match="grows with the square of the rows, and there are 500000"):
        check_size("svm", 500_000)
    check_size("logistic", 500_000)


def test_many_rows_are_scaled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = clusters(100, 2)
    whole = probabilities(fitted("logistic", X, y).pipeline, X.copy(), 2)
    monkeypatch.setattr(estimators, "_CHUNK_ROWS", 7)
    pieces = probabilities(fitted("logistic", X, y).pipeline, X.copy(), 2)
    np.testing.assert_allclose(whole, pieces, atol=1e-4)
