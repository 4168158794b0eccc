"""Analysis of each file at its own sampling rate."""

from __future__ import annotations

import io
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile

from featurelib import (
    AudioError,
    Extractor,
    FeatureSpec,
    SpecError,
    extract,
    extract_columns,
    extract_signal,
    extract_signal_columns,
    feature_names,
    warm_up,
)
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import chord, encode, noise
from tests.support.quick import slow_but

FEATURES = [
    "rms",
    "spectral_centroid",
    "spectral_rolloff",
    {"family": "mfcc", "n_mfcc": 8},
    "chroma_stft",
]


def make_spec(*more: Any, **fields: Any) -> FeatureSpec:
    return FeatureSpec.from_dict(
        {"name": "test", "sr": "native", "features": [*FEATURES, *more], **fields}
    )


def by_librosa(y: np.ndarray, sr: int) -> oracle.Expected:
    series = {
        "rms": librosa.feature.rms(y=y),
        "spectral_centroid": librosa.feature.spectral_centroid(y=y, sr=sr),
        "spectral_rolloff": librosa.feature.spectral_rolloff(y=y, sr=sr),
        "mfcc": librosa.feature.mfcc(y=y, sr=sr, n_mfcc=8),
        "chroma_stft": librosa.feature.chroma_stft(y=y, sr=sr),
    }
    expected: oracle.Expected = {}
    for family, rows in series.items():
        for i, row in enumerate(rows):
            base = family if len(rows) == 1 else f"{family}_{i + 1:02d}"
            rms = float(np.sqrt(np.mean(np.square(row, dtype=np.float64))))
            for name in ("mean", "std"):
                expected[f"{base}_{name}"] = (oracle.statistic(row, name), rms)
    return expected


@pytest.mark.parametrize("sr", [8_000, 11_025, 16_000, 22_050, 44_100, 96_000])
def test_features_are_librosas_at_the_files_rate(sr):
    y = chord(2.0, sr=sr) + noise(2.0, sr=sr, level=0.01)
    columns = extract_columns(encode(y, sr), make_spec())
    expected = by_librosa(y, sr)
    assert set(expected) == set(feature_names(make_spec()))
    oracle.assert_close({name: columns[name] for name in expected}, expected)
    assert columns["sample_rate_hz"] == [sr]
    assert columns["n_frames"] == [1 + len(y) // 512]


def test_real_recordings_of_all_rates(real_audio):
    for path in (
        next((real_audio / "digits" / "3").glob("*.wav")),
        next((real_audio / "clips" / "rain").glob("*.ogg")),
        next((real_audio / "music").glob("198-209-0000.ogg")),
    ):
        y, sr = soundfile.read(path, dtype="float32", always_2d=True)
        columns = extract_columns(path, make_spec())
        expected = by_librosa(y.mean(axis=1), sr)
        oracle.assert_close({name: columns[name] for name in expected}, expected)


def test_one_spec_serves_files_of_all_rates_in_any_order():
    extractor = Extractor(make_spec())
    values = {}
    for sr in (16_000, 44_100, 16_000, 8_000, 44_100):
        y = chord(1.0, sr=sr)
        (rows,) = extractor.file(encode(y, sr))
        fixed = extract_signal(y, sr, make_spec(sr=sr))[feature_names(make_spec())]
        np.testing.assert_array_equal(rows.values, fixed.to_numpy())
        values.setdefault(sr, rows.values)
        np.testing.assert_array_equal(values[sr], rows.values)


def test_a_rate_that_the_features_do_not_fit_concerns_its_files_only():
    extractor = Extractor(make_spec("spectral_contrast"))
    data = {sr: encode(chord(1.0, sr=sr), sr) for sr in (8_000, 44_100)}
    for _ in range(2):
        with pytest.raises(AudioError, match=r"8000 Hz: .*spectral_contrast.*n_bands") as caught:
            list(extractor.file(data[8_000]))
        assert caught.value.kind == "unsuitable"
        assert "\n" not in str(caught.value)
        (rows,) = extractor.file(data[44_100])
        assert np.isfinite(rows.values).all()


def test_a_level_that_the_rate_does_not_fit_concerns_its_files_only():
    spec = make_spec(level={"length": 44_100, "hop_s": 0.01})  # 100 overlap at 44.1 kHz
    with pytest.raises(AudioError, match="overlap") as caught:
        extract(encode(noise(8.0, sr=8_000), 8_000), spec)
    assert caught.value.kind == "unsuitable"
    assert len(extract(encode(noise(1.1, sr=44_100), 44_100), spec)) == 11


def test_segments_in_seconds_are_of_the_files_samples():
    spec = make_spec(level={"length_s": 0.5})
    for sr in (8_000, 44_100):
        y = noise(1.7, sr=sr)
        frame = extract(encode(y, sr), spec)
        assert frame["start_s"].tolist() == [0.0, 0.5, 1.0, 1.5]
        for i, row in frame.iterrows():
            part = y[i * sr // 2 : (i + 1) * sr // 2]
            names = feature_names(spec)
            alone = extract_signal(part, sr, make_spec())[names].iloc[0].to_dict()
            assert row[names].to_dict() == alone


@pytest.mark.parametrize("rates", [(44_100, 16_000), (16_000, 44_100)])
def test_of_joined_streams_the_first_ones_rate_counts(rates):
    parts, data = [], b""
    for sr in rates:
        y = (chord(1.3, sr=sr) * 2**15).astype(np.int16)
        file = io.BytesIO()
        soundfile.write(file, y, sr, format="FLAC", subtype="PCM_16")
        data += file.getvalue()
        y = y / np.float32(2**15)
        parts.append(librosa.resample(y, orig_sr=sr, target_sr=rates[0]))
    columns = extract_columns(data, make_spec())
    expected = by_librosa(np.concatenate(parts), rates[0])
    oracle.assert_close({name: columns[name] for name in expected}, expected)
    assert columns["n_streams"] == [2]


def test_the_graphs_of_some_rates_are_kept_only():
    spec = FeatureSpec.from_dict({"name": "native", "sr": "native", "features": ["rms"]})
    y = noise(0.1)
    for sr in range(8_000, 8_040):
        extract_signal_columns(y, sr, spec)
    assert len(vars(spec)["_outputs"]) == 16


def native(**entry: Any) -> FeatureSpec:
    entry["statistics"] = ["mean", "series"]
    return FeatureSpec.from_dict({"name": "test", "sr": "native", "features": [entry]})


MFCC_OF_HIGH_BANDS = {"family": "mfcc", "fmin": 12_000.0}


@pytest.mark.parametrize(
    ("entry", "sr"),
    slow_but(
        [(MFCC_OF_HIGH_BANDS, 44_100)],
        [
            ({"family": "rms"}, 44_100),
            (MFCC_OF_HIGH_BANDS, 44_100),
            ({"family": "spectral_contrast", "fmin": 400.0, "n_bands": 7}, 96_000),
            ({"family": "spectral_contrast", "n_fft": 128, "hop_length": 64, "n_bands": 2}, 22_050),
        ],
    ),
    ids=str,
)
def test_kernels_and_sizes_are_those_of_a_usual_rate_that_fits(entry: Any, sr: int) -> None:
    spec = native(**entry)
    assert spec.nominal_sr == sr
    warm_up(spec)
    hop_length = entry.get("hop_length", 512)
    width = spec.features[0].feature.width
    assert spec.series_bytes_a_second() == pytest.approx(4 * width * sr / hop_length)


def test_parameters_that_fit_no_usual_rate_are_refused_before_any_file() -> None:
    with pytest.raises(SpecError, match=r"no usual rate .* fmin=200000"):
        warm_up(native(family="mfcc", fmin=200_000.0))
