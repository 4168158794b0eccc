"""Features of every frame, against librosa's arrays."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from featurelib import FeatureSpec, SpecError, extract_frames, spec_from_settings
from tests.featurelib.support.signals import SR, chord, encode, noise

FAMILIES = ["rms", "spectral_centroid", "spectral_flux", "mfcc", "chroma_stft", "tuning"]


def spec_of(*features, **changes) -> FeatureSpec:
    return FeatureSpec.from_dict({"name": "frames", "features": list(features), **changes})


def check(frame, y, sr, **arguments) -> None:
    """Compare a frame's columns with librosa's arrays."""
    hop_length = arguments.get("hop_length", 512)
    expected = {
        "rms": librosa.feature.rms(y=y, hop_length=hop_length),
        "spectral_centroid": librosa.feature.spectral_centroid(y=y, sr=sr, **arguments),
        "mfcc": librosa.feature.mfcc(y=y, sr=sr, **arguments),
        "chroma_stft": librosa.feature.chroma_stft(y=y, sr=sr, **arguments),
    }
    for name, rows in expected.items():
        columns = [name] if len(rows) == 1 else [f"{name}_{i + 1:02}" for i in range(len(rows))]
        found = frame[columns].to_numpy().T
        scale = np.sqrt(np.mean(np.square(rows), axis=1, keepdims=True))
        assert np.all(np.abs(found - rows) <= 1e-4 * np.abs(rows) + 1e-5 * scale), name


def test_frames_equal_librosas_arrays():
    y = np.concatenate((chord(2.0), noise(1.0)))
    frame = extract_frames(encode(y), spec_of(*FAMILIES))
    assert len(frame) == 1 + len(y) // 512
    np.testing.assert_allclose(frame["time_s"], librosa.frames_to_time(range(len(frame)), sr=SR))
    check(frame, y, SR)
    assert "tuning" not in frame.columns
    assert frame["spectral_flux"].isna().tolist() == [True] + [False] * (len(frame) - 1)


def test_the_first_frame_is_there_also_if_no_feature_has_it():
    y = chord(1.0)
    frame = extract_frames(encode(y), spec_of("spectral_flux"))
    assert len(frame) == 1 + len(y) // 512
    assert frame["time_s"][0] == 0
    assert frame["spectral_flux"].isna().tolist() == [True] + [False] * (len(frame) - 1)


def test_a_last_frame_that_only_the_constant_q_transform_has():
    spec = spec_of("chroma_cqt", "spectral_flux", "rms", sr=44_100)
    frame = extract_frames(encode(noise(1.0, sr=44_100)[: 20 * 512 - 1], 44_100), spec)
    assert frame["rms"].isna().tolist() == [False] * 20 + [True]
    assert frame["spectral_flux"].isna().tolist() == [True] + [False] * 19 + [True]
    assert frame["chroma_cqt_01"].notna().all()
    assert frame.columns[1] == "chroma_cqt_01"


def test_segments_and_channels_have_their_columns():
    y = np.stack([chord(2.0), noise(2.0)], axis=1)
    spec = spec_of(*FAMILIES, channels="each", level={"length_s": 0.75}, offset=0.25)
    frame = extract_frames(encode(y), spec)
    assert list(frame.columns[:3]) == ["channel", "segment", "time_s"]
    assert frame.groupby(["channel", "segment"]).ngroups == 6
    for (channel, segment), group in frame.groupby(["channel", "segment"]):
        start = int(0.25 * SR) + int(segment) * round(0.75 * SR)
        stop = min(start + round(0.75 * SR), len(y))
        part = np.ascontiguousarray(y[start:stop, channel])
        check(group, part, SR)
        start_s = 0.25 + segment * round(0.75 * SR) / SR
        assert group["time_s"].iloc[0] == pytest.approx(start_s, abs=1e-4)


def test_a_second_sight_of_other_frames_is_refused():
    long = {"family": "mfcc", "as": "long", "n_fft": 4096, "hop_length": 1024}
    with pytest.raises(SpecError, match=r"rms and long are not of the same frames.*512 and 1024"):
        extract_frames(encode(chord()), spec_of("rms", long))


def test_longer_frames_of_the_same_hop_are_the_same_frames():
    long = {"family": "spectral_centroid", "n_fft": 4096}
    y = chord(1.0)
    frame = extract_frames(encode(y), spec_of("rms", long))
    expected = librosa.feature.spectral_centroid(y=y, sr=SR, n_fft=4096)[0]
    np.testing.assert_allclose(frame["spectral_centroid"], expected, rtol=1e-5)


def test_a_spec_without_frames_is_refused():
    with pytest.raises(SpecError, match="no feature has frames"):
        extract_frames(encode(chord()), spec_of("tuning"))


def test_names_are_those_of_the_template_without_a_statistic():
    frame = extract_frames(encode(chord()), "tutorial-v1")
    assert {"rmse", "rolloff", "mfcc1", "mfcc20", "chroma_stft12"} <= set(frame.columns)


def test_a_feature_does_not_take_the_place_of_the_time():
    with pytest.raises(SpecError, match="'time_s'"):
        extract_frames(encode(chord(1.0)), spec_of({"family": "rms", "columns": "time_s_{stat}"}))


def test_a_column_without_a_name_is_refused():
    spec = {"features": [{"family": "rms", "columns": "{stat}"}]}
    with pytest.raises(SpecError, match="gives a column no name"):
        extract_frames(encode(chord()), spec_from_settings(spec))
