from __future__ import annotations

import re
import warnings

import librosa
import numpy as np
import pyarrow as pa
import pytest
import scipy.signal

from featurelib import (
    PRESETS,
    describe,
    extract,
    extract_columns,
    feature_names,
    schema,
    spec_from_settings,
)
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import chord, encode
from tests.support.quick import slow_but

SIGNAL_COLUMNS = {
    "channel": pa.int32(),
    "segment": pa.int32(),
    "start_s": pa.float64(),
    "end_s": pa.float64(),
    "duration_s": pa.float64(),
    "header_duration_s": pa.float64(),
    "sample_rate_hz": pa.int32(),
    "channels": pa.int32(),
    "format": pa.string(),
    "subtype": pa.string(),
    "decoder": pa.string(),
    "decoding": pa.string(),
    "lost_s": pa.float64(),
    "n_streams": pa.int32(),
    "n_frames": pa.int64(),
    "peak": pa.float32(),
    "mix_peak": pa.float32(),
    "clipped_fraction": pa.float32(),
    "is_silent": pa.bool_(),
    "cutoff_hz": pa.float64(),
    "audio_hash": pa.string(),
}


def both(*names: str) -> list[str]:
    return [f"{name}_{statistic}" for name in names for statistic in ("mean", "std")]


GENRE_COLUMNS = [
    *both("rms", "zero_crossing_rate", "spectral_centroid", "spectral_bandwidth"),
    *both("spectral_rolloff", "spectral_flatness", "spectral_flux"),
    *both(*(f"spectral_contrast_{i:02d}" for i in range(1, 8))),
    *both(*(f"mfcc_{i:02d}" for i in range(1, 21))),
    *both(*(f"chroma_stft_{i:02d}" for i in range(1, 13))),
    *("stft_mean", "stft_std", "stft_max", "stft_skew", "stft_db_mean", "stft_db_std"),
]
TUTORIAL_COLUMNS = [
    *("chroma_stft", "rmse", "spectral_centroid", "spectral_bandwidth", "rolloff"),
    *("zero_crossing_rate", *(f"mfcc{i}" for i in range(1, 21))),
]


@pytest.mark.parametrize(
    ("preset", "features", "count"),
    [("genre-v1", GENRE_COLUMNS, 98), ("tutorial-v1", TUTORIAL_COLUMNS, 26)],
)
def test_columns_of_the_presets(preset, features, count):
    columns = schema(preset)
    assert columns.names == [*SIGNAL_COLUMNS, *features]
    assert feature_names(preset) == features
    assert len(features) == count
    assert columns.types == [*SIGNAL_COLUMNS.values(), *[pa.float32()] * count]


#: Types of series as they are described.
SHORT_TYPES = {
    f"large_list<item: fixed_size_list<item: float>[{width}]>": f"list<float[{width}]>"
    for width in (128, 161)
}


@pytest.mark.parametrize("preset", PRESETS)
def test_schema_and_description_say_the_same(preset):
    described = describe(preset)
    columns = schema(preset)
    assert [column.name for column in described] == columns.names
    for column, field in zip(described, columns, strict=True):
        assert column.type == SHORT_TYPES.get(str(field.type), str(field.type))
        assert field.metadata == {
            b"unit": column.unit.encode(),
            b"description": column.definition.encode(),
            b"librosa": column.librosa.encode(),
        }
        assert column.definition
        assert column.librosa


@pytest.mark.parametrize("preset", PRESETS)
def test_rows_have_exactly_the_schemas_columns(preset):
    row = extract_columns(encode(chord(3.5)), preset)
    assert list(row) == schema(preset).names
    row = {name: [_as_list(value) for value in values] for name, values in row.items()}
    table = pa.table(row, schema=schema(preset))
    assert table.num_rows == 1


def _as_list(value):
    return list(value) if isinstance(value, np.ndarray) else value


NOT_CENTRED = {
    "preset": "genre-v1",
    "defaults": {"center": False, "n_mels": 64, "n_chroma": 24},
}

#: All families, with parameters other than the defaults, and all statistics.
EVERYTHING = {
    "duration": 60.0,
    "defaults": {
        "statistics": ["mean", "std", "var", "min", "max", "skew", "kurtosis", "median", "q2_5"],
        "window": "hamming",
        "pad_mode": "reflect",
        "n_fft": 1024,
    },
    "features": [
        {"family": "rms", "hop_length": 256},
        "zero_crossing_rate",
        "spectral_centroid",
        {"family": "spectral_bandwidth", "p": 3},
        {"family": "spectral_bandwidth", "as": "fractional", "p": 1.5},
        {"family": "spectral_rolloff", "roll_percent": 0.5},
        "spectral_flatness",
        "spectral_flux",
        {"family": "spectral_contrast", "fmin": 150.0, "quantile": 0.1, "n_bands": 4},
        {"family": "mfcc", "n_mfcc": 13, "n_mels": 40, "fmin": 100.0, "fmax": 8000.0},
        {"family": "mfcc", "as": "pooled", "pooled": True},
        {"family": "mfcc", "as": "mfcc_60", "top_db": 60.0, "fmin": 123.456789},
        {"family": "chroma_stft", "n_chroma": 24},
        {"family": "delta", "of": "mfcc", "delta_width": 5, "order": 2},
        {"family": "delta", "of": "spectral_flux", "as": "flux_delta"},
        "stft",
        "stft_db",
        "stft_rms",
        {"family": "onset_strength", "n_fft": 2048},
        {"family": "melspectrogram", "n_mels": 20, "fmin": 100.0, "win_length": 800},
        {"family": "log_mel", "n_mels": 20, "top_db": 60.0},
        {"family": "log_spectrogram", "n_bins": 80},
        {"family": "spectral_density", "n_bands": 8, "fmin": 100.0, "fmax": 8000.0},
        {"family": "spectral_density", "as": "density", "n_bands": 8, "fftbins": False},
        {"family": "poly_features", "order": 2},
        {"family": "yin", "fmin": 80.0, "trough_threshold": 0.2},
        "voiced",
        {"family": "tuning", "bins_per_octave": 24},
        {"family": "rms", "as": "frames", "statistics": ["series"]},
        {"family": "mfcc", "as": "cepstra", "statistics": ["series"]},
    ],
}


@pytest.mark.parametrize(
    "settings",
    slow_but(
        [{"preset": "genre-v1"}, NOT_CENTRED],
        [
            # Segments have the columns of gtzan-v1; a native rate has no number in its calls.
            *(
                {"preset": name}
                for name, spec in PRESETS.items()
                if spec.level.kind == "track" and spec.fixed_sr is not None
            ),
            {
                "preset": "genre-v1",
                "defaults": {"n_fft": 1024, "pad_mode": "reflect", "window": "hamming"},
            },
            NOT_CENTRED,
            EVERYTHING,
        ],
    ),
)
def test_the_librosa_counterparts_are_calls_that_give_the_values(settings):
    spec = spec_from_settings(settings)
    y = chord(1.0, sr=spec.sr)
    row = extract_columns(encode(y, spec.sr), spec)
    expected, n_series = {}, 0
    for column in describe(spec)[len(SIGNAL_COLUMNS) :]:
        if "flux" in column.name or "voiced" in column.name:
            assert column.librosa == "none"
            continue
        match = re.fullmatch(r"(?:(\w+) of )?(.*)", column.librosa)
        # In float64, because rounding errors of librosa's float32 sums exceed the tolerance.
        values = np.asarray(evaluated(match[2], y), np.float64)
        rms = float(np.sqrt(np.mean(np.square(values))))
        if column.name.endswith("_series"):
            assert np.shape(row[column.name][0]) == values.shape
            np.testing.assert_allclose(row[column.name][0], values, 1e-4, 1e-6 * rms)
            n_series += 1
        else:
            expected[column.name] = (oracle.statistic(values, match[1] or "mean"), rms)
    assert n_series or len(expected) >= 26
    oracle.assert_close(row, expected)


def evaluated(call, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns about empty filters
        return eval(call, {"librosa": librosa, "np": np, "scipy": scipy, "y": y})


def test_what_librosa_has_no_argument_for_has_no_counterpart():
    settings = {"features": ["spectral_contrast"], "defaults": {"top_db": 60.0}}
    for column in describe(spec_from_settings(settings))[len(SIGNAL_COLUMNS) :]:
        assert column.librosa == "none"


def test_native_rates_are_called_sr():
    spec = spec_from_settings({"sr": "native", "features": ["mfcc", "spectral_contrast"]})
    described = describe(spec)[len(SIGNAL_COLUMNS) :]
    assert all("sr=sr" in column.librosa for column in described)
    assert "half the sampling rate" in described[-1].definition


def test_definitions_say_what_undefined_statistics_become():
    by_name = {column.name: column for column in describe("genre-v1")}
    assert "0 for a constant" in by_name["stft_skew"].definition
    assert "0 for a single frame" in by_name["spectral_flux_mean"].definition
    assert "0 for silence" in by_name["spectral_centroid_mean"].definition


def test_units():
    centroid = {"family": "spectral_centroid", "statistics": ["mean", "var", "skew"]}
    deltas = [
        {"family": "delta", "of": "spectral_centroid", "statistics": ["mean"]},
        {"family": "delta", "of": "spectral_centroid", "as": "d2", "order": 2},
        {"family": "rms", "statistics": []},
        {"family": "delta", "of": "rms", "as": "d3", "statistics": ["mean", "kurtosis"]},
    ]
    described = describe(spec_from_settings({"features": [centroid, *deltas]}))
    assert [column.unit for column in described[len(SIGNAL_COLUMNS) :]] == [
        *("Hz", "(Hz)²", "1"),
        *("Hz/frame", "Hz/frame^2", "Hz/frame^2", "1/frame", "1"),
    ]
    poly = spec_from_settings({"features": [{"family": "poly_features", "order": 2}]})
    units = [column.unit for column in describe(poly)[len(SIGNAL_COLUMNS) :]]
    assert units == ["1/Hz^2", "1/Hz^2", "1/Hz", "1/Hz", "1", "1"]
    by_name = {column.name: column.unit for column in describe("genre-v1")}
    assert by_name["mfcc_01_std"] == by_name["stft_db_mean"] == "dB"
    assert by_name["duration_s"] == "s"


def test_an_offset_is_in_the_definitions():
    spec = spec_from_settings({"features": ["rms"], "offset": 5.0, "duration": 2.5})
    by_name = {column.name: column.definition for column in describe(spec)}
    assert by_name["duration_s"].endswith("analysed, of the first 2.5 s after 5 s")
    spec = spec_from_settings({"features": ["rms"], "offset": 5.0})
    by_name = {column.name: column.definition for column in describe(spec)}
    assert by_name["duration_s"].endswith("analysed, after 5 s")


def test_pooled_families_have_one_column_a_statistic():
    chroma = {"family": "chroma_stft", "statistics": ["mean", "var"], "pooled": True}
    spec = spec_from_settings({"features": [chroma]})
    assert schema(spec).names[len(SIGNAL_COLUMNS) :] == ["chroma_stft_mean", "chroma_stft_var"]


def test_series_and_single_values_have_types_of_their_own():
    mfcc = {"family": "mfcc", "n_mfcc": 13, "statistics": ["series", "mean"]}
    spec = spec_from_settings(
        {"features": [mfcc, {"family": "rms", "statistics": ["series"]}, "tuning"]}
    )
    columns = schema(spec)
    assert columns.names[len(SIGNAL_COLUMNS) :] == [
        *(f"mfcc_{i:02d}_mean" for i in range(1, 14)),
        *("mfcc_series", "rms_series", "tuning"),
    ]
    assert columns.field("mfcc_series").type == pa.large_list(pa.list_(pa.float32(), 13))
    assert columns.field("rms_series").type == pa.large_list(pa.float32())
    assert columns.field("tuning").type == pa.float32()
    assert feature_names(spec) == [
        name for name in columns.names[len(SIGNAL_COLUMNS) :] if "series" not in name
    ]
    frame = extract(encode(chord()), spec)
    assert list(frame.columns) == columns.names
    assert len(frame["rms_series"].item()) == frame["n_frames"].item()
