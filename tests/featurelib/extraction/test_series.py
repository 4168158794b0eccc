"""Series: the values of all frames, as lists in a table."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pyarrow as pa
import pytest

from featurelib import (
    AudioError,
    Extractor,
    FeatureSpec,
    RowCollector,
    extract_columns,
    extract_signal,
    feature_names,
    schema,
)
from featurelib.extraction import row_buffer
from featurelib.spill import SpillBuffer
from tests.featurelib.support.signals import SR, chord, encode, noise

FEATURES = [
    {"family": "rms", "statistics": ["mean", "series"]},
    {"family": "mfcc", "n_mfcc": 13, "statistics": ["series"]},
    {"family": "spectral_flux", "statistics": ["series"]},
    {"family": "chroma_stft", "statistics": ["series", "std"]},
]


def make_spec(**fields: Any) -> FeatureSpec:
    return FeatureSpec.from_dict({"name": "test", "features": FEATURES, **fields})


def by_librosa(y: np.ndarray) -> dict[str, np.ndarray]:
    """Series of each column, shape (frames, …)."""
    S = np.abs(librosa.stft(y)).astype(np.float64)
    shape = S / S.sum(axis=0)
    return {
        "rms_series": librosa.feature.rms(y=y)[0],
        "mfcc_series": librosa.feature.mfcc(y=y, sr=SR, n_mfcc=13).T,
        "spectral_flux_series": np.linalg.norm(np.diff(shape, axis=1), axis=0),
        "chroma_stft_series": librosa.feature.chroma_stft(y=y, sr=SR).T,
    }


def assert_series(columns: Any, row: int, y: np.ndarray) -> None:
    for name, expected in by_librosa(y).items():
        got = columns[name][row]
        assert isinstance(got, np.ndarray)
        assert got.dtype == np.float32
        assert got.shape == expected.shape
        rms = np.sqrt(np.sum(expected**2, axis=0) / max(len(expected), 1))
        assert (np.abs(got - expected) <= 1e-4 * np.abs(expected) + 1e-6 * rms).all(), name


@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.0, 7.7])
def test_of_a_track_they_are_librosas_frame_by_frame(seconds):
    y = chord(seconds) + noise(seconds, level=0.01)
    for columns in (
        extract_columns(encode(y), make_spec()),
        extract_columns(encode(y), make_spec(), block_samples=100),
    ):
        assert_series(columns, 0, y)


def test_of_segments_they_are_librosas_frame_by_frame():
    y = chord(3.2) + noise(3.2, level=0.01)
    spec = make_spec(level={"length_s": 1.0, "hop_s": 0.75})
    columns = extract_columns(encode(y), spec)
    assert columns["segment"] == [0, 1, 2, 3]
    for row in range(4):
        start = row * round(0.75 * SR)
        assert_series(columns, row, y[start : start + SR])


def test_of_each_channel():
    y = np.stack([chord(1.0), noise(1.0)])
    columns = extract_columns(encode(y.T), make_spec(channels="each"))
    for row in (0, 1):
        assert_series(columns, row, y[row])


def test_in_a_table_they_are_lists_of_numbers_or_of_vectors():
    y = chord(2.0)
    spec = make_spec(level={"length_s": 0.75})
    collector = RowCollector(schema(spec), feature_names(spec))
    for rows in Extractor(spec).file(encode(y)):
        collector.add(rows)
    table = collector.table()
    table.validate(full=True)
    assert table.schema.field("rms_series").type == pa.large_list(pa.float32())
    assert table.schema.field("mfcc_series").type == pa.large_list(pa.list_(pa.float32(), 13))
    columns = extract_columns(encode(y), spec)
    for name in by_librosa(y):
        for got, expected in zip(table[name].to_pylist(), columns[name], strict=True):
            np.testing.assert_array_equal(np.array(got, np.float32), expected)
    n_bytes = sum(one.nbytes for name in by_librosa(y) for one in columns[name])
    assert collector.n_bytes > n_bytes
    frame = extract_signal(y, SR, spec)
    assert frame["mfcc_series"].iloc[1][0].tolist() == columns["mfcc_series"][1][0].tolist()


def test_a_table_of_no_rows_has_the_columns():
    spec = make_spec()
    table = RowCollector(schema(spec), feature_names(spec)).table()
    assert table.num_rows == 0
    assert table.schema == schema(spec)


def test_many_rows_are_the_same_from_temporary_files(monkeypatch):
    y = chord(20.0) + noise(20.0, level=0.01)
    spec = make_spec(level={"length": 2_000, "hop": 1_000, "last": "drop"})
    in_memory = extract_columns(encode(y), spec)
    assert len(in_memory["segment"]) == 440  # more than are kept in memory
    monkeypatch.setattr(row_buffer, "_CHUNK_ROWS", 7)
    monkeypatch.setattr(row_buffer, "_CHUNK_BYTES", 5_000)
    monkeypatch.setattr(row_buffer, "SpillBuffer", functools.partial(SpillBuffer, memory_bytes=999))
    from_files = extract_columns(encode(y), spec)
    for name, values in in_memory.items():
        if name in by_librosa(y[:2000]):
            for got, expected in zip(from_files[name], values, strict=True):
                np.testing.assert_array_equal(got, expected, strict=True)
        else:
            assert from_files[name] == values
    for row in (0, 1, 255, 256, 439):
        assert_series(from_files, row, y[row * 1_000 : row * 1_000 + 2_000])


def large_spec(**fields: Any) -> FeatureSpec:
    """Spec whose series have two values per sample."""
    one = {"n_fft": 16, "hop_length": 1, "statistics": ["series"]}
    features = [{"family": family, **one} for family in ("rms", "zero_crossing_rate")]
    return FeatureSpec.from_dict({"name": "test", "features": features, **fields})


def test_a_row_that_is_too_large_is_refused_with_the_remedy():
    n = 2**20 // 8
    y = noise(n / SR)
    assert len(y) == n
    extractor = Extractor(large_spec(), max_series_bytes=2**20)
    (rows,) = extractor.file(encode(y[: n - 1]))  # n frames in each series
    assert rows.n == 1
    for longer in (y, np.tile(y, 3)):
        with pytest.raises(AudioError, match=r"1 MB.*segments") as caught:
            extractor.file(encode(longer))
        assert caught.value.kind == "too_long"
        assert "\n" not in str(caught.value)
    segments = Extractor(large_spec(level={"length_s": 5.0}), max_series_bytes=2**20)
    assert sum(rows.n for rows in segments.file(encode(np.tile(y, 3)))) == 4


#: Extracts from a file; prints the outcome and the memory used.
CHILD = """
import sys
import featurelib
from tests.support.memory import peak_bytes
from tests.featurelib.extraction.test_series import wide_spec
spec = wide_spec()
featurelib.warm_up(spec)
before = peak_bytes()
try:
    featurelib.extract_columns(sys.argv[1], spec)
except featurelib.AudioError as error:
    peak = peak_bytes()
    print(error.kind, "32 MB" in str(error), (peak - before) // 2**20)
"""


def wide_spec() -> FeatureSpec:
    """Spec whose series has five values per four samples."""
    mfcc = {"family": "mfcc", "n_mfcc": 20, "n_mels": 20, "n_fft": 256, "hop_length": 16}
    features = [{**mfcc, "statistics": ["series"]}]
    return FeatureSpec.from_dict({"name": "test", "sr": 22_050, "features": features})


@pytest.mark.slow
def test_memory_is_bounded_before_it_is_refused(tmp_path):
    path = tmp_path / "long.wav"
    path.write_bytes(encode(np.zeros(SR * 1800, np.int16), subtype="PCM_16"))  # 189 MB of series
    done = subprocess.run(
        [sys.executable, "-c", CHILD, path],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    kind, *bound, grown_mb = done.stdout.split()
    assert (kind, bound) == ("too_long", ["True"])
    assert int(grown_mb) < 150
