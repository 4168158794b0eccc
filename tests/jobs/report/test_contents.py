"""What a corpus is: numbers by label, format, rate and channels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from jobs.report.contents import breakdown, contents_of, duration_histogram


def tracks() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": ["a.wav", "b.wav", "c.mp3", "d.mp3"],
            "label": pd.Categorical(["rock", "rock", "jazz", None]),
            "duration_s": [1800.0, 1800.0, 3600.0, 10.0],
            "sample_rate_hz": [44100, 44100, 22050, 44100],
            "channels": [2, 2, 1, 2],
            "format": pd.Categorical(["WAV", "WAV", "MP3", "MP3"]),
            "subtype": pd.Categorical(["PCM_16", "PCM_24", None, None]),
            "decoder": pd.Categorical(["libsndfile"] * 4),
            "size_bytes": [1000, 2000, 3000, 4000],
            "n_rows": [1, 1, 3, 1],
        }
    )


def test_totals() -> None:
    found = contents_of(tracks(), n_errors=7)
    assert (found.n_files, found.n_rows, found.n_errors) == (4, 6, 7)
    assert (found.seconds, found.n_bytes) == (7210.0, 10_000)
    assert (found.n_labels, found.n_unlabelled) == (2, 1)
    assert found.quantiles_s == {"shortest": 10.0, "median": 1800.0, "longest": 3600.0}


def test_tracks_by_value() -> None:
    found = contents_of(tracks(), n_errors=0)
    lines = [(line.name, line.n_files, line.seconds) for line in found.labels.lines]
    assert lines == [("rock", 2, 3600.0), ("(none)", 1, 10.0), ("jazz", 1, 3600.0)]
    by_title = {table.title: [line.name for line in table.lines] for table in found.breakdowns}
    assert by_title["Format"] == ["MP3", "WAV PCM_16", "WAV PCM_24"]
    assert by_title["Sampling rate"] == ["44,100 Hz", "22,050 Hz"]
    assert by_title["Channels"] == ["2", "1"]


def test_many_values_have_a_line_for_the_rest() -> None:
    values = pd.Series([f"v{i}" for i in range(10) for _ in range(10 - i)])
    found = breakdown("V", values, pd.Series(np.ones(len(values))), n=3)
    assert [line.name for line in found.lines] == ["v0", "v1", "v2", "(7 others)"]
    assert found.lines[-1].n_files == 28
    assert found.lines[-1].seconds == 28.0
    assert sum(line.share for line in found.lines) == pytest.approx(1)


def test_no_tracks() -> None:
    found = contents_of(tracks().iloc[:0], n_errors=2)
    assert (found.n_files, found.seconds, found.labels.lines) == (0, 0.0, [])
    assert found.quantiles_s == {}


def test_durations_that_differ_much_are_on_a_logarithmic_axis() -> None:
    seconds = pd.Series(np.geomspace(0.1, 1000, 500))
    found = duration_histogram(seconds)
    assert found is not None
    assert found.is_log
    assert found.counts.sum() == 500
    similar = duration_histogram(pd.Series(np.linspace(29, 31, 500)))
    assert similar is not None
    assert not similar.is_log
    assert similar.counts.sum() + similar.n_outside == 500


def test_few_durations_are_all_in_the_histogram() -> None:
    found = duration_histogram(pd.Series(np.linspace(29, 31, 40)))
    assert found is not None
    assert found.counts.sum() == 40
    assert found.n_outside == 0


@pytest.mark.parametrize("seconds", [[], [30.0], [30.0] * 5, [np.nan, 30.0], [0.0, 0.0]])
def test_durations_without_a_histogram(seconds: list[float]) -> None:
    assert duration_histogram(pd.Series(seconds, dtype="float64")) is None
