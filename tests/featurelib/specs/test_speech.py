"""The presets of speech and of mel spectra are librosa's calls."""

from __future__ import annotations

import io
from pathlib import Path

import librosa
import numpy as np
import pytest

from featurelib import extract_columns, feature_names, get_spec
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import chord, encode, fading, noise, sweep

SR = 16_000

SIGNALS = {
    "chord": chord(sr=SR),
    "noise": noise(sr=SR),
    "fading": fading(sr=SR),
    "sweep": sweep(sr=SR),
    "silence": np.zeros(SR, np.float32),
    "nine frames": noise(0.08, sr=SR),
}


def recipe(y: np.ndarray) -> oracle.Expected:
    """The columns of `speech-v1` by librosa's functions."""
    frames = {"n_fft": 512, "win_length": 400, "hop_length": 160}
    mel = librosa.feature.melspectrogram(y=y, sr=SR, n_mels=40, **frames)
    log_mel = librosa.power_to_db(mel)
    # In float64, because rounding errors of librosa's float32 sums exceed the tolerance.
    mfcc = librosa.feature.mfcc(S=log_mel.astype(np.float64), sr=SR, n_mfcc=13)
    series = {
        "mfcc": mfcc,
        "mfcc_delta": librosa.feature.delta(mfcc),
        "mfcc_delta2": librosa.feature.delta(mfcc, order=2),
        "log_mel": log_mel,
        "yin": librosa.yin(y, fmin=65, fmax=500, sr=SR, frame_length=512, hop_length=160)[None],
        "rms": librosa.feature.rms(y=y, frame_length=400, hop_length=160),
        "zero_crossing_rate": librosa.feature.zero_crossing_rate(
            y, frame_length=400, hop_length=160
        ),
    }
    result = {}
    for name, rows in series.items():
        for i, row in enumerate(rows):
            number = "" if len(rows) == 1 else f"_{i + 1:02}"
            for statistic in ("mean", "std"):
                value = oracle.statistic(row, statistic)
                result[f"{name}{number}_{statistic}"] = (value, oracle.root_mean_square(row))
    return result


@pytest.mark.parametrize("name", SIGNALS)
def test_speech_columns_equal_its_recipe(name: str) -> None:
    y = SIGNALS[name]
    expected = recipe(y)
    # librosa does not return which frames are voiced.
    assert list(expected) == [n for n in feature_names("speech-v1") if n != "voiced_mean"]
    # Deltas of constants are rounding errors, in librosa too.
    oracle.assert_close(extract_columns(encode(y, SR), "speech-v1"), expected, absolute=1e-12)


@pytest.mark.parametrize("pattern", ["digits/3/3_theo_1.wav", "music/5703-47212-0000.hq.ogg"])
def test_speech_columns_of_recordings_equal_its_recipe(real_audio: Path, pattern: str) -> None:
    content = (real_audio / pattern).read_bytes()
    y, _ = librosa.load(io.BytesIO(content), sr=SR)
    oracle.assert_close(extract_columns(content, "speech-v1"), recipe(y))


@pytest.mark.parametrize("name", ["chord", "fading", "silence"])
def test_the_series_of_log_mel_v1_is_librosas(name: str) -> None:
    sr = get_spec("log-mel-v1").sr
    assert isinstance(sr, int)
    y = SIGNALS[name]
    [found] = extract_columns(encode(y, sr), "log-mel-v1")["log_mel_series"]
    expected = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr)).T
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
