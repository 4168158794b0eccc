"""Offset and duration of the part of a file that is analysed."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import AudioError, Extractor, FeatureSpec, extract, extract_signal, feature_names
from tests.featurelib.support.encoders import made, on_grid
from tests.featurelib.support.signals import SR, chord, encode, noise
from tests.support.quick import slow_but

FEATURES = ["rms", "zero_crossing_rate", "spectral_flux", {"family": "mfcc", "n_mfcc": 5}]


def make_spec(**fields: Any) -> FeatureSpec:
    return FeatureSpec.from_dict({"name": "test", "features": FEATURES, **fields})


STRETCHES = [(0.0, 1.0), (0.5, None), (0.7, 0.31), (1.99, None), (1.0 / 3, 1e9), (0.1, 1.7)]


@pytest.mark.parametrize(("offset", "duration"), STRETCHES)
@pytest.mark.parametrize("rate", [SR, "native"])
@pytest.mark.parametrize("name", slow_but(["wav16", "mp3"], ["wav16", "flac", "mp3", "ogg_vorbis"]))
def test_features_are_those_of_what_librosa_loads(name, rate, offset, duration, tmp_path):
    path = tmp_path / "a"
    y = np.stack([chord(2.0, sr=44_100), noise(2.0, sr=44_100)], axis=1)
    path.write_bytes(made(name, y))
    load = {"offset": offset, "duration": duration, "mono": False}
    loaded, sr = librosa.load(path, sr=None, **load)
    spec = make_spec(sr=rate, offset=offset, duration=duration)
    frame = extract(path, spec)
    expected = extract_signal(loaded, sr, make_spec(sr=rate))
    names = [*feature_names(spec), "n_frames", "peak", "mix_peak"]
    assert frame[names].iloc[0].to_dict() == expected[names].iloc[0].to_dict()
    assert frame["audio_hash"].item() == expected["audio_hash"].item()
    seconds = loaded.shape[1] / sr
    assert frame["duration_s"].item() == pytest.approx(seconds, abs=1e-9)
    assert frame["start_s"].item() == offset
    assert frame["end_s"].item() == pytest.approx(offset + seconds, abs=1e-9)
    whole = extract(path, make_spec())
    assert frame["header_duration_s"].item() == whole["header_duration_s"].item()
    assert frame["decoding"].item() == "whole"


@given(
    offset=st.floats(0, 0.5),
    duration=st.none() | st.floats(0.001, 0.6),
    sr=st.sampled_from([8_000, 11_025, SR, 44_100]),
    block_samples=st.integers(50, 20_000),
)
def test_any_offset_and_duration_is_cut_at_the_sample(offset, duration, sr, block_samples):
    y = noise(0.5, sr=sr)
    start = int(offset * sr)
    part = y[start:] if duration is None else y[start : start + int(duration * sr)]
    spec = make_spec(sr="native", offset=offset, duration=duration)
    data = encode(y, sr)
    if not len(part):
        with pytest.raises(AudioError):
            list(Extractor(spec).file(data, block_samples=block_samples))
        return
    (rows,) = Extractor(spec).file(data, block_samples=block_samples)
    alone = extract_signal(part, sr, make_spec(sr="native"))
    np.testing.assert_array_equal(rows.values, alone[feature_names(spec)].to_numpy())
    assert rows.facts["audio_hash"] == alone["audio_hash"].item()
    in_memory = extract_signal(y, sr, spec)
    assert in_memory["audio_hash"].item() == alone["audio_hash"].item()


@pytest.mark.parametrize("offset", [2.0, 2.1, 1e6])
@pytest.mark.parametrize("duration", [None, 0.5])
@pytest.mark.parametrize("name", ["wav16", "flac", "mp3", "ogg_vorbis", "m4a_aac"])
def test_an_offset_beyond_the_end(name, offset, duration):
    data = made(name, noise(1.9, sr=44_100))
    with pytest.raises(AudioError, match="before the offset of") as caught:
        extract(data, make_spec(offset=offset, duration=duration))
    assert caught.value.kind == "too_short"


def test_segments_and_channels_of_a_stretch():
    y = np.stack([chord(3.0), noise(3.0)])
    fields = {"channels": "each", "level": {"length_s": 0.5}}
    frame = extract(encode(y.T), make_spec(offset=0.4, duration=1.2, **fields))
    start, stop = int(0.4 * SR), int(0.4 * SR) + int(1.2 * SR)
    expected = extract_signal(y[:, start:stop], SR, make_spec(**fields))
    names = feature_names(make_spec())
    assert frame[names].equals(expected[names])
    assert frame["start_s"].tolist() == pytest.approx([0.4, 0.9, 1.4] * 2)
    assert frame["end_s"].tolist() == pytest.approx([0.9, 1.4, 1.6] * 2, abs=1e-4)
    assert frame["audio_hash"].nunique() == 1


def flac(y: np.ndarray, sr: int) -> bytes:
    return encode((y * 2**15).astype(np.int16), sr, fmt="FLAC")


@pytest.mark.parametrize(
    ("offset", "duration"), [(0.0, 1.5), (0.5, 1.0), (1.25, None), (1.25, 0.5), (1.0, 0.25)]
)
def test_a_stretch_over_streams_of_two_rates(offset, duration):
    rates = (16_000, 44_100)
    signals = [noise(1.0, sr=sr, seed=sr) for sr in rates]
    data = b"".join(flac(y, sr) for y, sr in zip(signals, rates, strict=True))
    end = 2.0 if duration is None else offset + duration
    parts = []
    for i, (y, sr) in enumerate(zip(signals, rates, strict=True)):
        part = y[round(max(offset - i, 0) * sr) : round(max(end - i, 0) * sr)]
        if len(part):
            in_16_bits = (part * 2**15).astype(np.int16) / np.float32(2**15)
            parts.append(librosa.resample(in_16_bits, orig_sr=sr, target_sr=SR))
    expected = extract_signal(np.concatenate(parts), SR, make_spec())
    frame = extract(data, make_spec(offset=offset, duration=duration))
    assert frame["duration_s"].item() == pytest.approx(end - offset)
    names = feature_names(make_spec())
    assert frame[names].iloc[0].to_dict() == expected[names].iloc[0].to_dict()


@pytest.mark.parametrize("offset", [0.0, 0.1])
@pytest.mark.parametrize("duration", [0.29, 0.57, 0.7, 1.1])  # 0.7 * 44100 is inexact
@pytest.mark.parametrize("name", ["flac", "m4a_alac", "wavpack", "two flac", "three flac"])
def test_a_duration_is_as_long_whoever_decodes_however_many_streams(name, duration, offset):
    sr = 44_100
    y = on_grid(noise(2.0, sr=sr))
    cuts = {"two flac": [13_230], "three flac": [13_230, 30_869]}.get(name, [])
    data = b"".join(made(name.split()[-1], part) for part in np.split(y, cuts))
    start = int(offset * sr)
    expected = y[start : start + int(duration * sr)]
    frame = extract(data, make_spec(sr="native", offset=offset, duration=duration))
    assert round(frame["duration_s"].item() * sr) == len(expected)
    alone = extract_signal(expected, sr, make_spec(sr="native"))
    assert frame["audio_hash"].item() == alone["audio_hash"].item()
    if not offset:
        starts = [0, *cuts]
        assert frame["n_streams"].item() == sum(at < len(expected) for at in starts)
