"""Tables by versions that did not have all of today's columns go on without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import featurelib
from jobs.diagnostics.run_report import RunReport
from jobs.report.reading import read_tracks
from jobs.status import table_status
from jobs.table.reader import open_table
from tests.featurelib.support.signals import upsampled
from tests.support.audio_files import make_corpus, write_audio, write_tone
from tests.support.light import run
from tests.support.tables import assert_tidy, make_older, read_table

SPEC = featurelib.spec_from_settings(
    {"features": ["rms"], "defaults": {"statistics": ["mean", "std"]}}
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    make_corpus(tmp_path / "music", {"rock": 2, "jazz": 2})
    extract(tmp_path, "older")
    make_older(tmp_path / "older", "cutoff_hz")
    return tmp_path


def extract(place: Path, table: str, **options: Any) -> RunReport:
    options = {"spec": SPEC, "labels": "parent", **options}
    return run(place / "music", place / table, extractor=featurelib.extract_rows, **options)


def test_an_older_table_is_updated_without_the_new_column(place: Path) -> None:
    assert table_status(str(place / "older"), {}).rerun["unchanged"] == 4
    before = read_table(place / "older")[0]
    assert "cutoff_hz" not in before
    write_tone(place / "music" / "rock" / "new.wav", 300.0)
    report = extract(place, "older")
    assert (report.n_files, report.n_read) == (5, 1)
    after = read_table(place / "older")[0]
    assert list(after.columns) == list(before.columns)
    kept = after[after["path"] != "rock/new.wav"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before)
    extract(place, "fresh")
    fresh = read_table(place / "fresh")[0]
    assert "cutoff_hz" in fresh
    pd.testing.assert_frame_equal(after, fresh.drop(columns="cutoff_hz"))
    assert_tidy(place / "older")


def test_an_older_table_has_the_same_fingerprint(place: Path) -> None:
    stored = json.loads((place / "older" / "_job" / "table.json").read_text())
    assert stored["fingerprint"] == SPEC.fingerprint


def test_tracks_of_an_older_table_lack_the_column(place: Path) -> None:
    tracks = read_tracks(open_table(str(place / "older"), {}))
    assert "cutoff_hz" not in tracks
    assert len(tracks) == 4


def test_what_an_older_table_lacks_is_measured_where_its_columns_are_copied(place: Path) -> None:
    write_audio(place / "music" / "rock" / "upsampled.wav", upsampled(), 22_050)
    extract(place, "fresh")
    extract(place, "new", reuse=str(place / "older"))
    found, expected = (read_table(place / name)[0] for name in ("new", "fresh"))
    assert found["cutoff_hz"].notna().any()
    pd.testing.assert_frame_equal(found, expected)
