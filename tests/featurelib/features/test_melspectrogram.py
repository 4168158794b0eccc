"""The mel spectrogram, as power and in dB, is librosa's."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest

from featurelib import FeatureSpec, SpecError, extract_signal_columns, spec_from_settings
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SIGNALS, SR, noise, sine
from tests.support.quick import slow_but

STATISTICS = ["mean", "std", "median", "max"]

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "one band": {"n_mels": 1},
    "band limits": {"n_mels": 26, "fmin": 300.0, "fmax": 3400.0},
    "short window": {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40},
    "not centred": {"center": False, "window": "hamming"},
}

NAMES = ("chord", "silence", "short", "clicks", "fading", "dither")


def spec_of(family: str, statistics: list[str] = STATISTICS, **parameters: Any) -> FeatureSpec:
    entry = {"family": family, "statistics": statistics, **parameters}
    return spec_from_settings({"features": [entry]})


@pytest.mark.parametrize("family", ["melspectrogram", "log_mel"])
@pytest.mark.parametrize("parameters", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize(
    "name",
    slow_but(
        ["chord", "silence", "short"], ["chord", "clicks", "fading", "silence", "short", "dither"]
    ),
)
def test_columns_equal_librosa(name: str, parameters: dict[str, Any], family: str) -> None:
    if name == "short" and parameters.get("center") is False:
        return  # shorter than a frame
    y, spec = SIGNALS[name], spec_of(family, **parameters)
    oracle.assert_close(extract_signal_columns(y, SR, spec), oracle.columns(y, spec))


@pytest.mark.parametrize("family", ["melspectrogram", "log_mel"])
@pytest.mark.parametrize("length", [1, 511, 512, 513, 2047, 2048, 2049])
def test_lengths_around_frames_equal_librosa(length: int, family: str) -> None:
    y, spec = noise()[:length], spec_of(family)
    oracle.assert_close(extract_signal_columns(y, SR, spec), oracle.columns(y, spec))


@pytest.mark.parametrize("top_db", [20.0, 80.0])
def test_every_frame_in_db_is_librosas(top_db: float) -> None:
    y = SIGNALS["fading"]
    spec = spec_of("log_mel", ["series"], top_db=top_db)
    [series] = extract_signal_columns(y, SR, spec)["log_mel_series"]
    expected = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=SR), top_db=top_db).T
    assert series.shape == expected.shape
    np.testing.assert_allclose(series, expected, rtol=1e-4, atol=1e-4)


def test_silence_has_no_power_and_the_level_of_the_lower_limit() -> None:
    y = SIGNALS["silence"]
    [power] = extract_signal_columns(y, SR, spec_of("melspectrogram", ["max"]))[
        "melspectrogram_01_max"
    ]
    [level] = extract_signal_columns(y, SR, spec_of("log_mel", ["mean"]))["log_mel_128_mean"]
    assert power == 0
    assert level == pytest.approx(-100, rel=1e-6)


def test_a_tone_lies_in_the_band_of_its_frequency() -> None:
    columns = extract_signal_columns(
        sine(frequency=1000.0), SR, spec_of("melspectrogram", ["mean"])
    )
    strongest = int(np.argmax([columns[f"melspectrogram_{i:02}_mean"][0] for i in range(1, 129)]))
    centres = librosa.mel_frequencies(130, fmax=SR / 2)[1:-1]
    assert strongest == np.argmin(np.abs(centres - 1000))


@pytest.mark.parametrize("family", ["melspectrogram", "log_mel", "mfcc"])
def test_bands_above_half_the_rate_are_refused(family: str) -> None:
    with pytest.raises(SpecError, match=r"fmin=12000 must be less than half of sr=22050"):
        spec_of(family, fmin=12_000)


@pytest.mark.parametrize("family", ["melspectrogram", "spectral_centroid", "log_spectrogram"])
def test_a_window_longer_than_a_frame_is_refused(family: str) -> None:
    with pytest.raises(SpecError, match=r"win_length=600 must be at most n_fft=512"):
        spec_of(family, n_fft=512, hop_length=128, win_length=600)
