"""Rows for the mix, for the first channel, and for each channel."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile

from featurelib import (
    AudioError,
    FeatureSpec,
    extract,
    extract_columns,
    extract_signal,
    feature_names,
)
from tests.featurelib.support.signals import SR, chord, encode, noise, sine


def make_spec(channels: str, **fields: Any) -> FeatureSpec:
    features = ["rms", "zero_crossing_rate", {"family": "mfcc", "n_mfcc": 5}, "chroma_stft"]
    return FeatureSpec.from_dict(
        {"name": "test", "channels": channels, "features": features, **fields}
    )


def assert_same_features(frame: Any, expected: Any, spec: FeatureSpec) -> None:
    names = [*feature_names(spec), "n_frames", "peak", "mix_peak", "clipped_fraction", "is_silent"]
    assert frame[names].to_dict("records") == expected[names].to_dict("records")


def several(n: int, sr: int = SR) -> np.ndarray:
    """Channels of shape (n, samples) that differ. The first clips, the second is silent."""
    parts = [2 * noise(2.1, sr=sr, level=0.4), np.zeros(round(2.1 * sr)), chord(2.1, sr=sr)]
    parts += [sine(2.1, frequency=200.0 * k, sr=sr) for k in range(1, 4)]
    return np.clip(parts[:n], -1, 1).astype(np.float32)


@pytest.mark.parametrize("sr", [SR, 44_100])
@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("level", ["track", {"length_s": 0.6}])
def test_first_and_each_are_as_of_one_channel_alone(sr, n, level):
    y = several(n, sr)
    data = encode(y.T, sr)
    alone = [extract_signal(one, sr, make_spec("mix", level=level)) for one in y]
    spec = make_spec("each", level=level)
    frame = extract(data, spec)
    n_segments = len(alone[0])
    assert frame["channel"].tolist() == [c for c in range(n) for _ in range(n_segments)]
    assert frame["segment"].tolist() == list(range(n_segments)) * n
    assert set(frame["channels"]) == {n}
    for c in range(n):
        assert_same_features(frame[frame["channel"] == c], alone[c], spec)
    first = extract(data, make_spec("first", level=level))
    assert first["channel"].isna().all()
    assert_same_features(first, alone[0], spec)
    for column in ("audio_hash", "duration_s", "channels", "sample_rate_hz"):
        whole = extract(data, make_spec("mix"))[column].item()
        assert set(frame[column]) == set(first[column]) == {whole}


def test_samples_in_memory():
    y = several(3)
    spec = make_spec("each")
    frame = extract_signal(y, SR, spec)
    assert frame["channel"].tolist() == [0, 1, 2]
    for c in range(3):
        expected = extract_signal(y[c], SR, make_spec("mix"))
        assert_same_features(frame[frame["channel"] == c], expected, spec)


def flac(y: np.ndarray, sr: int = SR) -> bytes:
    return encode((y.T * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16), sr, fmt="FLAC")


@pytest.mark.parametrize("counts", [(2, 1), (1, 2), (2, 2, 3)])
def test_another_number_of_channels_later_is_unsuitable_for_each_only(counts):
    data = b"".join(flac(several(n)) for n in counts)
    with pytest.raises(AudioError, match="use channels = 'mix'") as caught:
        extract(data, make_spec("each"))
    assert caught.value.kind == "unsuitable"
    firsts = np.concatenate([several(n)[0] for n in counts])
    in_16_bits = (firsts * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16) / np.float32(2**15)
    expected = extract_signal(in_16_bits, SR, make_spec("mix"))
    for channels in ("first", "mix"):
        columns = extract_columns(data, make_spec(channels))
        assert columns["n_streams"] == [len(counts)]
    assert_same_features(extract(data, make_spec("first")), expected, make_spec("first"))


def test_another_rate_later_is_fine():
    data = flac(several(2)) + flac(several(2, 44_100), 44_100)
    frame = extract(data, make_spec("each"))
    assert frame["channel"].tolist() == [0, 1]
    assert frame["end_s"].tolist() == pytest.approx([4.2, 4.2])


@pytest.mark.parametrize("n", [32, 33, 200])
def test_at_most_32_channels_get_rows_of_their_own(n):
    y = np.repeat(noise(0.2)[:, None], n, axis=1) * np.linspace(0, 1, n, dtype=np.float32)
    file = io.BytesIO()
    soundfile.write(file, y, SR, format="WAV", subtype="FLOAT")
    if n <= 32:
        frame = extract(file.getvalue(), make_spec("each"))
        assert frame["channel"].tolist() == list(range(n))
        assert frame["peak"].is_monotonic_increasing
        return
    with pytest.raises(AudioError, match=f"{n} channels") as caught:
        extract(file.getvalue(), make_spec("each"))
    assert caught.value.kind == "unsuitable"
    assert len(extract(file.getvalue(), make_spec("first"))) == 1
