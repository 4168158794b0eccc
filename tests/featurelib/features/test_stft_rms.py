"""The root mean square of spectra is that of librosa 0.5."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest

from featurelib import FeatureSpec, extract_signal_columns, spec_from_settings
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SIGNALS, SR, noise


def spec_of(**parameters: Any) -> FeatureSpec:
    entry = {"family": "stft_rms", "statistics": ["mean", "std", "median", "max"], **parameters}
    return spec_from_settings({"features": [entry]})


@pytest.mark.parametrize("parameters", [{}, {"n_fft": 512, "win_length": 400, "hop_length": 160}])
@pytest.mark.parametrize("name", SIGNALS)
def test_columns_equal_the_formula(name: str, parameters: dict[str, Any]) -> None:
    y, spec = SIGNALS[name], spec_of(**parameters)
    oracle.assert_close(extract_signal_columns(y, SR, spec), oracle.columns(y, spec))


def test_it_is_todays_rms_of_a_spectrum_times_a_constant() -> None:
    y = noise()
    [found] = extract_signal_columns(y, SR, spec_of())["stft_rms_mean"]
    S = np.abs(librosa.stft(y))
    today = np.mean(librosa.feature.rms(S=S, frame_length=2048))
    # Today's halves the squares of the first and the last bin.
    assert found == pytest.approx(today * 2048 / np.sqrt(2 * 1025), rel=1e-3)


def test_silence_has_none() -> None:
    assert extract_signal_columns(SIGNALS["silence"], SR, spec_of())["stft_rms_max"] == [0.0]
