"""What a spec is made of, and how it is written."""

from __future__ import annotations

import dataclasses
import pickle
import tomllib
from typing import Any

import numpy as np
import pytest

import featurelib
from featurelib import (
    PRESETS,
    Entry,
    FeatureSpec,
    SpecError,
    get_spec,
    preset_description,
    spec_from_settings,
)
from featurelib.features.delta import Delta
from featurelib.features.mfcc import MFCC
from featurelib.graph import samples_of
from featurelib.specs.presets import FOLDER
from tests.featurelib.support.specs import GENRE, round_trip


def test_specs_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GENRE.sr = 1  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        GENRE.features[0].pooled = True  # type: ignore[misc]
    with pytest.raises(TypeError):
        PRESETS["x"] = GENRE  # type: ignore[index]
    assert hash(GENRE) == hash(FeatureSpec.from_dict(GENRE.to_dict()))


def test_an_entry_comes_behind_the_one_it_reads():
    mfcc, delta = Entry(feature=MFCC()), Entry(feature=Delta(of=MFCC()))
    assert round_trip(FeatureSpec(name="x", features=(mfcc, delta))).features == (mfcc, delta)
    for features in ((delta, mfcc), (delta,), (Entry(feature=MFCC(n_mfcc=13)), delta)):
        with pytest.raises(SpecError, match=r"delta: put.*\(mfcc\) before"):
            FeatureSpec(name="x", features=features)


def test_an_entry_without_statistics_is_for_others():
    settings = {
        "features": [{"family": "mfcc", "statistics": []}, {"family": "delta", "of": "mfcc"}]
    }
    spec = spec_from_settings(settings)
    assert [len(entry.column_names()) for entry in spec.features] == [0, 40]
    assert round_trip(spec) == spec


def test_defaults_are_for_those_that_have_them():
    spec = spec_from_settings(
        {
            "features": ["rms", "mfcc", {"family": "mfcc", "as": "other", "n_mels": 40}, "tuning"],
            "defaults": {"statistics": ["max"], "n_mels": 64, "n_fft": 1024, "pooled": True},
        }
    )
    rms, mfcc, other, tuning = spec.features
    assert (rms.pooled, mfcc.pooled, other.pooled) == (False, True, True)
    assert (rms.statistics, tuning.statistics) == (("max",), ())
    assert [one.feature.mel.mel.n_mels for one in (mfcc, other)] == [64, 40]
    assert {one.feature.frames.n_fft for one in spec.features} == {1024}


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{name}_{row:02}_{stat}", ["rms_mean", "rms_std", "mfcc_01_mean", "mfcc_01_std"]),
        ("{name}{row}_{stat}", ["rms_mean", "rms_std", "mfcc1_mean", "mfcc1_std"]),
        ("{name}_{stat}_{row:02}", ["rms_mean", "rms_std", "mfcc_mean_01", "mfcc_std_01"]),
        ("{stat} of {name}{row}", ["mean of rms", "std of rms", "mean of mfcc1", "std of mfcc1"]),
    ],
)
def test_columns_are_called_by_a_template(template, names):
    spec = spec_from_settings({"features": ["rms", "mfcc"], "defaults": {"columns": template}})
    found = [name for entry in spec.features for name in entry.column_names()]
    assert found[:4] == names
    assert len(found) == 42


def test_series_stay_frames_beside_pooled_statistics():
    mfcc = {"family": "mfcc", "n_mfcc": 13, "pooled": True, "statistics": ["mean", "series"]}
    (one,) = spec_from_settings({"features": [mfcc]}).features
    assert one.column_names() == ("mfcc_mean", "mfcc_series")
    pooled, series = one.sinks()
    assert (pooled.pooled, series.of) == (True, one.feature)


def test_presets_are_found_by_name():
    assert {"genre-v1", "tutorial-v1", "speech-v1", "log-spectrogram-v1", "log-mel-v1"} <= set(
        PRESETS
    )
    assert list(PRESETS) == sorted(PRESETS)
    for name, spec in PRESETS.items():
        assert spec.name == name
        assert get_spec(name) is spec
    assert get_spec(GENRE) is GENRE
    with pytest.raises(SpecError, match=r"'genre-v9'.*did you mean 'genre-v.*tutorial-v1"):
        get_spec("genre-v9")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_settings_file_as_anyone_could_write_it(name):
    path = FOLDER / f"{name}.toml"
    values = tomllib.loads(path.read_text())["spec"]
    assert values["name"] == name
    assert values["description"] == preset_description(name)
    assert spec_from_settings(values) == PRESETS[name]
    assert FeatureSpec.from_dict(PRESETS[name].to_dict()) == PRESETS[name]


def test_settings_change_a_preset():
    spec = spec_from_settings(
        {"preset": "genre-v1", "defaults": {"n_fft": 1024}, "features": ["rms"]}
    )
    (entry,) = spec.features
    frames = entry.feature.frames
    assert (frames.n_fft, frames.hop_length, entry.name) == (1024, 512, "rms")
    assert spec.name == "genre-v1-modified"
    assert spec_from_settings({"preset": "genre-v1"}) == GENRE
    assert spec_from_settings({"preset": "genre-v1", "defaults": {"n_fft": 2048}}) == GENRE
    mine = {"preset": "genre-v1", "defaults": {"n_fft": 512}, "name": "mine"}
    assert spec_from_settings(mine).name == "mine"


def test_defaults_go_before_those_of_the_preset():
    spec = spec_from_settings({"preset": "tutorial-v1", "defaults": {"n_mfcc": 13}})
    last = [name for entry in spec.features for name in entry.column_names()][-1]
    assert last == "mfcc13"
    spec = spec_from_settings({"preset": "tutorial-v1", "defaults": {"statistics": ["max"]}})
    assert {entry.statistics for entry in spec.features} == {("max",)}


def test_settings_without_a_preset_are_a_whole_spec():
    spec = spec_from_settings({"features": ["mfcc"], "sr": 16_000})
    assert (spec.name, spec.sr) == ("custom", 16_000)
    with pytest.raises(SpecError, match="unknown preset 'nope'"):
        spec_from_settings({"preset": "nope"})
    with pytest.raises(SpecError, match="'n_ftt'"):
        spec_from_settings({"preset": "genre-v1", "defaults": {"n_ftt": 1024}})


def test_objects_and_tables_say_the_same():
    mfcc = featurelib.feature("mfcc", n_mfcc=13, n_fft=4096, hop_length=1024)
    made = FeatureSpec(
        name="x",
        sr=16_000,
        features=[
            featurelib.Entry(feature=mfcc, statistics=["median"], name="long"),
            featurelib.Entry(feature=featurelib.feature("delta", of=mfcc, order=2)),
        ],
        level={"length_s": 3},
    )
    long = {"family": "mfcc", "as": "long", "n_mfcc": 13, "n_fft": 4096, "hop_length": 1024}
    read = FeatureSpec.from_dict(
        {
            "name": "x",
            "sr": 16_000,
            "level": {"length_s": 3.0},
            "features": [
                long | {"statistics": ["median"]},
                {"family": "delta", "of": "long", "order": 2},
            ],
        }
    )
    assert made == read
    assert made.fingerprint == read.fingerprint


def test_features_of_unknown_families_and_parameters_are_refused():
    with pytest.raises(SpecError, match=r"'mfc'; did you mean 'mfcc'\?"):
        featurelib.feature("mfc")
    with pytest.raises(SpecError, match=r"'n_mffc'; did you mean 'n_mfcc'\?"):
        featurelib.feature("mfcc", n_mffc=3)
    with pytest.raises(SpecError, match="'of' has to be given"):
        featurelib.feature("delta")


def test_a_chain_of_features_has_a_limit():
    features: list[Any] = ["rms"]
    for i in range(40):
        features.append({"family": "delta", "of": "rms" if i == 0 else f"d{i - 1}", "as": f"d{i}"})
    assert len(FeatureSpec.from_dict({"name": "x", "features": features[:33]}).fingerprint) == 16
    with pytest.raises(SpecError, match="d32: of='d31': more than 32 features"):
        FeatureSpec.from_dict({"name": "x", "features": features})


@pytest.mark.parametrize(
    ("entry", "defaults"),
    [
        ({"n_mels": 40}, {"mel": {"mel": {"n_mels": 64}}}),
        ({"n_mels": 40}, {"mel.mel.n_mels": 64}),
        ({"mel.mel.n_mels": 40}, {"n_mels": 64}),
    ],
)
def test_an_entrys_own_parameter_goes_before_defaults(entry, defaults):
    values = {"name": "a", "features": [{"family": "mfcc", **entry}]}
    expected = FeatureSpec.from_dict(values).fingerprint
    assert FeatureSpec.from_dict({**values, "defaults": defaults}).fingerprint == expected


def test_one_default_of_the_separation_is_changed_by_either_spelling():
    changes = [{"hpss": {"window": "hamming"}}, {"hpss.window": "hamming"}]
    one, other = (
        featurelib.spec_from_settings({"preset": "gtzan-v1", "defaults": change})
        for change in changes
    )
    assert one.fingerprint == other.fingerprint
    [harmony] = [entry for entry in one.features if entry.name == "harmony"]
    [samples] = samples_of(harmony.feature)
    assert (samples.hpss.length, samples.hpss.stft.window) == ("frames", "hamming")


def test_numbers_of_numpy_are_numbers():
    made = featurelib.feature("mfcc", n_mfcc=np.int64(13), fmin=np.float32(20))
    assert made == featurelib.feature("mfcc", n_mfcc=13, fmin=20.0)
    values = {"name": "a", "features": ["rms"]}
    assert FeatureSpec.from_dict({**values, "sr": np.int32(16_000)}) == FeatureSpec.from_dict(
        {**values, "sr": 16_000}
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Entry(feature="mfcc"), "'mfcc' is no feature"),
        (lambda: Entry(feature=MFCC(), name=5), "name=5 is no name"),
        (lambda: FeatureSpec(name="a", features=Entry(feature=MFCC())), "give a list"),
        (lambda: FeatureSpec(name="a", features=["mfcc"]), "'mfcc' is not an Entry"),
        (
            lambda: FeatureSpec(name="a", features=[Entry(feature=MFCC())], imports="x.py"),
            "imports='x.py': give a list",
        ),
        (lambda: Entry(feature=MFCC(), statistics={"mean", "std"}), "is not a list of names"),
        (lambda: Entry(feature=MFCC(), statistics={"mean": 1}), "is not a list of names"),
        (lambda: Entry(feature=MFCC(), pooled=True, columns=""), "no name"),
        (lambda: Entry(feature=MFCC(), columns="{row:" + 5000 * "9" + "}"), "widths are at most"),
        (lambda: featurelib.preset_description("genre-v9"), "unknown preset 'genre-v9'"),
        (
            lambda: FeatureSpec.from_dict(
                {"name": "a", "features": [{"family": "rms", "n_ftf": {}}]}
            ),
            "unknown parameter 'n_ftf'",
        ),
    ],
)
def test_slips_are_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_a_feature_that_no_other_process_can_make_is_told():
    class Own(MFCC):
        family = "own"

    spec = FeatureSpec(name="a", features=[Entry(feature=Own())])
    for use in (spec.to_dict, lambda: pickle.dumps(spec)):
        with pytest.raises(SpecError, match="put its class into a Python file"):
            use()
