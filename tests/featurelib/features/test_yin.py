"""Fundamental frequency, and voiced frames."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib import SpecError, describe, extract_columns, spec_from_settings
from featurelib.extraction.extract import extract_signal_columns
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SR, chord, encode, noise, sine, sweep, time
from tests.support.audio_files import real_recordings
from tests.support.quick import slow_but_every


def spec_of(sr=SR, **parameters):
    entries = [{"family": family, "statistics": ["series"]} for family in ("yin", "voiced")]
    return spec_from_settings({"sr": sr, "features": entries, "defaults": parameters})


def series(y, sr=SR, **parameters):
    """Fundamental frequencies, and whether the frames are voiced."""
    columns = extract_signal_columns(y, sr, spec_of(sr, **parameters))
    return columns["yin_series"][0], columns["voiced_series"][0]


def voice(seconds=1.5, sr=SR):
    """A gliding tone with overtones and vibrato, in faint noise, with a pause in the middle."""
    t = time(seconds, sr)
    phase = 2 * np.pi * (120 * t + 30 * t**2) + 2 * np.sin(2 * np.pi * 5 * t)
    y = sum(np.sin(k * phase) / k for k in range(1, 8)) * 0.1
    y[len(y) // 3 : len(y) // 2] = 0
    return (y + noise(seconds, sr=sr, level=1e-3)).astype(np.float32)


FRAMES = {
    "defaults": {},
    "hop of half a frame": {"hop_length": 1024},
    "frames apart": {"n_fft": 1024, "hop_length": 1024},
    "many pieces": {"hop_length": 128},
    "more pieces": {"hop_length": 32},
    "hop of no divisor": {"hop_length": 700},
    "no power of two": {"n_fft": 1200, "hop_length": 300},
    "neither": {"n_fft": 1500, "hop_length": 441},
    "speech": {"sr": 16_000, "n_fft": 400, "hop_length": 160},
    "lags beyond a hop": {"sr": 44_100},
    "lags beyond three hops": {"sr": 44_100, "hop_length": 256, "fmin": 50.0},
    "longest lag": {"n_fft": 1024, "fmin": SR / 1022.5},
    "high and narrow": {"fmin": 1900.0, "fmax": 2100.0},
    "up to half the rate": {"fmax": SR / 2},
    "low rate": {"sr": 8_000, "fmin": 100.0, "fmax": 500.0},
    "threshold": {"trough_threshold": 0.5},
    "reflect": {"pad_mode": "reflect"},
    "not centred": {"center": False},
}


@pytest.mark.parametrize("parameters", FRAMES.values(), ids=FRAMES)
def test_every_frame_equals_librosa(parameters):
    parameters = dict(parameters)
    sr = parameters.pop("sr", SR)
    y = np.concatenate((voice(sr=sr), chord(0.5, sr=sr), noise(0.5, sr=sr), sweep(0.5, sr=sr)))
    found, voiced = series(y, sr, **parameters)
    yin, is_voiced = (entry.feature for entry in spec_of(sr, **parameters).features)
    expected = oracle.frame_series(y, sr, yin)[0]
    x = oracle.normalized_differences(np.float64(y), sr, yin.periodicity)
    for t in np.flatnonzero(np.abs(found / expected - 1) > 1e-4):
        # Of two lags that are equal to the last digits of float32, librosa's choice is rounding.
        lags = np.round(sr / np.array([found[t], expected[t]])).astype(int) - int(
            sr / yin.periodicity.fmax
        )
        assert lags[0] != lags[1]
        assert x[lags[0], t] == pytest.approx(x[lags[1], t], rel=2e-6)
        assert not voiced[t]
    np.testing.assert_array_equal(voiced, oracle.frame_series(y, sr, is_voiced)[0])


@pytest.mark.parametrize(
    "path", slow_but_every(6, real_recordings("music")), ids=lambda path: path.name
)
def test_recordings_equal_librosa(path):
    try:
        y, sr = librosa.load(path, duration=30)
    except Exception:  # noqa: BLE001  a placeholder that no decoder opens
        return
    found, _ = series(y)
    expected, exact = (
        librosa.yin(samples, fmin=65.4064, fmax=2093.0045, sr=sr) for samples in (y, np.float64(y))
    )
    # A recording has a large constant, in which librosa loses half of the digits of float32.
    is_decided = np.abs(exact / expected - 1) < 1e-5
    assert np.mean(is_decided) > 0.5
    is_equal = np.abs(found / expected - 1) < 1e-4
    assert np.mean(is_equal[is_decided]) > 0.99
    if is_decided.all():
        assert is_equal.all()


@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(1, 3 * SR), max_size=4), hop=st.sampled_from([256, 512, 700]))
def test_pieces_of_the_signal_change_nothing(cuts, hop):
    from featurelib.graph import Analysis, Plan
    from featurelib.statistics import Series

    feature = spec_of(hop_length=hop).features[0].feature
    node = Series(of=feature)
    y = np.concatenate((voice(), chord()))
    found = []
    for edges in ([], sorted(cuts)):
        plan = Plan([node], SR)
        analysis = Analysis(plan)
        for piece in np.split(y, edges):
            analysis.push(piece)
        analysis.finish()
        found.append(analysis.operators[plan.index[node]].series())
    np.testing.assert_array_equal(*found)


def test_a_tone_has_its_frequency_and_is_voiced():
    found, voiced = series(sine(1.0, frequency=440.0))
    np.testing.assert_allclose(found[4:-4], 440.0, rtol=2e-3)
    assert voiced[4:-4].all()


def test_noise_is_unvoiced():
    _, voiced = series(noise(2.0))
    assert voiced.mean() < 0.1


@pytest.mark.parametrize("n", [1, 2, 100, 2048, 30_000])
def test_silence_is_unvoiced_and_has_the_highest_frequency(n):
    found, voiced = series(np.zeros(n, np.float32))
    assert set(found) == {np.float32(SR / 10)}
    assert not voiced.any()
    np.testing.assert_allclose(
        librosa.yin(np.zeros(n), fmin=65.4064, fmax=2093.0045, sr=SR), SR / 10
    )


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12])
def test_tiny_and_huge_samples_give_finite_values(scale):
    found, voiced = series((scale * sine(0.3)).astype(np.float32))
    assert np.isfinite(found).all()
    assert set(voiced) <= {0.0, 1.0}


def test_the_mean_of_voiced_is_the_share_of_voiced_frames():
    entry = {"family": "voiced", "statistics": ["mean", "series"]}
    row = extract_columns(encode(voice()), spec_from_settings({"sr": SR, "features": [entry]}))
    voiced = row["voiced_series"][0]
    assert 0.2 < row["voiced_mean"][0] < 0.9
    assert row["voiced_mean"][0] == pytest.approx(np.mean(voiced), rel=1e-6)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"fmin": 500.0, "fmax": 500.0}, "fmin=500 must be less than fmax=500"),
        ({"fmax": 12_000.0}, "fmax=12000 must be at most half of sr=22050"),
        (
            {"n_fft": 256, "hop_length": 128},
            "raise n_fft to at least 340, or fmin to more than 86.",
        ),
    ],
)
def test_what_librosa_refuses_is_refused(parameters, words):
    with pytest.raises(SpecError, match=words):
        series(sine(), **parameters)
    limits = {"fmin": 65.4064, "fmax": 2093.0045}
    limits = {key: parameters.get(key, value) for key, value in limits.items()}
    with pytest.raises(librosa.ParameterError):
        librosa.yin(sine(), sr=SR, frame_length=parameters.get("n_fft", 2048), **limits)


def test_the_shortest_frame_that_an_error_names_is_enough():
    found, _ = series(sine(), n_fft=340, hop_length=128)
    expected = librosa.yin(
        sine(), fmin=65.4064, fmax=2093.0045, sr=SR, frame_length=340, hop_length=128
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    with pytest.raises(SpecError):
        series(sine(), n_fft=338, hop_length=128)


def test_definitions_name_the_range():
    spec = spec_of(fmin=80.0, pad_mode="reflect")
    yin, voiced = describe(spec)[-2:]
    assert "between 80 and 2093 Hz" in yin.definition
    assert "fmin=80.0" in yin.librosa
    assert yin.unit == "Hz"
    assert voiced.librosa == "none"
