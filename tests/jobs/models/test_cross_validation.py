"""Cross-validation: its figures, its splits, and that nothing leaks through them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import featurelib
from jobs.errors import UsageError
from jobs.models.cross_validation import by_track, cross_validate
from tests.jobs.models.tables import COLUMNS, clusters, dataset_of, make_table, told


def noise(n: int, *, copies: int = 1, segments: int = 1, seed: int = 0) -> dict[str, str]:
    """Files whose values say nothing of their label; copies have other names and tags."""
    random = np.random.default_rng(seed)
    files = {}
    for i in range(n):
        values = random.normal(size=len(COLUMNS))
        for copy in range(copies):
            near = values + 1e-3 * random.normal(size=(segments, len(COLUMNS)))
            facts = {"audio_hash": f"audio {i}", "size_bytes_of_tags": copy}
            files[f"{'ab'[i % 2]}/{random.integers(10**9)}.wav"] = told(near, **facts)
    return files


@pytest.mark.parametrize(
    "planted", [{"copies": 4}, {"segments": 8}], ids=["copies", "segments of a file"]
)
def test_a_planted_leak_raises_the_plain_score_and_not_ours(
    tmp_path: Path, planted: dict[str, int]
) -> None:
    table = make_table(tmp_path, noise(40, **planted))
    X, y, _ = featurelib.load_table(table)
    plain = StratifiedKFold(5, shuffle=True, random_state=0)
    leaking = cross_val_score(KNeighborsClassifier(1), X, y, cv=plain).mean()
    assert leaking > 0.95
    for estimator in ("svm", "logistic", "extra-trees"):
        ours = cross_validate(dataset_of(table), estimator, importance=False)
        assert abs(ours.mean("segment").accuracy - 0.5) < 0.2, estimator
        assert abs(ours.mean().accuracy - 0.5) < 0.2, estimator


def test_an_artist_is_on_one_side_if_asked(tmp_path: Path) -> None:
    """Values tell the artist, and each artist has one label."""
    random = np.random.default_rng(0)
    who = np.repeat(np.arange(16), 5)
    voices = random.normal(0, 5, (16, len(COLUMNS)))
    files = {f"{i}.wav": told(voices[k] + random.normal(size=5)) for i, k in enumerate(who)}
    labels = random.permutation(np.arange(16) % 2)
    carried = {"label": ["ab"[labels[k]] for k in who], "artist": [f"artist {k}" for k in who]}
    table = make_table(tmp_path, files, carried=carried)
    blind = cross_validate(dataset_of(table), "svm", importance=False)
    grouped = cross_validate(dataset_of(table, group_by=["artist"]), "svm", importance=False)
    assert blind.mean().accuracy > 0.9
    assert grouped.mean().accuracy < 0.7


def test_the_figures_are_those_of_the_held_out_probabilities(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    files = {
        f"{label}/{i}.wav": told(2.0 * k + random.normal(0, 2, (1 + i % 3, len(COLUMNS))))
        for k, label in enumerate("abc")
        for i in range(15)
    }
    dataset = dataset_of(make_table(tmp_path, files))
    found = cross_validate(dataset, "logistic", folds=3)
    truth = np.repeat(np.arange(3), 15)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    guess = found.probabilities.argmax(axis=1)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(truth, guess))
    expected = precision_recall_fscore_support(truth, guess)
    for i, one in enumerate(found.by_class):
        assert one.label == "abc"[i]
        np.testing.assert_allclose(
            [one.precision, one.recall, one.f1, one.n_tracks], [values[i] for values in expected]
        )
    assert sum(fold.n_test for fold in found.folds) == 45
    weighted = sum(fold.by_track.accuracy * fold.n_test for fold in found.folds) / 45
    assert weighted == pytest.approx((truth == guess).mean())
    accuracies = [fold.by_track.accuracy for fold in found.folds]
    assert found.mean().accuracy == pytest.approx(np.mean(accuracies))
    assert found.deviation().accuracy == pytest.approx(np.std(accuracies))
    assert found.has_segments
    assert found.mean("segment") != found.mean()
    assert found.to_dict()["segments"]["accuracy"] == found.mean("segment").accuracy


def test_one_fold_by_hand(tmp_path: Path) -> None:
    """An official split of one fold, computed again with the estimator itself."""
    random = np.random.default_rng(0)
    files = {f"{i:02}.wav": told(i % 2 + random.normal(0, 0.7, (1 + i % 4, 5))) for i in range(40)}
    side = ["training"] * 20 + ["validation"] * 6 + ["test"] * 14
    carried = {"label": ["ab"[i % 2] for i in range(40)], "split": side}
    dataset = dataset_of(make_table(tmp_path, files, carried=carried), columns=["split"])
    found = cross_validate(dataset, "logistic", split_column="split")
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    test = (dataset.rows["split"] == "test").to_numpy()
    X, y = dataset.X.to_numpy(), (dataset.y == "b").to_numpy()
    weights = 1 / np.bincount(dataset.tracks)[dataset.tracks]
    scaler = StandardScaler().fit(X[~test], sample_weight=weights[~test])
    model = LogisticRegression(max_iter=1000).fit(
        scaler.transform(X[~test]), y[~test], weights[~test]
    )
    by_row = model.predict_proba(scaler.transform(X[test]))[:, 1]
    tracks = dataset.tracks[test]
    expected = [by_row[tracks == track].mean() for track in np.unique(tracks)]
    held_out = found.probabilities[26:, 1]
    np.testing.assert_allclose(held_out, expected, atol=0.01)
    assert np.isnan(found.probabilities[:26]).all()
    [fold] = found.folds
    assert (fold.name, fold.n_train, fold.n_test) == ("test", 26, 14)
    is_b = np.array([i % 2 for i in range(26, 40)])
    assert fold.by_track.macro_f1 == f1_score(is_b, held_out > 0.5, average="macro")


def test_copies_across_official_splits_are_left_out_of_training(tmp_path: Path) -> None:
    files = {f"{i:02}.wav": told([i % 2] * 5, audio_hash=f"h{i % 18}") for i in range(20)}
    carried = {
        "label": ["ab"[i % 2] for i in range(20)],
        "split": ["test" if i < 6 else "Train" for i in range(18)] + ["train", ""],
    }
    dataset = dataset_of(make_table(tmp_path, files, carried=carried), columns=["split"])
    found = cross_validate(dataset, "logistic", split_column="split", importance=False)
    assert [(fold.n_train, fold.n_test) for fold in found.folds] == [(12, 6)]
    assert any("1 files have no split" in note for note in found.notes)
    assert any(note.startswith("1 training files of the splits in split") for note in found.notes)


def test_other_values_are_held_out_in_turn(tmp_path: Path) -> None:
    files = clusters(6, "ab")
    carried = {"label": [path[0] for path in files], "place": ["x", "y", "z"] * 4}
    dataset = dataset_of(make_table(tmp_path, files, carried=carried), columns=["place"])
    found = cross_validate(dataset, "logistic", split_column="place", importance=False)
    assert [fold.name for fold in found.folds] == ["place x", "place y", "place z"]
    assert not np.isnan(found.probabilities).any()
    dataset.rows["place"] = "one"
    with pytest.raises(UsageError, match="the column 'place' has 1 values"):
        cross_validate(dataset, "logistic", split_column="place")


def test_few_files_give_fewer_folds_or_an_error(tmp_path: Path) -> None:
    files = {
        **clusters(8, "ab"),
        **{f"c/{i}.wav": told([9] * 5, audio_hash=f"{i}") for i in range(3)},
    }
    found = cross_validate(dataset_of(make_table(tmp_path / "1", files)), "logistic")
    assert len(found.folds) == 3
    assert found.notes[0] == "3 folds instead of 5: the label 'c' has 3 groups of files"
    one = {**clusters(8, "ab"), "rare/0.wav": told([9] * 5)}
    with pytest.raises(UsageError, match="the label 'rare' has 1 file: cross-validation needs two"):
        cross_validate(dataset_of(make_table(tmp_path / "2", one)), "logistic")
    copies = {
        **clusters(8, "ab"),
        **{f"c/{i}.wav": told([9] * 5, audio_hash="x") for i in range(3)},
    }
    with pytest.raises(UsageError, match="'c' has 3 files, all of one group"):
        cross_validate(dataset_of(make_table(tmp_path / "3", copies)), "logistic")
    with pytest.raises(UsageError, match="all 4 files have the label 'a': a classifier needs two"):
        cross_validate(dataset_of(make_table(tmp_path / "4", clusters(4, "a"))), "logistic")


def test_a_long_file_weighs_as_much_as_a_short_one(tmp_path: Path) -> None:
    """The same files, once with their rows repeated."""
    short = clusters(8, "ab", distance=0.3)
    random = np.random.default_rng(1)
    long = {}
    for path, text in short.items():
        values = json.loads(text)["values"]
        facts = {"audio_hash": text[:40]}
        long[path] = told(values * int(random.integers(1, 9)), **facts)
    one = cross_validate(dataset_of(make_table(tmp_path / "1", short)), "logistic", folds=2)
    two = cross_validate(dataset_of(make_table(tmp_path / "2", long)), "logistic", folds=2)
    np.testing.assert_allclose(one.probabilities, two.probabilities, atol=0.005)


def test_importance_finds_the_feature_that_tells(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    files = {}
    for i in range(60):
        values = random.normal(size=5)
        values[3:] += 6 * (i % 2)  # the two columns of mfcc
        files[f"{'ab'[i % 2]}/{i}.wav"] = told(values)
    found = cross_validate(dataset_of(make_table(tmp_path, files)), "logistic")
    first, *others = found.importance
    assert first.feature == "mfcc"
    assert first.mean == pytest.approx(0.5, abs=0.15)
    assert max(abs(one.mean) for one in others) < 0.1


def test_twice_is_the_same_and_another_seed_is_not(tmp_path: Path) -> None:
    dataset = dataset_of(make_table(tmp_path, clusters(10, distance=0.5)))
    one, two, other = (cross_validate(dataset, "mlp", seed=seed) for seed in (3, 3, 4))
    assert one.to_dict() == two.to_dict()
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    assert one.to_dict() != other.to_dict()


def test_a_sample_of_tracks_can_be_cross_validated(tmp_path: Path) -> None:
    dataset = dataset_of(make_table(tmp_path, clusters(10)))
    some = dataset.take(np.flatnonzero(dataset.tracks % 2 == 0))
    found = cross_validate(some, "logistic", importance=False)
    assert found.probabilities.shape == (15, 3)
    assert found.mean().accuracy == 1.0
    assert found.importance == []


def test_rows_of_a_track_are_averaged() -> None:
    values = np.array([[1.0, 0], [0, 1], [0.5, 0.5], [1, 0]])
    found = by_track(values, np.array([3, 3, 5, 9]))
    np.testing.assert_array_equal(found, [[0.5, 0.5], [0.5, 0.5], [1, 0]])
