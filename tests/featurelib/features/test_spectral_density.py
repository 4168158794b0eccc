"""Spectral density: its mean is Welch's estimate, as in SciPy."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal

from featurelib import (
    AudioError,
    FeatureSpec,
    SpecError,
    describe,
    extract_columns,
    extract_signal_columns,
    spec_from_settings,
)
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SIGNALS, SR, encode, noise

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "one band": {"n_bands": 1},
    "band limits": {"n_bands": 12, "fmin": 300.0, "fmax": 3400.0},
    "short window": {"n_fft": 1024, "win_length": 700, "n_bands": 10, "window": "blackman"},
    "symmetric": {"n_bands": 20, "fftbins": False},
}


def spec_of(sr: int | str = SR, **parameters: Any) -> FeatureSpec:
    entry = {"family": "spectral_density", "statistics": ["mean", "std", "median"], **parameters}
    return spec_from_settings({"sr": sr, "features": [entry]})


def means(y: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    columns = extract_signal_columns(y, SR, spec)
    n_bands = spec.features[0].feature.width
    return np.array([columns[f"spectral_density_{i:02}_mean"][0] for i in range(1, n_bands + 1)])


@pytest.mark.parametrize("parameters", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("name", SIGNALS)
def test_columns_equal_librosas_spectra(name: str, parameters: dict[str, Any]) -> None:
    y, spec = SIGNALS[name], spec_of(**parameters)
    oracle.assert_close(extract_signal_columns(y, SR, spec), oracle.columns(y, spec))


@pytest.mark.parametrize("window", ["hann", "hamming"])
@pytest.mark.parametrize("name", ["chord", "noise", "sweep", "clicks", "constant"])
def test_the_mean_over_frames_is_scipys_welch(name: str, window: str) -> None:
    y = SIGNALS[name]
    spec = spec_of(center=False, window=window, n_bands=30)
    frequencies, density = scipy.signal.welch(
        y.astype(np.float64), SR, window, 2048, 2048 - 512, detrend=False
    )
    edges = librosa.mel_to_hz(np.linspace(0, librosa.hz_to_mel(SR / 2), 31))
    edges[-1] = np.inf
    bands = np.digitize(frequencies, edges) - 1
    expected = np.bincount(bands, density) / np.bincount(bands)
    np.testing.assert_allclose(means(y, spec), expected, rtol=1e-4, atol=1e-6 * expected.max())


def test_white_noise_has_the_same_density_in_every_band() -> None:
    level = 0.1
    found = means(noise(20.0, level=level), spec_of(n_bands=20))
    np.testing.assert_allclose(found, 2 * level**2 / SR, rtol=0.1)


def test_silence_has_none() -> None:
    assert not means(SIGNALS["silence"], spec_of()).any()


def test_a_band_without_a_bin_is_refused() -> None:
    with pytest.raises(
        SpecError, match=r"n_bands=200: no bin lies in band 2, 17 to 33 Hz: .* larger n_fft=512"
    ):
        spec_of(n_bands=200, n_fft=512, hop_length=512)


def test_a_band_without_a_bin_at_the_files_own_rate_is_the_files_fault() -> None:
    spec = spec_of(sr="native", n_fft=512, n_bands=64)
    with pytest.raises(AudioError, match="no bin lies in band") as caught:
        extract_columns(encode(noise(sr=96_000), 96_000), spec)
    assert caught.value.kind == "unsuitable"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"fmin": 12_000.0}, "fmin=12000 must be less than half of sr=22050"),
        ({"fmax": 12_000.0}, "fmax=12000 must be at most half of sr=22050"),
        ({"fmin": 500.0, "fmax": 400.0}, "fmin=500 must be less than fmax=400"),
    ],
)
def test_limits_that_do_not_fit_are_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec_of(**limits)


def test_a_column_says_which_band_it_is() -> None:
    by_name = {column.name: column.definition for column in describe(spec_of(n_bands=10))}
    assert "band 1 of 10 (0 to 333 Hz)" in by_name["spectral_density_01_mean"]
