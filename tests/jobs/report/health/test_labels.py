"""Findings about labels: missing, rare, unequal, confounded and wrong ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from jobs.report.health import labels
from tests.jobs.report.health.frames import tracks_of
from tests.jobs.report.health.test_files import named, only


def test_missing_labels_matter_if_others_have_one() -> None:
    tracks = tracks_of({"label": None}, n=3)
    assert named(labels.missing(tracks)) == ["0000.wav"]
    assert only(labels.missing(tracks)).examples[0].label is None
    assert list(labels.missing(tracks_of(n=3))) == []
    assert list(labels.missing(tracks_of({"label": None}, {"label": None}))) == []


def test_rare_and_unequal_labels() -> None:
    names = ["big"] * 100 + ["small"] * 10 + ["middle"] * 11 + ["tiny"] * 4 + ["one"]
    rare, unequal = labels.rare(tracks_of(n=len(names), label=names))
    assert [(e.path, e.detail) for e in rare.examples] == [("one", "1 track"), ("tiny", "4 tracks")]
    assert (rare.count, rare.total, rare.unit) == (2, 5, "labels")
    assert [e.path for e in unequal.examples] == ["small"]
    assert "'big'" in unequal.title
    assert list(labels.rare(tracks_of(n=3))) == []  # one label is no classes


def test_labels_that_go_with_the_format() -> None:
    n = 100
    names = ["rock"] * 50 + ["jazz"] * 50
    forms = ["WAV"] * 50 + ["MP3"] * 48 + ["WAV"] * 2
    found = only(labels.confounded(tracks_of(n=n, label=names, format=forms)))
    [example] = found.examples
    assert example.path == "format"
    assert "of 'rock' are WAV" in example.detail or "of 'jazz' are MP3" in example.detail
    mixed = ["WAV", "MP3"] * 50
    assert list(labels.confounded(tracks_of(n=n, label=names, format=mixed))) == []
    few = tracks_of(n=40, label=["a"] * 20 + ["b"] * 20, format=["WAV"] * 20 + ["MP3"] * 20)
    assert list(labels.confounded(few)) == []


def test_association_is_cramers_v_without_what_chance_gives() -> None:
    rng = np.random.default_rng(0)
    a = pd.Series(rng.integers(0, 4, 5000))
    b = pd.Series(np.where(rng.random(5000) < 0.5, a, rng.integers(0, 4, 5000)))
    expected = scipy.stats.contingency.association(pd.crosstab(a, b).to_numpy(), method="cramer")
    assert labels.association(a, b) == pytest.approx(expected, abs=0.01)
    # many labels, few tracks: chance alone gives a large V
    a, b = pd.Series(rng.integers(0, 30, 60)), pd.Series(rng.integers(0, 3, 60))
    by_chance = scipy.stats.contingency.association(pd.crosstab(a, b).to_numpy(), method="cramer")
    assert by_chance > 0.5
    assert labels.association(a, b) < 0.35
    assert labels.association(a, a * 0) == 0.0
    assert labels.association(a, a) == pytest.approx(1.0)


def test_sure_contradictions_are_named_worst_first() -> None:
    names = ["a"] * 10 + ["b"] * 10
    p = np.full((20, 2), 0.1)
    p[:10, 0], p[10:, 1] = 0.9, 0.9
    p[3] = 0.02, 0.98  # sure of the other
    p[14] = 0.97, 0.03
    p[5] = 0.4, 0.6  # not sure
    p[7] = np.nan
    tracks = tracks_of(n=20, label=names)
    found = only(labels.mislabelled(tracks, ["a", "b"], p, sampled=True))
    assert [(e.path, e.label) for e in found.examples] == [("0003.wav", "a"), ("0014.wav", "b")]
    assert found.examples[0].detail == "looks like 'b': probability 0.98, and 0.02 for its label"
    assert (found.count, found.total, found.sampled) == (2, 19, True)
    assert "right for 84 % of all" in found.advice  # 16 of 19


def test_sure_is_as_sure_as_of_the_label_s_own_tracks() -> None:
    p = np.tile([0.99, 0.01], (10, 1))
    p[5:] = 0.05, 0.95
    p[0] = 0.1, 0.9  # less than what it gives for tracks that are of b
    p[1] = 0.03, 0.97
    tracks = tracks_of(n=10, label=["a"] * 5 + ["b"] * 5)
    assert named(labels.mislabelled(tracks, ["a", "b"], p)) == ["0001.wav"]


@pytest.mark.parametrize("concentration", [5.0, 0.1])  # unsure of all tracks, or sure of each
def test_a_classifier_that_knows_nothing_accuses_none(concentration: float) -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(4, concentration), 400)
    tracks = tracks_of(n=400, label=rng.choice(list("abcd"), 400))
    assert list(labels.mislabelled(tracks, list("abcd"), p)) == []


def test_a_label_that_is_often_predicted_wrongly_accuses_none() -> None:
    """Of those for which it is sure of b, 6 of 10 are of b; of those for a, 9 of 10."""
    sure_of_a, sure_of_b = (0.95, 0.05), (0.05, 0.95)
    tracks = tracks_of(n=20, label=["a"] * 9 + ["b"] + ["b"] * 6 + ["a"] * 4)
    p = np.array([sure_of_a] * 10 + [sure_of_b] * 10)
    assert named(labels.mislabelled(tracks, ["a", "b"], p)) == ["0009.wav"]


def test_tracks_of_other_labels_take_no_part() -> None:
    tracks = tracks_of({"label": None}, {"label": "rare"}, n=12, label=["a", "b"] * 6)
    p = np.tile([0.99, 0.01], (12, 1))
    p[3::2] = 0.01, 0.99
    assert list(labels.mislabelled(tracks, ["a", "b"], p)) == []
