"""Onset strength."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from featurelib import extract_columns, feature, spec_from_settings
from tests.featurelib.support.signals import SR, chord, encode, noise

SIGNALS = {
    "chord and noise": np.concatenate((chord(1.0), noise(0.7, level=0.02), chord(0.5))),
    "silence between": np.concatenate((noise(0.5), np.zeros(SR, np.float32), noise(0.5))),
    "one frame": noise(0.01),
    "fewer frames than the delay": noise(0.03),
    "silence": np.zeros(SR, np.float32),
}

VARIANTS = {
    "default": {},
    "median": {"aggregate": "median"},
    "odd number of bands": {"aggregate": "median", "n_mels": 41},
    "one band": {"aggregate": "median", "n_mels": 1, "fmin": 100.0, "fmax": 4000.0},
    "limits": {"fmin": 300.0, "fmax": 8000.0, "top_db": 30.0},
    "reflect": {"pad_mode": "reflect", "n_fft": 1024, "hop_length": 256, "window": "hamming"},
    "not centred": {"center": False, "n_fft": 512, "hop_length": 512},
}


def frames(y, **parameters):
    entry = {"family": "onset_strength", "statistics": ["series"], **parameters}
    row = extract_columns(encode(y), spec_from_settings({"features": [entry]}))
    return np.array(row["onset_strength_series"][0])


@pytest.mark.parametrize("parameters", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("name", SIGNALS)
def test_it_is_what_the_stated_call_gives(name, parameters):
    y = SIGNALS[name]
    n_frames = 1 + len(y) // 512
    if not parameters.get("center", True) and len(y) < parameters["n_fft"]:
        pytest.skip("too short for a frame that is not centred")
    if n_frames == 1:
        np.testing.assert_array_equal(frames(y, **parameters), [0.0])  # librosa fails
        return
    call = feature("onset_strength", **parameters).librosa(SR)
    [expected] = eval(call, {"librosa": librosa, "np": np, "y": y})
    # 1e-5 dB is two units in the last place of a level of -80 dB
    np.testing.assert_allclose(frames(y, **parameters), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("aggregate", ["mean", "median"])
def test_the_plain_call_has_the_default_parameters(aggregate):
    y = SIGNALS["chord and noise"]
    expected = librosa.onset.onset_strength(y=y, sr=SR, aggregate=getattr(np, aggregate))
    np.testing.assert_allclose(frames(y, aggregate=aggregate), expected, rtol=1e-5, atol=2e-5)


def test_silence_has_no_onsets():
    np.testing.assert_array_equal(frames(SIGNALS["silence"]), np.zeros(1 + SR // 512))
