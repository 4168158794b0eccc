"""Findings about files: their decoding, levels, lengths, rates and bandwidths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobs.report.health import bandwidth, decoding, findings, forms, levels
from jobs.report.health.finding import Finding
from jobs.table.signs import signs_of
from tests.jobs.report.health.frames import features_of, tracks_of

TRACK = {"offset": 0.0, "duration": None, "sr": 22_050}
NO_ERRORS = pd.DataFrame(columns=["path", "label", "error_kind", "error_class", "message"])


def only(found: Any) -> Finding:
    [finding] = found
    return finding


def named(found: Any) -> list[str]:
    return [example.path for finding in found for example in finding.examples]


def test_good_tracks_have_no_findings() -> None:
    tracks = tracks_of(n=30)
    rng = np.random.default_rng(0)
    features = features_of(tracks, rng.normal(size=(30, 20)))
    assert findings(tracks, NO_ERRORS, features, None, TRACK) == []


def test_an_empty_table_has_errors_alone() -> None:
    tracks = tracks_of(n=0)
    errors = pd.DataFrame(
        {
            "path": ["a.wav", "b.wav", "c.wav", "d.wav"],
            "label": [None, "x", "x", "x"],
            "error_kind": ["empty", "undecodable", "undecodable", "unreadable"],
            "error_class": ["content", "content", "content", "environment"],
            "message": ["no bytes", "<b>", "no", "gone"],
        }
    )
    found = findings(tracks, errors, features_of(tracks, np.zeros((0, 3))))
    assert [(one.kind, one.count, one.total) for one in found] == [
        ("unusable", 3, 4),
        ("unread", 1, 4),
    ]
    # the most frequent kind first
    assert [e.path for e in found[0].examples] == ["b.wav", "c.wav", "a.wav"]
    assert found[0].examples[0].detail == "undecodable: <b>"
    assert findings(tracks, NO_ERRORS, features_of(tracks, np.zeros((0, 3)))) == []


def test_damaged_and_cut_files_by_what_is_lost() -> None:
    tracks = tracks_of(
        {"decoding": "damaged", "lost_s": 0.1},
        {"decoding": "damaged", "lost_s": 3.0},
        {"decoding": "damaged"},
        {"decoding": "cut", "duration_s": 29.0},
        {"decoding": "cut", "duration_s": 9.0},
        {"decoding": "cut", "header_duration_s": np.nan},
        n=8,
    )
    damaged, cut = decoding.partial(tracks)
    assert [e.path for e in damaged.examples] == ["0001.wav", "0000.wav", "0002.wav"]
    assert damaged.examples[0].detail == "30 s were decoded, 3 s are lost"
    assert [e.path for e in cut.examples] == ["0004.wav", "0003.wav", "0005.wav"]
    assert cut.examples[0].detail == "9 s were decoded, of 30 s in the header"
    assert cut.examples[2].detail == "30 s were decoded"


def test_durations_in_headers() -> None:
    tracks = tracks_of(
        {"header_duration_s": 31.0},
        {"header_duration_s": 30.4},  # padding
        {"header_duration_s": np.nan},
        {"header_duration_s": 60.0, "decoding": "cut"},  # named as cut
        {"header_duration_s": 10.0, "n_streams": 3},  # of the first stream
        {"header_duration_s": 3_600.0, "duration_s": 3_601.0},  # within 2 %
        {"header_duration_s": 10.0},
    )
    found = only(decoding.wrong_headers(tracks, TRACK))
    assert [e.path for e in found.examples] == ["0006.wav", "0000.wav"]
    assert list(decoding.wrong_headers(tracks, {**TRACK, "duration": 30.0})) == []
    assert list(decoding.wrong_headers(tracks, {**TRACK, "offset": 1.0})) == []


def test_several_streams_and_decoders() -> None:
    tracks = tracks_of(
        {"n_streams": 2},
        {"n_streams": 5},
        {"decoder": "libsndfile, ffmpeg"},
        {"decoder": "libsndfile, ffmpeg", "decoding": "damaged"},
    )
    assert named(decoding.streams(tracks)) == ["0001.wav", "0000.wav"]
    assert named(decoding.decoders(tracks)) == ["0002.wav"]


def test_levels() -> None:
    tracks = tracks_of(
        {"peak": 0.0, "mix_peak": 0.0, "is_silent": True},
        {"peak": 0.005, "mix_peak": 0.005},
        {"peak": 0.002, "mix_peak": 0.002},
        {"clipped_fraction": 0.0009},
        {"clipped_fraction": 0.001},
        {"clipped_fraction": 0.3},
        {"mix_peak": 0.004},
        n=9,
    )
    assert named(levels.silent(tracks)) == ["0000.wav"]
    assert named(levels.quiet(tracks)) == ["0002.wav", "0001.wav"]
    assert only(levels.quiet(tracks)).examples[0].detail == "peak -54 dBFS"
    assert named(levels.clipped(tracks)) == ["0005.wav", "0004.wav"]
    details = [example.detail for example in only(levels.clipped(tracks)).examples]
    assert details == [f"{share} of the samples at full scale" for share in ("30 %", "0.1 %")]
    tracks = tracks.assign(clipped_fraction=1.0)
    assert only(levels.clipped(tracks)).examples[0].detail.startswith("100 %")
    assert named(levels.cancelling(tracks)) == ["0006.wav"]


def test_cancelling_is_what_a_run_calls_so() -> None:
    rng = np.random.default_rng(0)
    peak = rng.uniform(0, 1, 200)
    tracks = tracks_of(
        n=200,
        peak=peak,
        mix_peak=peak * 10 ** rng.uniform(-4, 0, 200),
        is_silent=rng.random(200) < 0.2,
    )
    expected = [
        "cancelling" in signs_of("whole", row.peak, row.mix_peak, row.is_silent)
        for row in tracks.itertuples()
    ]
    assert levels.is_cancelling(tracks).tolist() == expected
    assert 0 < sum(expected) < 200


@pytest.mark.parametrize(
    ("usual", "short", "enough"),
    [(240.0, 20.0, 30.0), (30.0, 2.9, 3.1), (5.0, 0.9, 1.1), (0.4, 0.09, 0.11)],
)
def test_short_tracks_are_so_beside_the_others(usual: float, short: float, enough: float) -> None:
    tracks = tracks_of({"duration_s": short}, {"duration_s": enough}, n=20, duration_s=usual)
    assert named(levels.short(tracks)) == ["0000.wav"]


def test_upsampled_tracks_by_their_rates() -> None:
    tracks = tracks_of(
        {"cutoff_hz": 3_850.0},
        {"cutoff_hz": 7_700.0, "sample_rate_hz": 22_050},
        {"cutoff_hz": 10_900.0},
        {"cutoff_hz": 21_500.0, "sample_rate_hz": 96_000},
        {"cutoff_hz": 9_000.0},  # no rate's
        {"cutoff_hz": 10_900.0, "sample_rate_hz": 24_000},  # its own filter
        {"cutoff_hz": 15_500.0},  # as of encoders
        {"cutoff_hz": 21_500.0, "sample_rate_hz": 48_000},
        n=10,
    )
    rates = bandwidth.original_rates(tracks)
    expected = [8_000, 16_000, 22_050, 44_100, *[np.nan] * 6]
    np.testing.assert_array_equal(rates, expected)
    found = only(bandwidth.upsampled(tracks))
    assert [e.path for e in found.examples] == [f"{i:04}.wav" for i in range(4)]
    assert found.examples[0].detail == "nothing above 3.9 kHz at 44.1 kHz: as from 8 kHz"


def test_the_cut_of_an_encoder_is_not_upsampling() -> None:
    lossy = {"format": "MP3", "subtype": "MPEG_LAYER_III", "size_bytes": 480_000}  # 128 kbit/s
    tracks = tracks_of(
        {**lossy, "cutoff_hz": 10_900.0},  # as of an encoder at 64 kbit/s
        {**lossy, "cutoff_hz": 16_000.0},
        {**lossy, "cutoff_hz": 7_800.0},  # no encoder cuts so low at this rate
        {**lossy, "cutoff_hz": 7_800.0, "size_bytes": 90_000},  # but at 24 kbit/s
        {"cutoff_hz": 16_000.0, "format": "FLAC"},
        {"cutoff_hz": 16_000.0, "format": "MOV", "subtype": "ALAC"},
        {"cutoff_hz": 16_000.0, "sample_rate_hz": 96_000},
        {"cutoff_hz": 20_500.0},
        n=8,
    )
    assert named(bandwidth.upsampled(tracks)) == ["0002.wav"]
    assert named(bandwidth.made_of_lossy(tracks)) == ["0004.wav", "0005.wav"]


def test_a_table_without_cutoffs_says_so() -> None:
    tracks = tracks_of(n=3).drop(columns="cutoff_hz")
    found = only(bandwidth.upsampled(tracks))
    assert (found.count, found.total, found.examples) == (0, 3, [])
    assert "not measured" in found.title
    assert list(bandwidth.made_of_lossy(tracks)) == []


def test_rates_below_that_of_the_features() -> None:
    tracks = tracks_of({"sample_rate_hz": 16_000}, {"sample_rate_hz": 8_000}, n=5)
    assert named(forms.mixed_rates(tracks, TRACK)) == ["0001.wav", "0000.wav"]
    assert list(forms.mixed_rates(tracks, {**TRACK, "sr": 8_000})) == []
    assert list(forms.mixed_rates(tracks.iloc[:2], TRACK)) == []  # all are the same then
    native = only(forms.mixed_rates(tracks, {**TRACK, "sr": "native"}))
    assert native.kind == "mixed_rates"
    assert [e.path for e in native.examples] == ["0001.wav", "0000.wav"]
    assert list(forms.mixed_rates(tracks.iloc[2:], {**TRACK, "sr": "native"})) == []
