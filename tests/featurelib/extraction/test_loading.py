"""`load` returns the samples from which features are computed."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from featurelib import AudioError, ParameterError, extract_signal_columns, load
from featurelib.extraction import loading
from featurelib.extraction.extract import extract_columns
from tests.featurelib.support.encoders import FORMATS, made, rate_of
from tests.featurelib.support.signals import chord, encode, noise

STEREO = np.stack([chord(1.3, sr=44_100), noise(1.3, sr=44_100)], axis=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"sr": None, "mono": False},
        {"sr": 16_000, "mono": False},
        {"sr": None, "offset": 0.31, "duration": 0.5},
        {"offset": 0.2},
        {"duration": 0.777},
    ],
    ids=str,
)
def test_samples_are_librosas(tmp_path, arguments):
    path = tmp_path / "x.wav"
    path.write_bytes(encode(STEREO, 44_100))
    y, sr = load(path, **arguments)
    expected, expected_sr = librosa.load(path, **arguments)
    assert (y.dtype, sr) == (np.float32, expected_sr)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("name", FORMATS)
def test_samples_are_those_that_the_features_are_of(name):
    data = made(name, np.stack([chord(0.6, sr=rate_of(name))] * 2, axis=1) * 0.5)
    y, sr = load(data)
    row, expected = extract_signal_columns(y, sr), extract_columns(data)
    names = [column for column in row if column.endswith(("_mean", "_std"))]
    assert len(names) > 90
    assert {column: row[column] for column in names} == {c: expected[c] for c in names}


def test_one_channel_has_one_dimension():
    y, _ = load(encode(chord()), mono=False)
    assert y.ndim == 1


def test_channels_are_rows():
    y, sr = load(encode(STEREO, 44_100), sr=None, mono=False)
    assert (y.shape, sr) == ((2, len(STEREO)), 44_100)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(loading, "MAX_BYTES", 100_000)
    with pytest.raises(AudioError, match="give a duration") as caught:
        load(encode(noise(3.0)))
    assert caught.value.kind == "too_long"
    assert len(load(encode(noise(3.0)), duration=1.0)[0]) == 22_050


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sr": 10}, "sr=10"),
        ({"sr": 44100.5}, "sr=44100.5"),
        ({"offset": -1}, "offset=-1"),
        ({"duration": 0}, "duration=0"),
        ({"offset": float("nan")}, "offset=nan"),
        ({"offset": None}, "offset=None"),
        ({"duration": float("inf")}, "duration=inf"),
        ({"duration": "3"}, "duration='3'"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used_are_named(arguments, words):
    with pytest.raises(ParameterError, match=words):
        load(encode(chord()), **arguments)


def test_content_that_cannot_be_used_is_an_audio_error():
    with pytest.raises(AudioError) as caught:
        load(b"nothing of the kind")
    assert caught.value.kind == "undecodable"
    with pytest.raises(AudioError) as caught:
        load(encode(np.zeros(0, np.float32)))
    assert caught.value.kind == "empty"
    with pytest.raises(AudioError, match="before the offset") as caught:
        load(encode(chord(1.0)), offset=5.0)
    assert caught.value.kind == "too_short"
