"""The layouts of published tables: names, order, and what pandas reads of them."""

from __future__ import annotations

import math
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import featurelib
from jobs import export_table, extract_corpus
from jobs.errors import UsageError
from jobs.export.layouts import FMA as FMA_COLUMNS
from jobs.export.layouts import _lengths_of
from tests.jobs.export.tables import FMA, GTZAN, make_table, spec_of, value_of
from tests.support.audio_files import write_audio

#: The first line of the published files.
GTZAN_HEADER = (
    "filename,length,chroma_stft_mean,chroma_stft_var,rms_mean,rms_var,spectral_centroid_mean,"
    "spectral_centroid_var,spectral_bandwidth_mean,spectral_bandwidth_var,rolloff_mean,rolloff_var,"
    "zero_crossing_rate_mean,zero_crossing_rate_var,harmony_mean,harmony_var,perceptr_mean,"
    "perceptr_var,tempo,mfcc1_mean,mfcc1_var,mfcc2_mean,mfcc2_var,mfcc3_mean,mfcc3_var,mfcc4_mean,"
    "mfcc4_var,mfcc5_mean,mfcc5_var,mfcc6_mean,mfcc6_var,mfcc7_mean,mfcc7_var,mfcc8_mean,mfcc8_var,"
    "mfcc9_mean,mfcc9_var,mfcc10_mean,mfcc10_var,mfcc11_mean,mfcc11_var,mfcc12_mean,mfcc12_var,"
    "mfcc13_mean,mfcc13_var,mfcc14_mean,mfcc14_var,mfcc15_mean,mfcc15_var,mfcc16_mean,mfcc16_var,"
    "mfcc17_mean,mfcc17_var,mfcc18_mean,mfcc18_var,mfcc19_mean,mfcc19_var,mfcc20_mean,mfcc20_var,"
    "label"
)
TUTORIAL_HEADER = (
    "filename,chroma_stft,rmse,spectral_centroid,spectral_bandwidth,rolloff,zero_crossing_rate,"
    "mfcc1,mfcc2,mfcc3,mfcc4,mfcc5,mfcc6,mfcc7,mfcc8,mfcc9,mfcc10,mfcc11,mfcc12,mfcc13,mfcc14,"
    "mfcc15,mfcc16,mfcc17,mfcc18,mfcc19,mfcc20,label"
)

GTZAN_FEATURES = GTZAN_HEADER.split(",")[2:-1]
TUTORIAL_FEATURES = TUTORIAL_HEADER.split(",")[1:-1]


def test_gtzan(tmp_path: Path) -> None:
    files = {"rock/rock.00000.wav": "b", "blues/blues.00001.wav": "a", "blues/blues.00000.wav": "c"}
    table = make_table(tmp_path, spec_of(GTZAN), files)
    output = tmp_path / "features_30_sec.csv"
    export_table(table, output, layout="gtzan")
    lines = output.read_text().splitlines()
    assert lines[0] == GTZAN_HEADER
    assert lines[1].startswith("blues.00000.wav,661500,")
    rows = pd.read_csv(output)
    assert rows["filename"].tolist() == ["blues.00000.wav", "blues.00001.wav", "rock.00000.wav"]
    assert rows["label"].tolist() == ["blues", "blues", "rock"]
    for name in rows.columns[2:-1]:
        expected = [value_of(text, 0, name) for text in "cab"]
        assert rows[name].astype(np.float32).tolist() == expected


def test_gtzan_of_segments(tmp_path: Path) -> None:
    spec = spec_of(GTZAN, level={"length": 66_149, "hop": 66_150, "last": "strict"})
    table = make_table(tmp_path, spec, {"blues/blues.00000.wav": "a 12"})
    output = tmp_path / "features_3_sec.csv"
    export_table(table, output, layout="gtzan")
    rows = pd.read_csv(output)
    assert rows["filename"].tolist() == [f"blues.00000.{i}.wav" for i in range(12)]
    assert rows["rms_var"].astype(np.float32).tolist() == [
        value_of("a 12", i, "rms_var") for i in range(12)
    ]


def test_tutorial(tmp_path: Path) -> None:
    files = {"jazz/b c.wav": "a", 'jazz/a "x", y.wav': "b", "without.wav": "c"}
    table = make_table(tmp_path, featurelib.get_spec("tutorial-v1"), files)
    export_table(table, tmp_path / "data.csv", layout="tutorial")
    assert (tmp_path / "data.csv").read_text().splitlines()[0] == TUTORIAL_HEADER
    rows = pd.read_csv(tmp_path / "data.csv")
    assert rows["filename"].tolist() == ['a "x", y.wav', "b c.wav", "without.wav"]
    assert rows["label"].isna().tolist() == [False, False, True]
    assert rows["mfcc20"].astype(np.float32).tolist() == [value_of(t, 0, "mfcc20") for t in "bac"]


def test_fma(tmp_path: Path) -> None:
    table = make_table(tmp_path, spec_of(FMA), {"000/000002.mp3": "a", "155/155066.mp3": "b"})
    output = tmp_path / "features.csv"
    export_table(table, output, layout="fma")
    lines = output.read_text().splitlines()
    assert lines[0].startswith("feature,chroma_cens,chroma_cens,")
    assert lines[1].startswith("statistics,kurtosis,kurtosis,")
    assert lines[2].startswith("number,01,02,03,04,05,06,07,08,09,10,11,12,01,")
    assert lines[3] == "track_id" + "," * 518
    rows = pd.read_csv(output, header=[0, 1, 2], index_col=0)
    assert rows.index.name == "track_id"
    assert rows.index.tolist() == [2, 155066]
    assert rows.columns.names == ["feature", "statistics", "number"]
    assert len(rows.columns) == 518
    assert rows.columns.is_monotonic_increasing
    for feature, statistic, number in rows.columns:
        expected = [value_of(text, 0, f"{feature}_{statistic}_{number}") for text in "ab"]
        assert rows[feature, statistic, number].astype(np.float32).tolist() == expected
    # pandas writes the same lines before the rows
    assert rows.head(0).to_csv().splitlines() == lines[:4]


@pytest.mark.parametrize(
    ("kind", "preset"), [("gtzan", "gtzan-v1"), ("fma", "fma-v1"), ("tutorial", "tutorial-v1")]
)
def test_a_table_without_the_columns_is_refused(tmp_path: Path, kind: str, preset: str) -> None:
    spec = spec_of({"features": ["spectral_flatness"]})
    table = make_table(tmp_path, spec, {"a/a.wav": "a"})
    with pytest.raises(UsageError, match=f"has no feature '.*--preset {preset}") as refused:
        export_table(table, tmp_path / "x.csv", layout=kind)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    ("names", "presets"),
    [
        (GTZAN_FEATURES, ["gtzan-v1", "gtzan-segments-v1"]),
        (["_".join(column) for column in FMA_COLUMNS], ["fma-v1"]),
        (TUTORIAL_FEATURES, ["tutorial-v0", "tutorial-v1"]),
    ],
    ids=["gtzan", "fma", "tutorial"],
)
def test_the_presets_have_the_columns(names: list[str], presets: list[str]) -> None:
    for preset in presets:
        assert sorted(featurelib.feature_names(preset)) == sorted(names)


def test_files_without_a_track_number_are_refused(tmp_path: Path) -> None:
    table = make_table(tmp_path, spec_of(FMA), {"000/000002.mp3": "a", "000/cover.mp3": "b"})
    with pytest.raises(UsageError, match=r"000/cover\.mp3 is not named by the number"):
        export_table(table, tmp_path / "x.csv", layout="fma")
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    "changes", [{"level": {"length_s": 3.0}}, {"channels": "each"}], ids=["segments", "channels"]
)
def test_fma_has_one_row_a_track(tmp_path: Path, changes: dict) -> None:
    table = make_table(tmp_path, spec_of(FMA, **changes), {"000/000002.mp3": "a 2"})
    with pytest.raises(UsageError, match="the layout fma has"):
        export_table(table, tmp_path / "x.csv", layout="fma")


@given(
    n=st.integers(1, 2**36),
    orig=st.sampled_from([8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 37800, 192000]),
    target=st.sampled_from([22050, 16000, 44100, 8000, "native"]),
)
def test_lengths_are_those_of_resampled_signals(n: int, orig: int, target: int | str) -> None:
    rows = pa.table({"sample_rate_hz": pa.array([orig], pa.int32()), "duration_s": [n / orig]})
    [length] = _lengths_of({"sr": target})(rows).to_pylist()
    ratio = 1.0 if target == "native" else float(target) / orig
    assert length == math.ceil(n * ratio)  # as librosa.resample


@given(
    start=st.integers(0, 2**36),
    length=st.integers(1, 2**30),
    offset=st.floats(0, 1e5),
    sr=st.sampled_from([22050, 16000, 44100, "native"]),
)
def test_lengths_of_segments(start: int, length: int, offset: float, sr: int | str) -> None:
    rate = 48_000 if sr == "native" else sr
    columns = {"start_s": offset + start / rate, "end_s": offset + (start + length) / rate}
    rows = pa.table(
        {"sample_rate_hz": pa.array([48_000], pa.int32())}
        | {name: [value] for name, value in columns.items()}
    )
    level = {"kind": "segment", "length": length}
    assert _lengths_of({"sr": sr, "level": level})(rows).to_pylist() == [length]


def test_lengths_of_real_files(tmp_path: Path) -> None:
    sizes = {"a.wav": (44_100, 88_201), "b.flac": (48_000, 70_001), "c.wav": (22_050, 30_000)}
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 100_000).astype(np.float32)
    for name, (sr, n) in sizes.items():
        write_audio(tmp_path / "music" / name, noise[:n], sr)
    # columns by the right names, of few families, which compile quickly
    names = [name for name in GTZAN_HEADER.split(",")[2:-1] if name != "tempo"]
    features = [{"family": "zero_crossing_rate", "as": n, "columns": "{name}"} for n in names]
    spec = spec_of(
        {"features": [*features, {"family": "tuning", "as": "tempo", "columns": "{name}"}]},
        defaults={"statistics": ["mean"]},
    )
    extract_corpus(tmp_path / "music", tmp_path / "table", spec=spec, cluster="inline")
    export_table(tmp_path / "table", tmp_path / "x.csv", layout="gtzan")
    expected = [
        len(librosa.resample(noise[:n], orig_sr=sr, target_sr=22_050, res_type="soxr_hq"))
        for sr, n in sizes.values()
    ]
    assert pd.read_csv(tmp_path / "x.csv")["length"].tolist() == expected
