"""Which columns of a spec another spec has already, and the spec that computes the others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import featurelib

_STATISTICS = ("mean", "std", "max", "median", "series")


def spec_of(*entries: Any, **fields: Any) -> featurelib.FeatureSpec:
    return featurelib.FeatureSpec.from_dict({"name": "x", "features": [*entries], **fields})


@st.composite
def specs(draw: st.DrawFn) -> featurelib.FeatureSpec:
    entries: list[dict[str, Any]] = []
    for i in range(draw(st.integers(1, 4))):
        family = draw(st.sampled_from(["rms", "zero_crossing_rate", "mfcc", "delta"]))
        entry: dict[str, Any] = {"family": family, "as": f"f{i}"}
        entry["statistics"] = draw(
            st.lists(st.sampled_from(_STATISTICS), min_size=1, max_size=3, unique=True)
        )
        if family == "delta":
            if not entries:
                continue
            entry["of"] = draw(st.sampled_from(entries))["as"]
        else:
            entry["hop_length"] = draw(st.sampled_from([256, 512]))
        if family == "mfcc":
            entry["n_mfcc"] = draw(st.sampled_from([2, 3]))
        entries.append(entry)
    return spec_of(*(entries or ["rms"]))


def names(spec: featurelib.FeatureSpec) -> set[str]:
    return {c.name for c in featurelib.describe(spec)} - {*featurelib.SIGNAL_COLUMNS}


def _meanings(spec: featurelib.FeatureSpec) -> set[tuple[str, str]]:
    """Return each feature with each of its statistics."""
    return {
        (repr(entry.feature), statistic)
        for entry in spec.features
        for statistic in entry.statistics
    }


@given(specs(), specs())
def test_every_column_is_copied_or_computed(
    spec: featurelib.FeatureSpec, older: featurelib.FeatureSpec
) -> None:
    try:
        shared = featurelib.reuse(spec, older)
    except featurelib.SpecError:  # no column is the same
        assert not _meanings(spec) & _meanings(older)
        return
    copied = shared.columns.keys() - {"n_frames"}
    computed = set() if shared.missing is None else names(shared.missing)
    assert copied | computed == names(spec)
    assert not copied & computed
    assert {*shared.columns.values()} - {"n_frames"} <= names(older)
    meaning = {c.name: (c.definition, c.type) for c in featurelib.describe(spec)}
    before = {c.name: (c.definition, c.type) for c in featurelib.describe(older)}
    assert all(meaning[new] == before[old] for new, old in shared.columns.items())
    if "n_frames" not in shared.columns:
        assert shared.missing is not None
        assert shared.missing.features[0].feature.frames == spec.features[0].feature.frames


@given(specs())
def test_a_spec_has_all_columns_of_itself(spec: featurelib.FeatureSpec) -> None:
    shared = featurelib.reuse(spec, spec)
    assert shared.missing is None
    assert set(shared.columns) == {*names(spec), "n_frames"}


def test_frames_are_counted_by_the_first_feature() -> None:
    fine, coarse = (
        {"family": family, "hop_length": hop, "statistics": ["mean"]}
        for family, hop in (("zero_crossing_rate", 256), ("rms", 512))
    )
    shared = featurelib.reuse(spec_of(coarse, fine), spec_of(fine, coarse))
    assert shared.columns == {"zero_crossing_rate_mean": "zero_crossing_rate_mean"}
    assert shared.missing is not None
    assert featurelib.feature_names(shared.missing) == ["rms_mean"]


def test_what_a_delta_reads_is_computed_without_statistics() -> None:
    mfcc = {"family": "mfcc", "n_mfcc": 2, "statistics": ["mean"]}
    shared = featurelib.reuse(
        spec_of(mfcc, {"family": "delta", "of": "mfcc", "statistics": ["max"]}), spec_of(mfcc)
    )
    assert shared.missing is not None
    assert [(e.name, e.statistics) for e in shared.missing.features] == [
        ("mfcc", ()),
        ("delta", ("max",)),
    ]


@pytest.mark.parametrize(
    ("fields", "difference"),
    [
        ({"sr": 44_100}, "sr: 22050 → 44100"),
        ({"sr": "native"}, "sr: 22050 → native"),
        ({"offset": 1.0}, "offset: 0.0 → 1.0"),
        ({"duration": 30.0}, "duration: null → 30.0"),
        ({"channels": "first"}, "channels: mix → first"),
        ({"level": {"kind": "segment", "length_s": 1}}, "level: "),
    ],
)
def test_another_signal(fields: dict[str, Any], difference: str) -> None:
    with pytest.raises(featurelib.SpecError, match="because the signals differ") as caught:
        featurelib.reuse(spec_of("rms", **fields), spec_of("rms"))
    assert difference in str(caught.value)
