"""All families at once: values on real recordings, and memory on long files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from featurelib import FeatureSpec, extract_columns, feature_names
from featurelib import spec_from_settings as spec_of
from tests.featurelib.support import everything, oracle
from tests.featurelib.support.signals import encode
from tests.support.quick import slow_but


def in_one(paths: list[Path]) -> tuple[np.ndarray, int]:
    """Concatenation of recordings with equal rate, shape (n,)."""
    parts = [soundfile.read(path, dtype="float32", always_2d=True) for path in paths]
    (sr,) = {sr for _, sr in parts}
    return np.concatenate([y.mean(axis=1) for y, _ in parts]), sr


@pytest.mark.parametrize(
    ("folder", "pattern", "rate"),
    slow_but(
        [("digits/3", "3_theo_*.wav", 8_000), ("clips/rain", "1-17367-A.ogg", 44_100)],
        [
            ("digits/3", "3_theo_*.wav", 8_000),
            ("music", "5703-47212-0000.hq.ogg", 16_000),
            ("music", "sorohanro*06.ogg", 22_050),
            ("clips/rain", "1-17367-A.ogg", 44_100),
            ("music", "pibble.hq.ogg", 48_000),
        ],
    ),
)
def test_every_column_is_librosas_on_recordings_of_all_rates(real_audio, folder, pattern, rate):
    y, sr = in_one(sorted((real_audio / folder).glob(pattern)))
    assert sr == rate
    y = y[: 15 * sr]
    spec = everything.make_spec()
    columns = extract_columns(encode(y, sr), spec)
    expected = oracle.columns(y, spec, sr)
    assert set(expected) == set(feature_names(spec))
    assert len(expected) > 700
    oracle.assert_close({name: columns[name] for name in expected}, expected)


#: Extracts from a file; prints the number of rows and the memory of the process.
CHILD = """
import json, sys
import featurelib
from tests.support.memory import peak_bytes
spec = featurelib.FeatureSpec.from_dict(json.loads(sys.argv[2]))
rows = list(featurelib.extract_rows(sys.argv[1], spec))
print(sum(one.n for one in rows), peak_bytes() // 2**20)
"""


def write_long(path: Path, seconds: float, sr: int, channels: int) -> Path:
    """A file of noise with changing level, written in pieces."""
    rng = np.random.default_rng(0)
    left = round(seconds * sr)
    with soundfile.SoundFile(path, "w", sr, channels, subtype="PCM_16") as file:
        while left:
            n = min(left, 10 * sr)
            file.write(rng.uniform(0.01, 0.3) * rng.uniform(-1, 1, (n, channels)))
            left -= n
    return path


def peak_mb(path: Path, spec: FeatureSpec) -> tuple[int, int]:
    """Number of rows, and peak memory of a process that extracts them [MB]."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, path, json.dumps(spec.to_dict())],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    n_rows, peak = map(int, done.stdout.split())
    return n_rows, peak


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("fields", "n_rows"),
    [({}, (1, 1)), ({"channels": "each", "level": {"length_s": 3.0}}, (80, 4800))],
    ids=["track", "segments of each channel"],
)
@pytest.mark.parametrize("suffix", [".flac", ".wav"])
def test_memory_does_not_grow_with_duration(suffix, fields, n_rows, tmp_path):
    short = write_long(tmp_path / f"short{suffix}", 120, 44_100, 2)
    long = write_long(tmp_path / f"long{suffix}", 7_200, 44_100, 2)
    spec = everything.make_spec(**fields)
    rows_of_short, peak_of_short = peak_mb(short, spec)
    rows_of_long, peak_of_long = peak_mb(long, spec)
    assert (rows_of_short, rows_of_long) == n_rows
    assert peak_of_long - peak_of_short < 150


#: What reads the signal again, or far back and ahead: components, tempo, constant-Q transform.
FAR: dict[str, list[Any]] = {
    "components and tempo": [
        {"family": "waveform", "of": "harmonic", "as": "harmony"},
        {"family": "waveform", "of": "percussive", "as": "perceptr"},
        "tempo",
    ],
    "chroma of the constant-Q transform": ["chroma_cqt", "chroma_cens"],
}


@pytest.mark.slow
@pytest.mark.parametrize("features", FAR.values(), ids=FAR)
def test_memory_of_what_reads_far(features, tmp_path):
    """Half an hour needs at most 48 MB more than two minutes; its samples alone are 159 MB."""
    spec = spec_of({"features": features, "defaults": {"statistics": ["mean", "var"]}})
    seconds = {"short": 120, "long": 1800}
    paths = [write_long(tmp_path / f"{name}.wav", s, 22_050, 1) for name, s in seconds.items()]
    (_, peak_of_short), (_, peak_of_long) = (peak_mb(path, spec) for path in paths)
    print(f"{peak_of_short} MB for 2 min, {peak_of_long} MB for 30 min")
    assert peak_of_long - peak_of_short < 48
