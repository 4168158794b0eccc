"""Tempo."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib import SpecError, extract_columns, feature, spec_from_settings
from featurelib.features.tempo import mean_tempogram
from featurelib.spill import SpillBuffer
from tests.featurelib.support.signals import SR, encode, noise

VARIANTS = {
    "default": {},
    "mean": {"aggregate": "mean"},
    "reflect": {"pad_mode": "reflect"},
    "prior": {"start_bpm": 80.0, "std_bpm": 0.3},
    "short windows": {"ac_size": 2.0, "max_tempo": 150.0},
    "other frames": {"n_fft": 1024, "hop_length": 300, "n_mels": 40, "aggregate": "mean"},
    "no tempo is allowed": {"max_tempo": 1.0},
}


def tempo(y, sr=SR, **parameters):
    spec = spec_from_settings({"sr": sr, "features": [{"family": "tempo", **parameters}]})
    return extract_columns(encode(y, sr), spec)["tempo"][0]


def expected(y, sr=SR, **parameters):
    call = feature("tempo", **parameters).librosa(sr)
    return np.float32(np.ravel(eval(call, {"librosa": librosa, "np": np, "y": y}))[0])


def clicks(bpm, seconds=12.0):
    y = noise(seconds, level=0.01)
    for beat in np.arange(0, seconds - 0.1, 60 / bpm):
        y[int(beat * SR) :][:2000] += noise(2000 / SR, level=0.5)
    return y


@pytest.mark.parametrize("parameters", VARIANTS.values(), ids=VARIANTS)
@pytest.mark.parametrize("bpm", [70, 133])
def test_it_is_what_the_stated_call_gives(bpm, parameters):
    y = clicks(bpm)
    assert tempo(y, **parameters) == expected(y, **parameters)


@pytest.mark.parametrize("bpm", [60, 97, 120, 171])
def test_it_is_beat_tracks_and_the_mean_is_tempos(bpm):
    y = clicks(bpm)
    assert tempo(y) == np.float32(librosa.beat.beat_track(y=y, sr=SR)[0])
    assert tempo(y, aggregate="mean") == np.float32(librosa.feature.tempo(y=y, sr=SR)[0])


def test_it_is_the_tempo_of_the_clicks():
    assert abs(tempo(clicks(120)) - 120) < 4


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("before", [0.0, 0.3])
@pytest.mark.parametrize("aggregate", ["mean", "median"])
def test_short_signals(seconds, before, aggregate):
    """Where autocorrelations are zero, only the prior decides."""
    y = np.concatenate((noise(before, level=0.01), noise(seconds)))
    assert tempo(y, aggregate=aggregate) == expected(y, aggregate=aggregate)


@pytest.mark.parametrize("n", [1, 511, SR])
def test_silence_and_single_frames_have_librosas_value_without_onsets(n):
    """librosa fails with a single frame."""
    y = np.zeros(n, np.float32)
    assert tempo(y) == 0.0
    envelope = np.zeros(100)
    most_probable = librosa.feature.tempo(onset_envelope=envelope, sr=SR)[0]
    assert tempo(y, aggregate="mean") == np.float32(most_probable)


def test_windows_of_a_frame_are_refused():
    with pytest.raises(SpecError, match=r"ac_size=0[.]03 s is less than two frames"):
        tempo(noise(1.0), ac_size=0.03)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 300),
    win_length=st.integers(2, 200),
    share=st.floats(0, 1),
    in_memory=st.sampled_from([64, None]),
    seed=st.integers(0, 1000),
)
def test_the_mean_tempogram_is_librosas(n, win_length, share, in_memory, seed):
    """Also of envelopes with silence and with a large range, in memory or in a file."""
    rng = np.random.default_rng(seed)
    x = (rng.random(n) * (rng.random(n) < share) * 10.0 ** rng.integers(-6, 2, n)).astype("f")
    envelope = SpillBuffer(1, in_memory)
    envelope.append(x[:, None])
    tempogram = librosa.feature.tempogram(onset_envelope=x, sr=SR, win_length=win_length)
    np.testing.assert_allclose(
        mean_tempogram(envelope, win_length), tempogram.mean(axis=1), rtol=0, atol=2e-9
    )


@pytest.mark.slow
def test_memory_does_not_grow_with_the_envelope():
    envelope = SpillBuffer(1)
    x = np.random.default_rng(0).random((10**5, 1)).astype(np.float32)
    mean_tempogram(envelope_of(x[:1000]), 344)
    tracemalloc.start()
    try:
        for _ in range(16):  # ten hours
            envelope.append(x)
        mean_tempogram(envelope, 344)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * 2**20


def envelope_of(x):
    envelope = SpillBuffer(1)
    envelope.append(x)
    return envelope


@pytest.mark.skipif("FEATURELIB_TEST_AUDIO" not in os.environ, reason="needs recordings")
def test_recordings():
    root = Path(os.environ["FEATURELIB_TEST_AUDIO"])
    # some are placeholders that no decoder opens
    paths = [p for p in sorted((root / "music").glob("*.ogg")) if p.stat().st_size > 1000]
    assert paths
    for path in paths[::5]:
        y = librosa.load(path, duration=20)[0]
        assert tempo(y) == np.float32(librosa.beat.beat_track(y=y, sr=SR)[0]), path
