from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import librosa
import numpy as np
import pytest

from featurelib import (
    PRESETS,
    FeatureSpec,
    SpecError,
    get_spec,
    spec_differences,
    spec_from_settings,
)
from featurelib import spec as spec_module

GENRE = get_spec("genre-v1")

#: Another valid value of every field that defines values.
CHANGES = {
    "features": (("rms", ("mean",)),),
    "sr": 44_100,
    "duration": 12.5,
    "n_fft": 1024,
    "hop_length": 256,
    "window": "hamming",
    "center": False,
    "pad_mode": "reflect",
    "pooled": ("mfcc",),
    "naming": "tutorial",
    "roll_percent": 0.9,
    "n_mels": 64,
    "n_mfcc": 13,
    "top_db": 60.0,
    "n_bands": 5,
    "contrast_fmin": 150.0,
    "contrast_quantile": 0.05,
    "n_chroma": 24,
}


def changed(field: str) -> FeatureSpec:
    start = get_spec("tutorial-v1") if field == "naming" else GENRE
    value = "numbered" if field == "naming" else CHANGES[field]
    return dataclasses.replace(start, **{field: value})


def test_every_field_is_covered():
    assert {*CHANGES, "name"} == {field.name for field in dataclasses.fields(FeatureSpec)}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_is_in_the_fingerprint_and_survives_json(field):
    spec = changed(field)
    before = get_spec("tutorial-v1") if field == "naming" else GENRE
    assert spec.fingerprint != before.fingerprint
    # Objects come back with their keys in another order, lists do not.
    loaded = FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict(), sort_keys=True)))
    assert loaded == spec
    assert loaded.fingerprint == spec.fingerprint
    assert spec_differences(before.to_dict(), spec.to_dict())
    assert all(
        line.startswith(field) for line in spec_differences(before.to_dict(), spec.to_dict())
    )


def test_name_is_not_in_the_fingerprint_nor_a_difference():
    other = dataclasses.replace(GENRE, name="mine")
    assert other.fingerprint == GENRE.fingerprint
    assert spec_differences(GENRE.to_dict(), other.to_dict()) == []


def test_fingerprint_has_the_values_version(monkeypatch):
    monkeypatch.setattr(spec_module, "VALUES_VERSION", spec_module.VALUES_VERSION + 1)
    assert dataclasses.replace(GENRE).fingerprint != GENRE.fingerprint


def test_fingerprint_is_the_same_in_another_process():
    code = "import featurelib; print(featurelib.get_spec('genre-v1').fingerprint)"
    for seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.strip() == GENRE.fingerprint
    assert len(GENRE.fingerprint) == 16
    assert set(GENRE.fingerprint) <= set("0123456789abcdef")


def test_whole_numbers_for_fractions_are_the_same_spec():
    assert dataclasses.replace(GENRE, duration=30) == dataclasses.replace(GENRE, duration=30.0)
    a, b = dataclasses.replace(GENRE, top_db=80), dataclasses.replace(GENRE, top_db=80.0)
    assert a.fingerprint == b.fingerprint


def test_order_of_families_is_part_of_a_spec():
    backwards = dataclasses.replace(GENRE, features=GENRE.features[::-1])
    assert backwards.fingerprint != GENRE.fingerprint
    (line,) = spec_differences(GENRE.to_dict(), backwards.to_dict())
    assert line.startswith("features: order rms, ")


def test_differences_name_fields_and_families():
    other = dataclasses.replace(
        GENRE,
        n_fft=1024,
        duration=30,
        features=(*GENRE.features[1:-1], ("stft_db", ("mean",))),
    )
    assert spec_differences(GENRE.to_dict(), other.to_dict()) == [
        "features: rms: mean, std → none",
        "features: stft_db: mean, std → mean",
        "duration: null → 30.0",
        "n_fft: 2048 → 1024",
    ]


def test_differences_with_fields_that_only_one_side_has():
    a = {**GENRE.to_dict(), "window": "hann"}
    b = {key: value for key, value in a.items() if key != "window"} | {"novel": 3}
    assert spec_differences(a, b) == ["window: hann → (absent)", "novel: (absent) → 3"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sr": 500}, ["sr=500", "1000"]),
        ({"sr": 22050.5}, ["sr=22050.5", "whole number"]),
        ({"sr": True}, ["sr=True"]),
        ({"n_fft": 2047}, ["n_fft=2047", "even"]),
        ({"n_fft": 0}, ["n_fft=0"]),
        ({"n_fft": 131_072}, ["n_fft=131072"]),
        ({"hop_length": 4096}, ["hop_length=4096", "n_fft=2048"]),
        ({"hop_length": -1}, ["hop_length=-1"]),
        ({"window": "han"}, ["window='han'", "hann"]),
        ({"pad_mode": "wrap"}, ["pad_mode='wrap'", "constant"]),
        ({"center": 1}, ["center=1"]),
        ({"duration": 0}, ["duration=0"]),
        ({"duration": float("inf")}, ["duration=inf"]),
        ({"duration": "30"}, ["duration='30'"]),
        ({"duration": 1e305}, ["duration=1e+305", "too large"]),
        ({"top_db": 10**400}, ["top_db=1000", "too large"]),
        ({"n_bands": 2000}, ["n_bands", "at most 6"]),
        ({"roll_percent": 1.0}, ["roll_percent=1.0"]),
        ({"roll_percent": 0}, ["roll_percent=0"]),
        ({"contrast_quantile": 1}, ["contrast_quantile=1"]),
        ({"n_mels": 10}, ["n_mfcc=20", "n_mels=10"]),
        ({"naming": "short"}, ["naming='short'", "numbered"]),
        ({"naming": "tutorial"}, ["rms", "std", "numbered"]),
        ({"pooled": ("rms",)}, ["pooled", "rms"]),
        ({"pooled": "mfcc"}, ["pooled", "mfcc"]),
        ({"name": ""}, ["name=''"]),
        ({"features": ()}, ["features"]),
        ({"features": "rms"}, ["features", "rms"]),
        ({"features": ("rms",)}, ["features", "rms"]),
        ({"features": (("mfc", ("mean",)),)}, ["'mfc'", "did you mean 'mfcc'"]),
        ({"features": (("rms", ("men",)),)}, ["'men'", "did you mean 'mean'"]),
        ({"features": (("rms", ()),)}, ["rms", "statistic"]),
        ({"features": (("rms", ("mean", "mean")),)}, ["rms", "twice"]),
        ({"features": (("rms", ("mean",)), ("rms", ("std",)))}, ["rms", "twice"]),
        ({"sr": 8000}, ["spectral_contrast", "sr=8000", "n_bands", "at most 5"]),
        ({"n_fft": 64, "hop_length": 32}, ["spectral_contrast", "n_fft=64"]),
    ],
    ids=str,
)
def test_values_that_cannot_be_used_are_named(changes, words):
    with pytest.raises(SpecError) as caught:
        FeatureSpec.from_dict({**GENRE.to_dict(), **changes})
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("sr", [4_000, 6_400, 8_000, 11_025, 12_800, 12_801, 16_000, 22_050])
@pytest.mark.parametrize("n_bands", range(1, 8))
def test_contrast_is_refused_just_where_librosa_refuses_it(sr, n_bands):
    y = np.random.default_rng(0).standard_normal(4096).astype(np.float32)
    try:
        librosa.feature.spectral_contrast(y=y, sr=sr, n_bands=n_bands)
        librosa_can = True
    except librosa.ParameterError:
        librosa_can = False
    try:
        dataclasses.replace(GENRE, sr=sr, n_bands=n_bands)
        ours_can = True
    except SpecError:
        ours_can = False
    assert ours_can == librosa_can


def test_contrast_bounds_do_not_concern_specs_without_it():
    assert FeatureSpec(name="low", sr=4000, features={"rms": ["mean"]}).sr == 4000


def test_unknown_fields_are_named_with_the_closest():
    with pytest.raises(SpecError, match=r"'hop_lenght'.*did you mean 'hop_length'"):
        FeatureSpec.from_dict({**GENRE.to_dict(), "hop_lenght": 256})
    with pytest.raises(SpecError, match="lacks 'features'"):
        FeatureSpec.from_dict({"name": "x"})


def test_specs_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GENRE.sr = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        PRESETS["x"] = GENRE  # type: ignore[index]
    assert hash(GENRE) == hash(FeatureSpec.from_dict(GENRE.to_dict()))


def test_presets_are_found_by_name():
    assert set(PRESETS) == {"genre-v1", "tutorial-v1"}
    for name, spec in PRESETS.items():
        assert spec.name == name
        assert get_spec(name) is spec
    assert get_spec(GENRE) is GENRE
    with pytest.raises(SpecError, match=r"'genre-v2'.*did you mean 'genre-v1'.*tutorial-v1"):
        get_spec("genre-v2")


def test_settings_change_a_preset():
    spec = spec_from_settings({"preset": "genre-v1", "n_fft": 1024, "features": {"rms": ["mean"]}})
    assert (spec.n_fft, spec.features, spec.hop_length) == (1024, (("rms", ("mean",)),), 512)
    assert spec.name == "genre-v1-modified"
    assert spec_from_settings({"preset": "genre-v1"}) == GENRE
    assert spec_from_settings({"preset": "genre-v1", "n_fft": 2048}) == GENRE
    assert spec_from_settings({"preset": "genre-v1", "n_fft": 512, "name": "mine"}).name == "mine"


def test_settings_without_a_preset_are_a_whole_spec():
    spec = spec_from_settings({"features": [["mfcc", ["mean"]]], "sr": 16_000})
    assert (spec.name, spec.sr) == ("custom", 16_000)
    with pytest.raises(SpecError, match="unknown preset 'nope'"):
        spec_from_settings({"preset": "nope"})
    with pytest.raises(SpecError, match="'n_ftt'"):
        spec_from_settings({"preset": "genre-v1", "n_ftt": 1024})
