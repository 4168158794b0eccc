"""Findings about features: copies, near copies, outliers and features that say nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import featurelib
from jobs.report.health import duplicates, values
from jobs.report.reading import read_features, read_tracks
from jobs.table.reader import open_table
from tests.jobs.report.health.frames import features_of, tracks_of
from tests.jobs.report.health.test_files import named, only
from tests.support.audio_files import REAL_AUDIO, real_recordings
from tests.support.light import run


def test_copies_by_labels() -> None:
    same, other = "a" * 32, "b" * 32
    tracks = tracks_of(
        {"audio_hash": same},
        {"audio_hash": same},
        {"audio_hash": same, "label": None},
        {"audio_hash": other, "label": "jazz"},
        {"audio_hash": other},
        {"audio_hash": "c" * 32, "is_silent": True},
        {"audio_hash": "c" * 32, "is_silent": True, "label": "jazz"},
        {"audio_hash": None},
        {"audio_hash": None},
        n=12,
    )
    contradicting, alike = duplicates.copies(tracks)
    assert (contradicting.kind, contradicting.count) == ("contradicting", 2)
    assert contradicting.examples[0].detail == "the same as 0004.wav (rock)"
    assert contradicting.examples[0].label == "jazz"
    assert (alike.kind, alike.count, len(alike.examples)) == ("duplicates", 3, 1)
    assert alike.examples[0].detail == "the same as 0001.wav, 0002.wav"
    assert list(np.flatnonzero(duplicates.is_contradicting(tracks))) == [3, 4]
    assert list(duplicates.copies(tracks_of(n=4))) == []


def test_many_groups_are_counted_and_the_largest_shown() -> None:
    hashes = [f"{i // 2:032x}" for i in range(1000)] + ["f" * 32] * 5
    found = only(duplicates.copies(tracks_of(n=1005, audio_hash=None).assign(audio_hash=hashes)))
    assert found.count == 1005
    assert len(found.examples) == 20
    assert found.examples[0].detail.endswith("and 1 more")  # the group of five


def test_nearly_equal_features_are_found_among_random_ones() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 60)) * rng.uniform(0.1, 100, 60)
    X[1] = X[0] + 0.01 * X.std(axis=0) * rng.normal(size=60)
    X[1, :10] += 5 * X.std(axis=0)[:10]  # the encoder changed a few of them much
    X[3] = X[2] + 0.5 * X.std(axis=0) * rng.normal(size=60)  # alike, no copies
    seconds = np.full(2000, 30.0)
    assert duplicates.near_pairs(X, seconds) == [(0, 1)]
    seconds[1] = 31.0
    assert duplicates.near_pairs(X, seconds) == []


def test_clusters_are_no_copies() -> None:
    """The deviation of all tracks is large where labels differ: neighbours are what counts."""
    rng = np.random.default_rng(0)
    centres = 50 * rng.normal(size=(5, 40))
    X = np.repeat(centres, 100, axis=0) + rng.normal(size=(500, 40))
    assert duplicates.near_pairs(X, np.full(500, 30.0)) == []


def test_two_tracks_apart_that_differ_as_neighbours_do_are_no_copies() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(302, 40))
    X[:150] -= 10
    X[150:300] += 10
    X[300:] += 100
    assert duplicates.near_pairs(X, np.full(302, 30.0)) == []
    X[301] = X[300] + 0.05 * rng.normal(size=40)
    assert duplicates.near_pairs(X, np.full(302, 30.0)) == [(300, 301)]


def test_too_little_to_compare() -> None:
    assert duplicates.near_pairs(np.zeros((0, 20)), np.zeros(0)) == []
    assert duplicates.near_pairs(np.ones((50, 20)), np.ones(50)) == []
    assert duplicates.near_pairs(np.random.default_rng(0).normal(size=(50, 3)), np.ones(50)) == []


def test_near_copies_are_grouped_and_equal_ones_left_out() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 40))
    X[1], X[2] = X[0] + 1e-3, X[0] - 1e-3
    X[11] = X[10]
    tracks = tracks_of({}, {}, {"label": "jazz"}, n=60)
    tracks.loc[11, "audio_hash"] = tracks.loc[10, "audio_hash"]
    found = only(duplicates.near_copies(features_of(tracks, X, is_sample=True)))
    assert (found.count, found.total, found.sampled) == (3, 59, True)
    assert found.examples[0].path == "0000.wav"
    assert found.examples[0].detail == "nearly the same as 0001.wav (rock), 0002.wav (jazz)"


MUSIC = [path for path in real_recordings("music") if path.stat().st_size > 100]


@pytest.mark.slow
@pytest.mark.skipif(not MUSIC, reason=f"no recordings in {REAL_AUDIO}")
def test_recordings_in_two_encodings(tmp_path: Path) -> None:
    """Each piece is there at two rates and qualities: most pairs are found, and nothing else."""
    music = tmp_path / "music"
    music.mkdir()
    for path in (*MUSIC, *real_recordings("clips", "digits")):
        (music / f"{path.parent.name}-{path.name}").symlink_to(path)
    spec = featurelib.get_spec("genre-v1")
    run(music, tmp_path / "table", spec=spec, extractor=featurelib.extract_rows)
    table = open_table(str(tmp_path / "table"), {})
    tracks = read_tracks(table)
    features = read_features(table, tracks)
    paths = tracks["path"].tolist()
    pairs = duplicates.near_pairs(features.values.to_numpy(), tracks["duration_s"].to_numpy())
    found = {frozenset(paths[i].replace(".hq.", ".") for i in pair) for pair in pairs}
    assert all(len(names) == 1 for names in found)
    assert len(found) >= len(MUSIC) // 4


def test_outliers_of_labels() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 40))
    X[:100] += 30  # another label is far away, which is no outlier
    X[7, :] -= 30  # a track of one label that is like the other
    X[150, :20] += 12
    X[151, 0] = 1e6  # one feature is no reason
    X[160] += 12  # explained
    is_explained = np.arange(200) == 160
    tracks = tracks_of(n=200, label=["a"] * 100 + ["b"] * 100)
    found = only(values.outliers(features_of(tracks, X), is_explained))
    assert named([found]) == ["0007.wav", "0150.wav"]
    assert found.total == 199
    assert "farthest features, in usual deviations: f" in found.examples[0].detail


def test_few_tracks_have_no_outliers() -> None:
    X = np.random.default_rng(0).normal(size=(19, 40))
    X[0] += 100
    assert list(values.outliers(features_of(tracks_of(n=19), X), np.zeros(19, bool))) == []
    X = np.zeros((30, 0))
    assert list(values.outliers(features_of(tracks_of(n=30), X), np.zeros(30, bool))) == []


def test_tracks_of_rare_labels_are_compared_with_all() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 40))
    X[0] += 40
    tracks = tracks_of(n=60, label=["rare", *["common"] * 59])
    assert named(values.outliers(features_of(tracks, X), np.zeros(60, bool))) == ["0000.wav"]


def test_heavy_tails_are_no_outliers() -> None:
    rng = np.random.default_rng(0)
    X = np.exp(rng.normal(size=(2000, 60)) + 0.3 * rng.normal(size=(2000, 1)))
    tracks = tracks_of(n=2000)
    found = list(values.outliers(features_of(tracks, X), np.zeros(2000, bool)))
    assert sum(finding.count for finding in found) <= 4


def test_features_that_say_nothing() -> None:
    X = np.random.default_rng(0).normal(size=(10, 4))
    X[:, 1] = 2.5
    X[:, 2] = np.nan
    X[:3, 3] = np.nan
    found = only(values.constant(features_of(tracks_of(n=10), X)))
    assert [(e.path, e.detail) for e in found.examples] == [
        ("f1", "2.5 for all tracks"),
        ("f2", "not known for any track"),
        ("f3", "not known for 3 tracks"),
    ]
    assert (found.count, found.total, found.unit) == (3, 4, "features")
    assert list(values.constant(features_of(tracks_of(n=1), X[:1]))) == []


def test_scaled_features() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(5, 3, size=(100_000, 1))
    X = np.hstack([X, np.zeros_like(X), np.full_like(X, np.nan)])
    z = values.scaled(X)
    assert z.dtype == np.float32
    assert abs(z[:, 0].mean()) < 0.02
    assert z[:, 0].std() == pytest.approx(1, abs=0.02)
    assert not z[:, 1:].any()
    assert values.scaled(np.zeros((5, 0))).shape == (5, 0)
