from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from typing import Any

import librosa
import numpy as np
import pytest

import featurelib
from featurelib import (
    PRESETS,
    Entry,
    FeatureSpec,
    Level,
    SpecError,
    families,
    get_spec,
    spec_differences,
    spec_from_settings,
)
from featurelib.features.delta import Delta
from featurelib.features.mfcc import MFCC
from featurelib.features.rms import RMS
from featurelib.graph import Signal

GENRE = get_spec("genre-v1")

#: Another valid value of every field that defines values.
CHANGES = {
    "features": (Entry(feature=RMS()),),
    "sr": 44_100,
    "offset": 1.5,
    "duration": 12.5,
    "channels": "each",
    "level": Level(kind="segment", length_s=3.0),
}

#: Another valid value of every field of an entry, and the field's key in settings.
ENTRY_CHANGES: dict[str, dict[str, Any]] = {
    "feature": {"n_mfcc": 13},
    "statistics": {"statistics": ["mean", "median"]},
    "name": {"as": "cepstrum"},
    "columns": {"columns": "{name}{row}_{stat}"},
    "pooled": {"pooled": True},
}

#: Another valid value of every parameter of a family.
PARAMETERS = {
    "n_fft": 1024,
    "hop_length": 256,
    "window": "hamming",
    "center": False,
    "pad_mode": "reflect",
    "p": 3.0,
    "roll_percent": 0.9,
    "n_mels": 64,
    "n_mfcc": 13,
    "top_db": 60.0,
    "n_bands": 5,
    "fmin": 150.0,
    "fmax": 4000.0,
    "quantile": 0.05,
    "n_chroma": 24,
    "bins_per_octave": 24,
    "delta_width": 7,
    "order": 2,
}


def entry_of(family: str, **changes: Any) -> FeatureSpec:
    """A spec of one family and the entries that it reads."""
    entry: dict[str, Any] = {"family": family, **changes}
    first = ["mfcc"] if family == "delta" else []
    if family == "delta":
        entry["of"] = "mfcc"
    return spec_from_settings({"features": [*first, entry]})


def parameters_of(family: str) -> list[str]:
    """Parameters of a family, as in `FeatureSpec.to_dict`."""
    keys = entry_of(family).to_dict()["features"][-1]
    return [key for key in keys if key not in ("family", "of", "as", *ENTRY_CHANGES)]


ALL_PARAMETERS = [(family, key) for family in families() for key in parameters_of(family)]


def round_trip(spec: FeatureSpec) -> FeatureSpec:
    # JSON objects may come back with another order of keys, lists may not.
    values = json.loads(json.dumps(spec.to_dict(), sort_keys=True))
    return FeatureSpec.from_dict(values, sources=spec.sources)


def assert_differs(before: FeatureSpec, after: FeatureSpec, prefix: str) -> None:
    """Assert that two specs and their fingerprints differ, by one value with this prefix."""
    assert after.fingerprint != before.fingerprint
    assert round_trip(after) == after
    assert round_trip(after).fingerprint == after.fingerprint
    assert pickle.loads(pickle.dumps(after)) == after
    lines = spec_differences(before.to_dict(), after.to_dict())
    assert lines
    assert all(line.startswith(prefix) for line in lines)


def test_every_field_is_covered():
    fields = {field.name for field in dataclasses.fields(FeatureSpec)}
    assert {*CHANGES, "name", "imports"} == fields
    assert set(ENTRY_CHANGES) == {field.name for field in dataclasses.fields(Entry)}
    assert {key for _, key in ALL_PARAMETERS} == set(PARAMETERS)


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_is_in_the_fingerprint_and_survives_json(field):
    assert_differs(GENRE, dataclasses.replace(GENRE, **{field: CHANGES[field]}), field)


@pytest.mark.parametrize("field", ENTRY_CHANGES)
def test_every_field_of_an_entry_is_in_the_fingerprint_and_survives_json(field):
    after = entry_of("mfcc", **ENTRY_CHANGES[field])
    # An entry with another name is another entry.
    prefix = "features: with" if field == "name" else f"mfcc.{next(iter(ENTRY_CHANGES[field]))}: "
    assert_differs(entry_of("mfcc"), after, prefix)


@pytest.mark.parametrize(("family", "key"), ALL_PARAMETERS)
def test_every_parameter_is_in_the_fingerprint_and_survives_json(family, key):
    after = entry_of(family, **{key: PARAMETERS[key]})
    assert_differs(entry_of(family), after, f"{family}.{key}: ")


def test_imported_code_is_in_the_fingerprint_and_survives_json(tmp_path):
    specs = []
    for factor in (2, 3):
        (tmp_path / "mine.py").write_text(_IMPORTED.format(factor=factor))
        settings = {"import": ["mine.py"], "features": ["loudness"]}
        specs.append(spec_from_settings(settings, tmp_path))
    assert_differs(*specs, "import: ")


_IMPORTED = """
from dataclasses import dataclass
from typing import ClassVar

from featurelib import Feature
from featurelib.graph import Block, Blockwise
from featurelib.features.rms import RMS
from featurelib.transforms.frames import Frames


@dataclass(frozen=True, kw_only=True)
class Loudness(Feature):
    family: ClassVar[str] = "loudness"

    frames: Frames = Frames()

    def inputs(self):
        return (RMS(frames=self.frames),)

    def operator(self, sr):
        return Blockwise(lambda block: Block({factor} * block.x, block.n_frames))
"""


def test_name_is_not_in_the_fingerprint_nor_a_difference():
    other = dataclasses.replace(GENRE, name="mine")
    assert other.fingerprint == GENRE.fingerprint
    assert spec_differences(GENRE.to_dict(), other.to_dict()) == []


def test_fingerprint_has_the_version_of_all_that_comes_before_the_features(monkeypatch):
    monkeypatch.setattr(Signal, "version", Signal.version + 1)
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
    a, b = entry_of("mfcc", top_db=80), entry_of("mfcc", top_db=80.0)
    assert a.fingerprint == b.fingerprint == entry_of("mfcc").fingerprint


def test_order_of_families_is_part_of_a_spec():
    backwards = dataclasses.replace(GENRE, features=GENRE.features[::-1])
    assert backwards.fingerprint != GENRE.fingerprint
    (line,) = spec_differences(GENRE.to_dict(), backwards.to_dict())
    assert line.startswith("features: order rms, ")


def test_differences_name_fields_and_entries():
    features = [entry.name for entry in GENRE.features]
    features[-2:] = [{"family": "stft_db", "statistics": ["mean"]}]
    other = spec_from_settings(
        {"preset": "genre-v1", "duration": 30, "features": ["mfcc", *features[:2], *features[-1:]]}
    )
    lines = spec_differences(GENRE.to_dict(), other.to_dict())
    removed = [entry.name for entry in GENRE.features if entry.name not in _names(other)]
    assert lines == [
        "duration: null → 30.0",
        *(f"features: without {name}" for name in removed),
        'stft_db.statistics: ["mean", "std"] → ["mean"]',
    ]
    assert spec_differences(entry_of("rms").to_dict(), entry_of("rms", n_fft=1024).to_dict()) == [
        "rms.n_fft: 2048 → 1024"
    ]


def _names(spec: FeatureSpec) -> list[str]:
    return [entry.name for entry in spec.features]


def test_differences_with_fields_that_only_one_side_has():
    a = {**GENRE.to_dict(), "window": "hann"}
    b = {key: value for key, value in a.items() if key != "window"} | {"novel": 3}
    assert spec_differences(a, b) == ["window: hann → (absent)", "novel: (absent) → 3"]
    one, other = entry_of("rms").to_dict(), entry_of("rms").to_dict()
    other["features"][0]["novel"] = 3
    assert spec_differences(one, other) == ["rms.novel: (absent) → 3"]


def defaults(**values: Any) -> dict[str, Any]:
    return {"defaults": values}


def entry(**values: Any) -> dict[str, Any]:
    return {"features": [values]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sr": 500}, ["sr=500", "1000"]),
        ({"sr": 22050.5}, ["sr=22050.5", "whole number", "native"]),
        ({"sr": True}, ["sr=True"]),
        ({"sr": "nativ"}, ["sr='nativ'", "native"]),
        (defaults(n_fft=2047), ["n_fft=2047", "even"]),
        (defaults(n_fft=0), ["n_fft=0"]),
        (defaults(n_fft=131_072), ["n_fft=131072"]),
        (defaults(n_fft=2048.0), ["n_fft=2048.0", "whole number"]),
        (defaults(hop_length=4096), ["rms", "hop_length=4096", "n_fft=2048"]),
        (defaults(hop_length=-1), ["hop_length=-1"]),
        (defaults(window="han"), ["window='han'", "hann"]),
        (defaults(pad_mode="wrap"), ["pad_mode='wrap'", "constant"]),
        (defaults(center=1), ["center=1"]),
        ({"duration": 0}, ["duration=0"]),
        ({"duration": float("inf")}, ["duration=inf"]),
        ({"duration": "30"}, ["duration='30'"]),
        ({"duration": 1e305}, ["duration=1e+305", "too large"]),
        ({"offset": -1}, ["offset=-1"]),
        ({"channels": "left"}, ["channels='left'", "mix"]),
        ({"level": "segments"}, ["level", "'segments'", "segment"]),
        ({"level": {"length_s": -1}}, ["level", "length_s=-1"]),
        ({"level": {"lenght_s": 1}}, ["level", "'lenght_s'", "did you mean 'length_s'"]),
        (defaults(top_db=10**400), ["top_db=1000", "too large"]),
        (defaults(n_bands=2000), ["n_bands", "at most 6"]),
        (
            {
                "features": [
                    {
                        "family": "mfcc",
                        "n_mels": 8192,
                        "n_mfcc": 8192,
                        "statistics": ["mean", "std", "var"],
                    }
                ]
            },
            ["mfcc", "8192 rows", "20000 columns"],
        ),
        (defaults(n_chroma=10**9), ["chroma_stft", "n_chroma=1000000000", "at most 1200"]),
        (defaults(roll_percent=1.0), ["spectral_rolloff", "roll_percent=1.0"]),
        (defaults(roll_percent=0), ["roll_percent=0"]),
        (defaults(quantile=1), ["spectral_contrast", "quantile=1"]),
        (defaults(n_mels=10), ["mfcc", "n_mfcc=20", "n_mels=10"]),
        (defaults(n_mel=64), ["defaults", "'n_mel'", "did you mean 'n_mels'"]),
        ({"defaults": ["n_mels"]}, ["defaults=['n_mels']"]),
        (defaults(columns="{name}{row}"), ["rms", "{name}{row}", "several columns", "{stat}"]),
        (defaults(columns="{nam}"), ["rms", "{nam}", "{name}, {row} and {stat}"]),
        (defaults(columns="{name.__class__}{stat}"), ["rms", "{name}, {row} and {stat} only"]),
        (defaults(columns="{row:{row}}{stat}"), ["rms", "no template", "{row:{row}}"]),
        (defaults(columns="{name}{stat:9999999999}"), ["rms", "at most 99"]),
        ({"features": [{"family": ["rms"]}]}, ["unknown family ['rms']", "rms"]),
        (
            {"features": ["rms", {"family": "delta", "of": ["rms"]}]},
            ["delta: of=['rms'] is no earlier entry", "there are rms"],
        ),
        (defaults(columns="{stat}{row}"), ["rms", "zero_crossing_rate", "'mean'", "columns"]),
        (entry(family="rms", pooled=True), ["pooled", "rms"]),
        (entry(family="mfcc", pooled="mfcc"), ["pooled='mfcc'", "true or false"]),
        ({"name": ""}, ["name=''"]),
        ({"features": ()}, ["features"]),
        ({"features": "rms"}, ["features", "rms"]),
        ({"features": {"rms": ["mean"]}}, ["features", "rms", "list"]),
        ({"features": [["rms", ["mean"]]]}, ["features", "['rms', ['mean']]"]),
        (entry(statistics=["mean"]), ["features", "lacks 'family'", "mfcc"]),
        (entry(family="mfc"), ["'mfc'", "did you mean 'mfcc'"]),
        (entry(family="mfcc", n_mfc=13), ["mfcc", "'n_mfc'", "did you mean 'n_mfcc'"]),
        (entry(family="rms", n_mels=13), ["rms", "'n_mels'", "n_fft"]),
        (entry(family="rms", **{"as": ""}), ["rms", "as=''"]),
        (entry(family="rms", **{"as": 3}), ["rms", "as=3"]),
        (entry(family="rms", statistics=["men"]), ["rms", "'men'", "did you mean 'mean'", "q25"]),
        (entry(family="rms", statistics=()), ["rms", "statistic"]),
        (entry(family="rms", statistics="mean"), ["rms", "'mean'", "list"]),
        (entry(family="rms", statistics=["mean", "mean"]), ["rms", "twice"]),
        ({"features": ["rms", "rms"]}, ["rms", "twice", "as = "]),
        (entry(family="tuning", statistics=["mean"]), ["tuning", "statistics = []"]),
        (entry(family="stft", statistics=["median"]), ["stft", "median", "duration", "segments"]),
        (entry(family="delta"), ["delta", "of = "]),
        (entry(family="rms", of="mfcc"), ["rms", "of='mfcc'", "signal"]),
        (
            {"features": ["mfcc", {"family": "delta", "of": "mfc"}]},
            ["delta", "of='mfc'", "did you mean 'mfcc'"],
        ),
        ({"features": [{"family": "delta", "of": "mfcc"}, "mfcc"]}, ["of='mfcc'", "no earlier"]),
        ({"features": ["tuning", {"family": "delta", "of": "tuning"}]}, ["delta", "one value"]),
        (
            {"features": ["mfcc", {"family": "delta", "of": "mfcc", "delta_width": 4}]},
            ["delta", "delta_width=4", "odd"],
        ),
        (
            {"features": ["mfcc", {"family": "delta", "of": "mfcc", "delta_width": 3, "order": 3}]},
            ["delta", "order=3", "delta_width=3"],
        ),
        (entry(family="mfcc", fmin=500, fmax=400), ["mfcc", "fmin=500", "fmax=400"]),
        (entry(family="mfcc", fmin=12_000), ["mfcc", "fmin=12000", "sr=22050"]),
        ({"sr": 8000}, ["spectral_contrast", "sr=8000", "n_bands", "at most 5"]),
        (defaults(n_fft=64, hop_length=32), ["spectral_contrast", "n_fft=64"]),
        ({"import": "mine.py"}, ["import='mine.py'", "list"]),
        ({"import": ["nowhere/mine.py"]}, ["import", "nowhere/mine.py", "No such file"]),
    ],
    ids=str,
)
def test_values_that_cannot_be_used_are_named(changes, words):
    with pytest.raises(SpecError) as caught:
        spec_from_settings({"preset": "genre-v1", **changes})
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
        spec_from_settings({"preset": "genre-v1", "sr": sr, "defaults": {"n_bands": n_bands}})
        ours_can = True
    except SpecError:
        ours_can = False
    assert ours_can == librosa_can


def test_contrast_bounds_do_not_concern_specs_without_it():
    assert spec_from_settings({"sr": 4000, "features": ["rms"]}).sr == 4000


def test_unknown_fields_are_named_with_the_closest():
    with pytest.raises(SpecError, match=r"'duratoin'.*did you mean 'duration'\?"):
        FeatureSpec.from_dict({**GENRE.to_dict(), "duratoin": 256})
    with pytest.raises(SpecError, match=r"'hop_lenght'.*did you mean 'hop_length', in.*defaults\?"):
        FeatureSpec.from_dict({**GENRE.to_dict(), "hop_lenght": 256})
    with pytest.raises(SpecError, match=r"'n_fft'.*goes into an entry of features.*defaults"):
        FeatureSpec.from_dict({**GENRE.to_dict(), "n_fft": 256})
    with pytest.raises(SpecError, match=r"'xyz'.*there are name, sr, offset"):
        FeatureSpec.from_dict({**GENRE.to_dict(), "xyz": 256})
    with pytest.raises(SpecError, match="lacks 'features'"):
        FeatureSpec.from_dict({"name": "x"})


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
    assert set(PRESETS) == {"genre-v1", "tutorial-v1"}
    for name, spec in PRESETS.items():
        assert spec.name == name
        assert get_spec(name) is spec
    assert get_spec(GENRE) is GENRE
    with pytest.raises(SpecError, match=r"'genre-v2'.*did you mean 'genre-v1'.*tutorial-v1"):
        get_spec("genre-v2")


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
