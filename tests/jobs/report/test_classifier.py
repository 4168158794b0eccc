"""The classifier of a report: what it is asked, and what is shown of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jobs.errors import UsageError
from jobs.report.classifier import N_SHOWN, classify
from jobs.report.reading import Features


def features(labels: list[str | None], *, distance: float = 8.0, seed: int = 0) -> Features:
    """Return features in which each label has a place of its own, `distance` from others."""
    random = np.random.default_rng(seed)
    names = sorted({label for label in labels if label is not None})
    centres = {name: distance * random.normal(size=20) for name in [*names, None]}
    values = random.normal(size=(len(labels), 20))
    values += np.array([centres[label] for label in labels]).reshape(values.shape)
    tracks = pd.DataFrame(
        {
            "path": [f"{i:04}.wav" for i in range(len(labels))],
            "label": pd.Categorical(labels),
            "is_silent": False,
            "audio_hash": [f"{i:032x}" for i in range(len(labels))],
        }
    )
    frame = pd.DataFrame(values.astype(np.float32), columns=[f"f{i}" for i in range(20)])
    return Features(tracks, frame, is_sample=False)


def test_labels_that_differ_are_told_apart() -> None:
    found = classify(features(["a"] * 30 + ["b"] * 20))
    assert found.accuracy == 1.0
    assert found.largest_share == 0.6
    assert found.shown == ["a", "b"]
    assert found.confusion.tolist() == [[30, 0], [0, 20]]
    assert found.result.probabilities.shape == (50, 2)


def test_features_that_say_nothing_give_no_score() -> None:
    found = classify(features(["a", "b"] * 100, distance=0.0))
    assert 0.3 < found.accuracy < 0.7


def test_scores_are_those_of_the_confusion_matrix() -> None:
    """Not the means of the folds, which weigh tracks of small folds more."""
    found = classify(features(["a"] * 9 + ["b"] * 8 + ["c"] * 6, distance=0.3))
    matrix = found.result.confusion
    right = np.diag(matrix)
    f1 = 2 * right / (matrix.sum(0) + matrix.sum(1))
    assert matrix.sum() == 23
    assert found.accuracy == pytest.approx(right.sum() / 23)
    assert found.macro_f1 == pytest.approx(f1.mean())
    assert found.accuracy != pytest.approx(found.result.mean().accuracy)


def test_copies_are_never_on_both_sides() -> None:
    """Without features that say anything, only a copy that was learned gives its label away."""
    some = features(["a", "b"] * 60, distance=0.0)
    tracks = pd.concat([some.tracks, some.tracks.assign(path=some.tracks["path"] + "2")])
    values = pd.concat([some.values, some.values])
    doubled = Features(tracks.reset_index(drop=True), values.reset_index(drop=True), False)
    assert classify(doubled).accuracy < 0.7
    other_hash = tracks.reset_index(drop=True).assign(audio_hash=None)
    leaking = classify(Features(other_hash, doubled.values, False))
    assert leaking.accuracy > classify(doubled).accuracy


def test_silent_unlabelled_and_rare_tracks_take_no_part() -> None:
    some = features(["a"] * 10 + ["b"] * 10 + [None] * 3 + ["rare"] * 4)
    some.tracks.loc[0, "is_silent"] = True
    found = classify(some)
    assert sorted(found.tracks["path"]) == [f"{i:04}.wav" for i in range(1, 20)]
    assert found.n_small == 1


def test_many_labels_are_shown_in_part() -> None:
    labels = [f"label {i:02}" for i in range(30) for _ in range(6)]
    found = classify(features(labels))
    assert len(found.shown) == N_SHOWN + 1
    assert found.shown[-1] == f"({30 - N_SHOWN} other labels)"
    assert found.confusion.sum() == len(labels)
    assert len(found.weakest) == 30


def test_a_few_tracks_of_each_label_give_fewer_folds() -> None:
    found = classify(features([name for name in "abc" for _ in range(4)]))
    assert len(found.result.folds) == 4
    assert found.n_small == 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([None] * 20, "0 of 0 labels"),
        (["a"] * 20, "1 of 1 labels have at least 2 tracks"),
        (["a"] * 20 + ["b"], "1 of 2 labels have at least 2 tracks"),
        ([], "of 0 labels"),
    ],
)
def test_why_there_is_none(labels: list[str | None], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        classify(features(labels))


def test_no_features() -> None:
    some = features(["a", "b"] * 10)
    with pytest.raises(UsageError, match="no feature with one number"):
        classify(some._replace(values=some.values[[]]))
