"""Columns of the presets against librosa on real recordings."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest

from featurelib import PRESETS, extract_columns, extract_signal_columns, feature_names, get_spec
from tests.featurelib.support import oracle, recipes
from tests.featurelib.support.signals import chord, noise
from tests.support.audio_files import REAL_AUDIO, real_recordings
from tests.support.quick import slow_but_every

SR = 22_050
RECORDINGS = [
    path
    for path in [*real_recordings("music", "clips"), *real_recordings("digits")[::20]]
    if path.stat().st_size > 1000  # some are placeholders that no decoder opens
]


def name(path: Path) -> str:
    return str(path.relative_to(REAL_AUDIO))


def assert_gtzan(row: dict[str, list], expected: dict[str, tuple[float, float]], i: int) -> None:
    assert list(expected) == feature_names("gtzan-v1")
    found = {column: [row[column][i]] for column in expected}
    assert found["tempo"][0] == np.float32(expected["tempo"][0])
    oracle.assert_close(found, expected)


@pytest.mark.parametrize("path", slow_but_every(60, RECORDINGS), ids=name)
def test_gtzan_columns_equal_its_recipe(path):
    y, _ = librosa.load(path, sr=SR)
    assert_gtzan(extract_columns(path, "gtzan-v1"), recipes.gtzan_columns(y, SR), 0)


@pytest.mark.parametrize("path", slow_but_every(30, RECORDINGS[:40]), ids=name)
def test_gtzan_segments_equal_its_recipe(path):
    y, _ = librosa.load(path, sr=SR)
    segments = list(recipes.gtzan_segments(y, SR))[:6]
    if not segments:
        pytest.skip("shorter than a segment and a sample")
    row = extract_columns(path, "gtzan-segments-v1")
    for i, expected in enumerate(segments):
        assert_gtzan(row, expected, i)


@pytest.mark.parametrize(("n", "n_rows"), [(661_500, 9), (661_501, 10), (66_151, 1)])
def test_gtzan_has_the_segments_of_the_published_table(n, n_rows):
    y = noise(n / SR + 0.1)[:n]
    assert len(extract_signal_columns(y, SR, "gtzan-segments-v1")["segment"]) == n_rows
    assert len(recipes.gtzan_starts(n)) == n_rows


@pytest.mark.parametrize("path", slow_but_every(30, RECORDINGS), ids=name)
def test_the_published_tutorial_is_padded_by_reflection(path):
    y, _ = librosa.load(path, sr=SR, duration=30)
    oracle.assert_close(
        extract_columns(path, "tutorial-v0"), oracle.columns(y, get_spec("tutorial-v0"))
    )


@pytest.mark.parametrize("preset", ["genre-v2", "speech-v1"])
@pytest.mark.parametrize("path", slow_but_every(30, RECORDINGS), ids=name)
def test_columns_equal_librosa(path, preset):
    spec = get_spec(preset)
    y, _ = librosa.load(path, sr=spec.fixed_sr)
    oracle.assert_close(extract_columns(path, spec), oracle.columns(y, spec))


@pytest.mark.parametrize(("preset", "sr"), [("log-mel-v1", SR), ("log-spectrogram-v1", 16_000)])
def test_series_equal_librosa(preset, sr):
    y = chord(2.0, sr=sr) + noise(2.0, sr=sr, level=0.01)
    (entry,) = get_spec(preset).features
    (column,) = entry.column_names()
    (found,) = extract_signal_columns(y, sr, preset)[column]
    expected = oracle.frame_series(y, sr, entry.feature).T
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("preset", PRESETS)
def test_silence_and_a_constant_have_finite_values(preset):
    spec = get_spec(preset)
    sr = spec.fixed_sr or SR
    for level in (0.0, 0.25):
        row = extract_signal_columns(np.full(4 * sr, level, np.float32), sr, spec)
        for column in feature_names(spec):
            assert np.isfinite(row[column]).all(), column
