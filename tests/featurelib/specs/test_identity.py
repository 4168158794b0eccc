"""When two specs are the same: fingerprints, differences, and the way through JSON."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from typing import Any

import pytest

from featurelib import (
    Entry,
    FeatureSpec,
    Level,
    families,
    spec_differences,
    spec_from_settings,
)
from featurelib.features.rms import RMS
from featurelib.graph import Signal
from tests.featurelib.support.specs import GENRE, entries_of, round_trip

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
    "win_length": 300,
    "fftbins": False,
    "p": 3.0,
    "roll_percent": 0.9,
    "n_mels": 64,
    "n_mfcc": 13,
    "top_db": 60.0,
    "n_bands": 5,
    "fmin": 150.0,
    "fmax": 4000.0,
    "quantile": 0.05,
    "n_bins": 100,
    "n_chroma": 24,
    "sr": 16_000,
    "bins_per_octave": 24,
    "n_octaves": 5,
    "win_len_smooth": 21,
    "delta_width": 7,
    "order": 2,
    "aggregate": "median",
    "start_bpm": 100.0,
    "std_bpm": 0.5,
    "max_tempo": 240.0,
    "ac_size": 6.0,
    "trough_threshold": 0.2,
}


#: Where the value above is the default of a family.
OF_FAMILY = {
    ("log_spectrogram", "center"): True,
    ("log_spectrogram", "fftbins"): True,
    ("tempo", "aggregate"): "mean",
}


def entry_of(family: str, **changes: Any) -> FeatureSpec:
    """A spec of one family and the entries that it reads."""
    return spec_from_settings({"features": entries_of(family, **changes)})


def parameters_of(family: str) -> list[str]:
    """Parameters of a family, as in `FeatureSpec.to_dict`."""
    keys = entry_of(family).to_dict()["features"][-1]
    return [key for key in keys if key not in ("family", "of", "as", *ENTRY_CHANGES)]


ALL_PARAMETERS = [(family, key) for family in families() for key in parameters_of(family)]


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
    after = entry_of(family, **{key: OF_FAMILY.get((family, key), PARAMETERS[key])})
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
