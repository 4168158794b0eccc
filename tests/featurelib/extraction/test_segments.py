"""Segments: each is cut from the resampled signal and analysed separately."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import (
    AudioError,
    Extractor,
    FeatureSpec,
    RowCollector,
    extract,
    extract_columns,
    extract_signal,
    feature_names,
    schema,
)
from tests.featurelib.support.encoders import made, on_grid
from tests.featurelib.support.listening import listen
from tests.featurelib.support.signals import SR, chord, encode, fading, noise
from tests.featurelib.support.troubles import TROUBLES

#: Features of single frames, with look-ahead, and of the whole signal, with short frames.
FEATURES = [
    "rms",
    "zero_crossing_rate",
    "spectral_flux",
    {"family": "mfcc", "n_mfcc": 3, "n_mels": 20, "top_db": 20.0},
    {"family": "delta", "of": "mfcc", "as": "delta", "delta_width": 5},
    {"family": "spectral_contrast", "n_bands": 2, "fmin": 1000.0, "top_db": 10.0},
]

#: Columns that describe the file.
OF_THE_FILE = (
    *("duration_s", "header_duration_s", "sample_rate_hz", "channels", "format", "subtype"),
    *("decoder", "decoding", "lost_s", "n_streams", "audio_hash"),
)


def make_spec(level: Any = "track", *, center: bool = True, **fields: Any) -> FeatureSpec:
    frames = {"n_fft": 256, "hop_length": 64, "center": center}
    return FeatureSpec.from_dict(
        {
            "name": "test",
            "sr": SR,
            "defaults": {"statistics": ["mean", "std", "median", "max"], **frames},
            "features": FEATURES,
            **fields,
            "level": level,
        }
    )


def bounds(n: int, length: int, hop: int, last: str) -> Iterator[tuple[int, int, int]]:
    """Number, first sample and end of each segment; pad a segment that ends after n."""
    for i in range(math.ceil(n / hop)):
        start, stop = i * hop, i * hop + length
        if stop <= n:
            if last != "strict" or (i + 1) * hop < n:
                yield i, start, stop
        elif last == "pad":
            yield i, start, stop
            return
        elif last == "keep":
            yield i, start, n
            return
        if stop == n:
            return  # no sample is left that is in no segment


def expected_rows(y: np.ndarray, spec: FeatureSpec) -> list[tuple[int, int, int, dict[str, float]]]:
    """Number, start, stop and features of each segment that is long enough for its features."""
    alone = make_spec(center=spec.features[0].feature.frames.center)
    rows = []
    length, hop = spec.level.samples(SR)
    for i, start, stop in bounds(len(y), length, hop, spec.level.last):
        part = np.pad(y[start:stop], (0, max(stop - len(y), 0)))
        try:
            row = extract_signal(part, SR, alone)
        except AudioError as error:
            if error.kind != "too_short":
                raise
            continue
        values = row[[*feature_names(spec), "n_frames"]].iloc[0].to_dict()
        rows.append((i, start, min(stop, len(y)), values))
    return rows


def table(source: Any, spec: FeatureSpec, *, block_samples: int = 65_536) -> Any:
    """Result of `extract`, for any size of blocks."""
    collector = RowCollector(schema(spec), feature_names(spec))
    for rows in Extractor(spec).file(source, block_samples=block_samples):
        collector.add(rows)
    return collector.table().to_pandas()


def mixed_and_resampled(signals: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Resampled signals of shape (n, channels); neighbours of equal rate are joined."""
    parts = []
    for sr, group in itertools.groupby(signals, key=lambda signal: signal[0]):
        y = np.concatenate([librosa.to_mono(y.T) for _, y in group])
        parts.append(librosa.resample(y, orig_sr=sr, target_sr=SR))
    return np.concatenate(parts)


def assert_rows(frame: Any, expected: list[tuple[int, int, int, dict[str, float]]]) -> None:
    assert frame["segment"].tolist() == [number for number, *_ in expected]
    assert frame["start_s"].tolist() == [start / SR for _, start, *_ in expected]
    assert frame["end_s"].tolist() == [stop / SR for _, _, stop, _ in expected]
    for (_, row), (*_, values) in zip(frame.iterrows(), expected, strict=True):
        assert {name: row[name] for name in values} == values


LASTS = ("keep", "pad", "drop", "strict")

LEVELS = {
    "side by side": {"length_s": 0.5},
    "half overlapping": {"length": 9_000, "hop": 4_500},
    "half overlapping, one ends with the signal": {"length": 8_820, "hop": 4_410},
    "three at a time": {"length_s": 0.5, "hop": 4_000},
    "gaps": {"length": 3_000, "hop": 5_000},
    "a gap of one sample": {"length": 5_511, "hop": 5_512},
    "longer than all": {"length": 64 * 3_100},  # the number of frames depends on each sample
    "just as long": {"length_s": 2.0},
    "a divisor": {"length": 4_410},
    "a divisor less one": {"length": 4_409, "hop": 4_410},
}


@pytest.mark.parametrize("last", LASTS)
@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_each_row_is_that_of_a_slice(level, last):
    y = fading(2.0)
    spec = make_spec({**level, "last": last})
    expected = expected_rows(y, spec)
    if not expected:
        with pytest.raises(AudioError) as caught:
            extract(encode(y), spec)
        assert caught.value.kind == "too_short"
        return
    assert_rows(extract(encode(y), spec), expected)


@given(
    n=st.integers(1, 3_000),
    length=st.integers(1, 2_000),
    hop=st.integers(100, 2_000),
    last=st.sampled_from(LASTS),
    center=st.booleans(),
    block_samples=st.integers(1, 3_000),
)
def test_any_length_hop_and_block_size(n, length, hop, last, center, block_samples):
    y = noise(n / SR, seed=n)
    spec = make_spec({"length": length, "hop": hop, "last": last}, center=center)
    expected = expected_rows(y, spec)
    if not expected or expected[0][0] != 0:
        with pytest.raises(AudioError) as caught:
            table(encode(y), spec, block_samples=block_samples)
        assert caught.value.kind == "too_short"
        return
    assert_rows(table(encode(y), spec, block_samples=block_samples), expected)


@pytest.mark.parametrize(
    ("n", "n_segments"), [(661_500, 9), (661_501, 10), (661_794, 10), (660_000, 9), (66_151, 1)]
)
def test_the_segments_of_the_gtzan_table(n, n_segments):
    y = noise(n / SR)
    spec = make_spec({"length": 66_149, "hop": 66_150, "last": "strict"})
    frame = extract(encode(y), spec)
    alone = make_spec()
    starts = [i * 66_150 for i in range(n) if (i + 1) * 66_150 < n]
    assert len(frame) == len(starts) == n_segments
    for i, start in enumerate(starts):
        expected = extract_signal(y[start : start + 66_149], SR, alone)
        names = feature_names(spec)
        assert frame[names].iloc[i].to_dict() == expected[names].iloc[0].to_dict()


@pytest.mark.parametrize("sr", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("last", LASTS)
def test_segments_are_cut_after_resampling(sr, last):
    y = noise(2.2, sr=sr) + chord(2.2, sr=sr)
    spec = make_spec({"length_s": 0.5, "hop_s": 0.4, "last": last})
    expected = expected_rows(librosa.resample(y, orig_sr=sr, target_sr=SR), spec)
    assert len(expected) in (4, 5, 6)
    for block_samples in (997, 65_536):
        assert_rows(table(encode(y, sr), spec, block_samples=block_samples), expected)


def test_a_short_end_without_a_frame_is_left_out():
    y = noise(1.0)
    spec = make_spec({"length": 20_000}, center=False)  # 2050 samples are left: 29 frames
    assert extract(encode(y), spec)["segment"].tolist() == [0, 1]
    assert extract(encode(y[:20_255]), spec)["segment"].tolist() == [0]  # no frame
    assert extract(encode(y[:20_260]), spec)["segment"].tolist() == [0]  # one frame of five
    assert extract(encode(y[: 20_256 + 4 * 64]), spec)["segment"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (100, "shorter than one frame of 256"),
        (255, "shorter than one frame of 256"),
        (256 + 3 * 64, "delta needs at least 5 frames"),
    ],
)
@pytest.mark.parametrize("level", ["track", {"length": 20_000}, {"length": 450}])
def test_a_file_too_short_for_its_features_is_the_files_error(n, message, level):
    with pytest.raises(AudioError, match=message) as caught:
        extract(encode(noise(1.0)[:n]), make_spec(level, center=False))
    assert caught.value.kind == "too_short"


def test_the_end_of_a_drop_is_no_segment_of_a_file_shorter_than_one():
    with pytest.raises(AudioError, match=r"shorter than a segment: last = .pad.") as caught:
        extract(encode(noise(1.0)), make_spec({"length_s": 1.5, "last": "drop"}))
    assert caught.value.kind == "too_short"


# --- Columns that describe the file


def assert_facts_of_the_file(data: bytes, spec: FeatureSpec, *, n_rows: int) -> None:
    whole, rows = extract_columns(data, make_spec()), extract_columns(data, spec)
    for name in OF_THE_FILE:
        assert rows[name] == whole[name] * n_rows


@pytest.mark.parametrize("name", ["wav16", "flac", "mp3", "ogg_vorbis", "m4a_aac"])
def test_facts_of_the_file_are_on_each_row(name):
    data = made(name, np.stack([chord(2.0, sr=44_100), noise(2.0, sr=44_100)], axis=1))
    assert_facts_of_the_file(data, make_spec({"length_s": 0.3}), n_rows=7)


@pytest.mark.parametrize(
    "name",
    [
        "flac with a damaged byte in frame: 0x7",
        "mp3 damaged by: zeros",
        "damage in the second of two mp3",
        "damage in the first of two flac",
    ],
)
def test_a_file_that_needs_the_other_decoder_half_way_gives_its_rows_once(name):
    data, _ = TROUBLES[name].make()
    spec = make_spec({"length_s": 0.2})
    heard = listen(data)
    frame = extract(data, spec)
    assert_rows(frame, expected_rows(mixed_and_resampled(heard.signals), spec))
    assert set(frame["decoding"]) == {"damaged"}
    assert_facts_of_the_file(data, spec, n_rows=len(frame))


# --- Peaks


def expected_peaks(signals: list[tuple[int, np.ndarray]], frame: Any) -> list[dict[str, Any]]:
    """Peaks of each row, from the decoded samples (n, channels) that map into its segment."""
    result = []
    for start_s, end_s in zip(frame["start_s"], frame["end_s"], strict=True):
        start, stop = round(start_s * SR), round(end_s * SR)
        own, mixed = [np.zeros(0)], [np.zeros(0)]
        base, before = Fraction(0), 0
        for sr, y in signals:
            if sr != before:
                base, before = Fraction(math.ceil(base)), sr
            # First and end of the samples that map into [start, stop).
            a = math.ceil((start - base) * sr / SR)
            b = math.ceil((stop - base) * sr / SR)
            part = y[max(a, 0) : max(b, 0)]
            own.append(np.abs(part).ravel())
            mixed.append(np.abs(part.mean(axis=1, dtype=np.float32)))
            base += Fraction(len(y) * SR, sr)
        every, mix = np.concatenate(own), np.concatenate(mixed)
        result.append(
            {
                "peak": np.float32(every.max()),
                "mix_peak": np.float32(mix.max()),
                "clipped_fraction": np.float32(np.mean(every >= 1 - 2.0**-15)),
                "is_silent": bool(every.max() < 1e-4),
            }
        )
    return result


def loud_and_silent(seconds: float, sr: int, *, seed: int = 0) -> np.ndarray:
    """Stereo signal that clips, cancels itself and is silent, in turns of 0.3 s."""
    y = noise(seconds, sr=sr, level=0.4, seed=seed)
    y = np.stack([y, noise(seconds, sr=sr, level=0.2, seed=seed + 1)], axis=1)
    turn = np.arange(len(y)) // round(0.3 * sr) % 4
    y[turn == 1] = y[turn == 1, :1] * [1, -1]
    y[turn == 2] *= 2e-5
    y[turn == 3] *= 4
    return on_grid(np.clip(y, -1, 1)) if seed else np.clip(y, -1, 1).astype(np.float32)


PEAKS = ["peak", "mix_peak", "clipped_fraction", "is_silent"]


@pytest.mark.parametrize("sr", [8_000, SR, 44_100, 44_056])
@pytest.mark.parametrize(
    "level",
    [
        {"length_s": 0.1},
        {"length_s": 0.2, "hop_s": 0.05},
        {"length": 700, "hop": 3_000},
        {"length_s": 0.3, "last": "pad"},
        "track",
    ],
)
def test_peaks_are_of_the_segments_decoded_samples(sr, level):
    y = loud_and_silent(2.5, sr)
    for block_samples in (1_000, 65_536):
        frame = table(encode(y, sr), make_spec(level), block_samples=block_samples)
        assert frame[PEAKS].to_dict("records") == expected_peaks([(sr, y)], frame)
    if level == {"length_s": 0.1}:  # the signal has all cases
        assert frame["is_silent"].nunique() == 2
        assert (frame["mix_peak"] < 0.01 * frame["peak"]).any()
        assert frame["clipped_fraction"].max() > 0.1


@pytest.mark.parametrize("rates", [(44_100, 48_000), (8_000, 44_100), (SR, 16_000, SR)])
@pytest.mark.parametrize("level", [{"length_s": 0.1, "hop_s": 0.07}, {"length_s": 0.25}])
def test_joined_streams_of_different_rates(rates, level):
    signals, data = [], b""
    for i, sr in enumerate(rates):
        y = loud_and_silent(1.01 + i / 7, sr, seed=i + 1)
        signals.append((sr, y))
        data += encode((y * 2**15).astype(np.int16), sr, fmt="FLAC", subtype="PCM_16")
    spec = make_spec(level)
    frame = extract(data, spec)
    assert_rows(frame, expected_rows(mixed_and_resampled(signals), spec))
    assert frame[PEAKS].to_dict("records") == expected_peaks(signals, frame)
    assert set(frame["n_streams"]) == {len(rates)}


@pytest.mark.parametrize(
    "name",
    [
        "ogg chain of rates",
        "ogg chain of channels",
        "three flac of other channels and rates",
        "mp3, mp3 of another rate",
        "counted mp3 joined with: id3v2",
    ],
)
def test_chains_of_all_formats(name):
    data, right = TROUBLES[name].make()
    spec = make_spec({"length_s": 0.4, "hop_s": 0.3, "last": "drop"})
    frame = extract(data, spec)
    signals = [(sr, y.reshape(len(y), -1)) for sr, y in listen(data).signals]
    assert sum(len(y) / sr for sr, y in signals) == pytest.approx(
        sum(len(y) / sr for sr, y in right)
    )
    assert_rows(frame, expected_rows(mixed_and_resampled(signals), spec))
    assert frame[PEAKS].to_dict("records") == expected_peaks(signals, frame)


def test_channels_that_cancel_in_one_segment_only():
    y = noise(1.0, level=0.2)
    stereo = np.stack([y, np.where(np.arange(SR) < SR // 2, -y, y)], axis=1)
    frame = extract(encode(stereo), make_spec({"length_s": 0.5}))
    assert frame["mix_peak"].tolist() == [0.0, np.abs(y[SR // 2 :]).max()]
    assert frame["peak"].tolist() == [np.abs(y[: SR // 2]).max(), np.abs(y[SR // 2 :]).max()]
    assert frame["rms_max"].iloc[0] == 0


def test_an_end_in_which_no_decoded_sample_begins_has_the_last_ones_peak():
    # 8 kHz resampled to 22.05 kHz: the last segment has one or two decoded samples.
    y = noise(0.5, sr=8_000)
    n = math.ceil(len(y) * 22_050 / 8_000)
    spec = FeatureSpec.from_dict(
        {"name": "x", "features": ["rms"], "level": {"length": n - 1, "last": "keep"}}
    )
    frame = extract_signal(y, 8_000, spec)
    assert len(frame) == 2
    assert frame["peak"].iloc[1] == abs(y[-1])
    assert not frame["is_silent"].iloc[1]
