"""What a report reads of a table."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import featurelib
from jobs.errors import TableError
from jobs.report.reading import read_errors, read_features, read_tracks, sample_tracks
from jobs.table.reader import open_table
from tests.jobs.export.tables import extractor, make_table, spec_of, value_of
from tests.support.light import run, write

SETTINGS = {
    "name": "three",
    "defaults": {"statistics": ["mean", "series"]},
    "features": [
        {"family": "rms"},
        {"family": "zero_crossing_rate"},
        {"family": "mfcc", "n_mfcc": 2},
    ],
}
SEGMENTS = {"level": {"kind": "segment", "length_s": 3.0}}

FILES = {
    **{f"rock/{i:02}.wav": f"r{i}" for i in range(20)},
    **{f"01/{i}.wav": f"seg{i} {i + 1}" for i in range(4)},
    "loose.wav": "loose",
    "broken.wav": "bad",
}


def mixed(source: object, spec: featurelib.FeatureSpec) -> object:
    """Extract as `extractor`, but refuse what begins with "bad"; levels differ between rows."""
    text = Path(str(source)).read_text()
    if text.startswith("bad"):
        raise featurelib.AudioError("undecodable", "bad content")
    for rows in extractor(source, spec):
        n = rows.n
        columns = {
            **rows.columns,
            "peak": [0.1 * (i + 1) for i in range(n)],
            "mix_peak": [0.05 * (n - i) for i in range(n)],
            "clipped_fraction": [0.2 * i for i in range(n)],
            "is_silent": [i > 0 for i in range(n)],
        }
        facts = {k: v for k, v in rows.facts.items() if k not in columns}
        facts |= {"channels": 2, "format": "WAV", "audio_hash": text}
        yield rows._replace(columns=columns, facts=facts)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reading")
    for path, text in FILES.items():
        write(place / "music" / path, text)
    spec = spec_of(SETTINGS, **SEGMENTS)
    run(place / "music", place / "table", spec=spec, extractor=mixed, labels="parent", buckets=3)
    return place / "table"


def test_one_row_for_each_track(table: Path) -> None:
    tracks = read_tracks(open_table(str(table), {}))
    good = sorted(path for path in FILES if path != "broken.wav")
    assert tracks["path"].tolist() == good
    labels = [None if "/" not in path else path.split("/")[0] for path in good]
    assert [None if pd.isna(x) else x for x in tracks["label"]] == labels
    assert list(tracks["label"].cat.categories) == ["01", "rock"]
    assert tracks["audio_hash"].tolist() == [FILES[path] for path in good]
    assert (tracks["sample_rate_hz"] == 44_100).all()
    assert tracks["lost_s"].isna().all()  # null in the table


def test_levels_hold_for_all_rows_of_a_track(table: Path) -> None:
    tracks = read_tracks(open_table(str(table), {})).set_index("path")
    three = tracks.loc["01/2.wav"]
    assert three["n_rows"] == 3
    assert three["peak"] == pytest.approx(0.3)  # of the last row
    assert three["mix_peak"] == pytest.approx(0.15)  # of the first one
    assert three["clipped_fraction"] == pytest.approx(0.2)
    assert not three["is_silent"]  # though two of three rows are
    assert tracks.loc["rock/00.wav", "n_rows"] == 1


def test_features_are_means_over_the_rows_of_a_track(table: Path) -> None:
    opened = open_table(str(table), {})
    features = read_features(opened, read_tracks(opened))
    assert list(features.values.columns) == featurelib.feature_names(spec_of(SETTINGS))
    assert not features.is_sample
    assert (features.values.dtypes == np.float32).all()
    for path, row in zip(features.tracks["path"], features.values.itertuples(), strict=True):
        text = FILES[path]
        n = int(text.rpartition(" ")[2]) if " " in text else 1
        for name in features.values.columns:
            expected = np.mean([value_of(text, i, name) for i in range(n)])
            assert getattr(row, name) == pytest.approx(expected, rel=1e-5)


def test_a_sample_is_the_same_each_time(table: Path) -> None:
    opened = open_table(str(table), {})
    tracks = read_tracks(opened)
    first, again = (read_features(opened, tracks, 7) for _ in range(2))
    assert first.is_sample
    assert len(first.tracks) == len(first.values) == 7
    pd.testing.assert_frame_equal(first.values, again.values)
    whole = read_features(opened, tracks)
    pd.testing.assert_frame_equal(first.values, whole.values.loc[first.tracks.index])
    others = sample_tracks(tracks, 7, seed=1)
    assert set(others["path"]) != set(first.tracks["path"])
    # adding tracks changes few of the sample: the choice is by path
    fewer = sample_tracks(tracks.iloc[1:], 7)
    assert len(set(fewer["path"]) & set(first.tracks["path"])) >= 6


def test_errors(table: Path) -> None:
    errors = read_errors(open_table(str(table), {}))
    assert errors["path"].tolist() == ["broken.wav"]
    assert errors["error_kind"].tolist() == ["undecodable"]
    assert errors["error_class"].tolist() == ["content"]


def test_a_file_that_is_moved_is_read_once(table: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(table, copy)
    [folder] = copy.glob("features/by_label=rock")
    shutil.copytree(folder, copy / "features" / "by_label=other")  # as while a run moves rows
    opened = open_table(str(copy), {})
    tracks = read_tracks(opened)
    assert len(tracks) == len(FILES) - 1
    values = read_features(opened, tracks).values
    expected = read_features(open_table(str(table), {}), tracks).values
    pd.testing.assert_frame_equal(values, expected)


def test_series_only_and_nothing_at_all(tmp_path: Path) -> None:
    spec = spec_of(SETTINGS, defaults={"statistics": ["series"]})
    table = open_table(str(make_table(tmp_path / "series", spec, {"a.wav": "a"})), {})
    features = read_features(table, read_tracks(table))
    assert features.values.shape == (1, 0)
    write(tmp_path / "bad" / "music" / "a.wav", "bad")
    run(tmp_path / "bad" / "music", tmp_path / "bad" / "table", spec=spec, extractor=mixed)
    table = open_table(str(tmp_path / "bad" / "table"), {})
    tracks = read_tracks(table)
    assert len(tracks) == 0
    assert "audio_hash" in tracks
    assert len(read_features(table, tracks).values) == 0
    assert len(read_errors(table)) == 1


def test_a_damaged_part(table: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(table, copy)
    part = next(copy.glob("features/by_label=rock/*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(TableError, match="is damaged"):
        read_tracks(open_table(str(copy), {}))
