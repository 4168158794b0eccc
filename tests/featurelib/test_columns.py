from __future__ import annotations

import re

import librosa
import numpy as np
import pyarrow as pa
import pytest

from featurelib import PRESETS, describe, extract_columns, feature_names, schema, spec_from_settings
from tests.featurelib import oracle
from tests.featurelib.signals import chord, encode

SIGNAL_COLUMNS = {
    "segment": pa.int32(),
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


@pytest.mark.parametrize("preset", PRESETS)
def test_schema_and_description_say_the_same(preset):
    described = describe(preset)
    columns = schema(preset)
    assert [column.name for column in described] == columns.names
    for column, field in zip(described, columns, strict=True):
        assert column.type == str(field.type)
        assert field.metadata == {
            b"unit": column.unit.encode(),
            b"description": column.definition.encode(),
            b"librosa": column.librosa.encode(),
        }
        assert column.definition
        assert column.librosa


@pytest.mark.parametrize("preset", PRESETS)
def test_rows_have_exactly_the_schemas_columns(preset):
    row = extract_columns(encode(chord()), preset)
    assert list(row) == schema(preset).names
    table = pa.table(row, schema=schema(preset))
    assert table.num_rows == 1


@pytest.mark.parametrize(
    "spec",
    [
        *PRESETS.values(),
        spec_from_settings(
            {"preset": "genre-v1", "n_fft": 1024, "pad_mode": "reflect", "window": "hamming"}
        ),
        spec_from_settings({"preset": "genre-v1", "center": False, "n_mels": 64, "n_chroma": 24}),
    ],
    ids=["genre", "tutorial", "reflect", "not-centred"],
)
def test_the_librosa_counterparts_are_calls_that_give_the_values(spec):
    y = chord(1.0)
    row = extract_columns(encode(y), spec)
    expected = {}
    for column in describe(spec):
        match = re.fullmatch(r"(mean|std|max|skew) of (.*)", column.librosa)
        if match is None:
            assert column.name in SIGNAL_COLUMNS or column.name.startswith("spectral_flux")
            continue
        values = eval(match[2], {"librosa": librosa, "np": np, "y": y})
        rms = float(np.sqrt(np.mean(np.square(values, dtype=float))))
        expected[column.name] = (oracle.statistic(values, match[1]), rms)
    assert len(expected) >= 26
    oracle.assert_close(row, expected)


def test_definitions_say_what_undefined_statistics_become():
    by_name = {column.name: column for column in describe("genre-v1")}
    assert "0 for a constant" in by_name["stft_skew"].definition
    assert "0 for a single frame" in by_name["spectral_flux_mean"].definition
    assert "0 for silence" in by_name["spectral_centroid_mean"].definition


def test_units():
    spec = spec_from_settings(
        {"preset": "genre-v1", "features": {"spectral_centroid": ["mean", "var", "skew"]}}
    )
    assert [column.unit for column in describe(spec)][-3:] == ["Hz", "(Hz)²", "1"]
    by_name = {column.name: column.unit for column in describe("genre-v1")}
    assert by_name["mfcc_01_std"] == by_name["stft_db_mean"] == "dB"
    assert by_name["duration_s"] == "s"


def test_pooled_families_have_one_column_a_statistic():
    spec = spec_from_settings(
        {
            "preset": "genre-v1",
            "features": {"chroma_stft": ["mean", "var"]},
            "pooled": ["chroma_stft"],
        }
    )
    assert schema(spec).names[len(SIGNAL_COLUMNS) :] == ["chroma_stft_mean", "chroma_stft_var"]
