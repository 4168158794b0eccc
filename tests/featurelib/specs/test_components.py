"""Features of the harmonic or percussive component, in specs."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import ClassVar

import pytest

import featurelib
from featurelib import Feature, FeatureSpec, SpecError, spec_from_settings
from featurelib.features.rms import RMS
from featurelib.graph import reading, samples_of
from featurelib.specs.entry import Entry
from featurelib.transforms.frames import Frames
from featurelib.transforms.hpss import HPSS, Harmonic, Percussive
from featurelib.transforms.stft import STFT

_MINE = """
from dataclasses import dataclass
from typing import ClassVar

from featurelib import Feature
from featurelib.features.rms import RMS
from featurelib.graph import Block, Blockwise


@dataclass(frozen=True, kw_only=True)
class Loudness(Feature):
    family: ClassVar[str] = "loudness"

    def inputs(self):
        return (RMS(),)

    def operator(self, sr):
        return Blockwise(lambda block: block)
"""


def one(**entry) -> FeatureSpec:
    return spec_from_settings({"features": [{"family": "rms", **entry}]})


@pytest.mark.parametrize(("name", "kind"), [("harmonic", Harmonic), ("percussive", Percussive)])
def test_a_feature_of_a_component_reads_it_everywhere(name, kind):
    entries = [{"family": f, "of": name} for f in ("chroma_stft", "rms", "spectral_bandwidth")]
    spec = spec_from_settings({"features": entries})
    for entry in spec.features:
        assert samples_of(entry.feature) == {kind()}
    assert spec.features[1].feature == RMS(frames=Frames(signal=kind()))


def test_the_signal_is_the_default_and_can_be_named():
    assert one(of="signal") == one()
    assert one().fingerprint != one(of="harmonic").fingerprint


def test_an_entry_with_the_name_of_a_component_goes_first():
    entries = [
        {"family": "mfcc", "as": "harmonic"},
        {"family": "delta", "of": "harmonic"},
        {"family": "rms", "of": "percussive"},
    ]
    spec = spec_from_settings({"features": entries})
    assert spec.features[1].feature.of == spec.features[0].feature
    assert FeatureSpec.from_dict(spec.to_dict()) == spec


def test_parameters_of_the_separation_have_a_prefix():
    spec = one(of="harmonic", n_fft=1024, **{"hpss.n_fft": 4096, "hpss.length": "frames"})
    (entry,) = spec.features
    hpss = HPSS(stft=STFT(frames=Frames(n_fft=4096)), length="frames")
    assert entry.feature == RMS(frames=Frames(n_fft=1024, signal=Harmonic(hpss=hpss)))
    nested = one(of="harmonic", n_fft=1024, hpss={"n_fft": 4096, "length": "frames"})
    assert nested == spec
    assert spec.fingerprint != one(of="harmonic", n_fft=1024).fingerprint


def test_specs_with_components_survive_json_and_pickle():
    spec = one(of="percussive", hpss={"window": "hamming", "pad_mode": "reflect"})
    for other in (FeatureSpec.from_dict(spec.to_dict()), pickle.loads(pickle.dumps(spec))):
        assert other == spec
        assert other.fingerprint == spec.fingerprint
    table = spec.to_dict()["features"][0]
    assert table["of"] == "percussive"
    assert table["hpss.window"] == "hamming"
    assert "window" not in table


def test_defaults_of_the_separation_concern_entries_of_components_only():
    table = {
        "features": ["rms", {"family": "rms", "of": "harmonic", "as": "soft"}],
        "defaults": {"hpss.pad_mode": "reflect"},
    }
    plain, soft = spec_from_settings(table).features
    assert plain.feature == RMS()
    (samples,) = samples_of(soft.feature)
    assert isinstance(samples, Harmonic)
    assert samples.hpss.stft.frames.pad_mode == "reflect"
    assert soft.feature.frames.pad_mode == "constant"
    with pytest.raises(SpecError, match=r"defaults: no feature has 'hpss\.pad_mode'"):
        spec_from_settings({**table, "features": ["rms"]})


def test_what_makes_no_sense_is_refused(tmp_path):
    for table, message in [
        ({"of": "harmonics"}, r"rms: of='harmonics': 'rms' is of the signal, or of its component"),
        (
            {"of": "harmonic", "hpss.n_ftt": 4096},
            r"unknown parameter 'n_ftt'; did you mean 'n_fft'",
        ),
        ({"hpss.n_fft": 4096}, r"unknown parameter 'hpss\.n_fft'"),
        ({"of": "harmonic", "hpss.length": "all"}, r"length='all': there are signal, frames"),
    ]:
        with pytest.raises(SpecError, match=message):
            one(**table)
    (tmp_path / "mine.py").write_text(_MINE)
    mine = {"import": ["mine.py"], "features": [{"family": "loudness", "of": "harmonic"}]}
    with pytest.raises(SpecError, match="of='harmonic': 'loudness' is of the signal"):
        spec_from_settings(mine, tmp_path)


@dataclass(frozen=True, kw_only=True)
class Both(Feature):
    family: ClassVar[str] = "both"

    frames: Frames = Frames()
    others: Frames = Frames()


def test_a_feature_of_several_samples_is_refused():
    assert samples_of(reading(Both(), Harmonic())) == {Harmonic()}
    mixed = Both(others=Frames(signal=Percussive()))
    with pytest.raises(SpecError, match="both: 'both' reads the signal and a component of it"):
        Entry(feature=mixed)


def test_columns_say_of_which_component_they_are():
    mean, _ = (c for c in featurelib.describe(one(of="harmonic")) if c.name.startswith("rms_"))
    assert mean.definition.endswith("; of the harmonic component")
    assert mean.librosa.startswith("mean of (lambda y: librosa.feature.rms(y=y, ")
    assert ")(librosa.istft(librosa.decompose.hpss(librosa.stft(y, " in mean.librosa
    assert mean.librosa.endswith("length=len(y)))[0]")


def test_features_from_keywords_are_those_of_tables():
    table = {"family": "rms", "of": "percussive", "n_fft": 1024, "hpss.length": "frames"}
    [entry] = FeatureSpec.from_dict({"name": "a", "features": [table]}).features
    made = featurelib.feature("rms", of="percussive", n_fft=1024, **{"hpss.length": "frames"})
    assert made == entry.feature
    for of, family in ((RMS(), "rms"), ("bass", "rms"), ("harmonic", "delta")):
        with pytest.raises(SpecError, match="of="):
            featurelib.feature(family, of=of)


def test_an_entry_may_be_called_like_its_component():
    names = [
        {"family": "waveform", "of": "harmonic", "as": "harmonic"},
        {"family": "rms", "of": "harmonic", "as": "level"},
    ]
    for order in (names, names[::-1]):
        spec = FeatureSpec.from_dict({"name": "a", "features": order})
        assert all(samples_of(entry.feature) == {Harmonic()} for entry in spec.features)
        assert pickle.loads(pickle.dumps(spec)) == spec
