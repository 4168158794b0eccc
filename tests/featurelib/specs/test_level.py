"""Levels: lengths and hops in samples, and invalid values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import FeatureSpec, Level, SpecError


def segments(**kwargs) -> Level:
    return Level(kind="segment", **kwargs)


@pytest.mark.parametrize(
    ("given_as", "sr", "expected"),
    [
        ({"length_s": 3.0}, 22_050, (66_150, 66_150)),
        ({"length_s": 0.96, "hop_s": 0.48}, 16_000, (15_360, 7_680)),
        ({"length": 66_149, "hop": 66_150}, 22_050, (66_149, 66_150)),
        ({"length_s": 1, "hop": 100}, 8_000, (8_000, 100)),
        ({"length": 100, "hop_s": 0.5}, 8_000, (100, 4_000)),
        ({"length_s": 0.1}, 11_025, (1_102, 1_102)),  # 1102.5, rounded to even
    ],
)
def test_lengths_in_seconds_are_rounded_to_samples(given_as, sr, expected):
    level = segments(**given_as)
    assert level.samples(sr) == expected
    assert level.rows_a_second(sr) == pytest.approx(sr / expected[1])


@given(length=st.integers(1, 10**6), hop=st.integers(1, 10**6), sr=st.integers(1_000, 192_000))
def test_lengths_in_samples_stay_as_they_are(length, hop, sr):
    level = segments(length=length, hop=hop)
    if length > 100 * hop or (hop < length and length * (length / hop) > 600 * sr):
        with pytest.raises(SpecError, match="overlap"):
            level.samples(sr)
    else:
        assert level.samples(sr) == (length, hop)


def test_a_track_is_one_row_however_long():
    assert Level() == Level(kind="track") == Level.from_value("track") == Level.from_value({})
    assert Level().rows_a_second(44_100) == 0


def test_a_table_with_a_length_is_of_segments():
    assert Level.from_value({"length_s": 3.0}) == segments(length_s=3.0)


@pytest.mark.parametrize(
    "level",
    [Level(), segments(length_s=3.0), segments(length=66_149, hop=66_150, last="strict")],
)
def test_to_dict_gives_the_same_level_back(level):
    assert Level.from_value(level.to_dict()) == level


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "segment"}, "length_s"),
        ({"length_s": 3.0, "length": 100}, "length_s"),
        ({"length_s": 3.0, "hop": 100, "hop_s": 1.0}, "not both"),
        ({"kind": "track", "length_s": 3.0}, "length_s is of segments"),
        ({"length_s": 0}, "length_s"),
        ({"length_s": float("nan")}, "length_s"),
        ({"length": 0}, "length"),
        ({"length": 1.5}, "length"),
        ({"length_s": 3.0, "hop_s": -1.0}, "hop_s"),
        ({"length_s": 3.0, "last": "kept"}, "last"),
        ({"kind": "frame"}, "kind"),
        ({"lenght_s": 3.0}, "length_s"),
        (3.0, "level=3.0"),
        ("segment", "length_s"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(value, message):
    with pytest.raises(SpecError, match=message):
        Level.from_value(value)


@pytest.mark.parametrize(
    "level", [{"length_s": 1e-5}, {"length_s": 1.0, "hop_s": 1e-5}, {"length": 101, "hop": 1}]
)
def test_segments_that_a_fixed_rate_cannot_have_are_refused_with_the_spec(level):
    with pytest.raises(SpecError, match="segments of"):
        FeatureSpec.from_dict({"name": "a", "sr": 8_000, "level": level, "features": ["rms"]})


def test_segments_that_overlap_are_bounded_by_their_length_together():
    level = Level(kind="segment", length_s=10.0, hop_s=0.25)
    assert level.samples(22_050) == (220_500, 5512)
    long = Level(kind="segment", length_s=60.0, hop_s=1.0)
    with pytest.raises(SpecError, match=r"60 s every 1 s.*more than 600 s.*longer.*shorter"):
        long.samples(22_050)


@pytest.mark.parametrize("key", ["length", "hop"])
def test_seconds_for_samples_are_refused_with_the_right_name(key):
    with pytest.raises(SpecError, match=f"{key}=3.5 is not a whole number.*{key}_s"):
        Level.from_value({"length_s": 3.0, key: 3.5})
