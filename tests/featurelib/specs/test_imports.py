"""Features that users define in Python files."""

from __future__ import annotations

import pickle
import tomllib

import librosa
import numpy as np
import pytest

from featurelib import FeatureSpec, SpecError, describe, extract_columns, spec_from_settings
from tests.featurelib.support.signals import chord, encode
from tests.support import own_features


def spec_in(folder, source: str = own_features.SOURCE) -> FeatureSpec:
    config = own_features.write(folder, source)
    return spec_from_settings(tomllib.loads(config.read_text())["spec"], folder)


def test_an_own_feature_is_computed(tmp_path):
    y = chord()
    row = extract_columns(encode(y), spec_in(tmp_path))
    expected = 2 * np.abs(librosa.stft(y)).max()
    assert row["spectral_max_max"][0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("statistic", ["mean", "median", "series"])
@pytest.mark.parametrize("values", ["max(axis=1)", "copy()"], ids=["none a frame", "too many"])
def test_values_of_another_width_are_refused(tmp_path, values, statistic):
    source = own_features.SOURCE.replace("max(axis=1)[:, None]", values)
    config = own_features.CONFIG.replace('["max"]', f'["{statistic}"]')
    own_features.write(tmp_path, source)
    spec = spec_from_settings(tomllib.loads(config)["spec"], tmp_path)
    with pytest.raises(SpecError, match=r"width 1 gives values of the shape \(\d+"):
        extract_columns(encode(chord()), spec)


def test_it_is_described_like_others(tmp_path):
    column = describe(spec_in(tmp_path))[-1]
    assert column.name == "spectral_max_max"
    assert "largest magnitude" in column.definition


def test_its_source_is_in_the_fingerprint(tmp_path):
    first, again = spec_in(tmp_path), spec_in(tmp_path)
    changed = spec_in(tmp_path, own_features.SOURCE + "\n# the same, with a comment\n")
    assert first.fingerprint == again.fingerprint
    assert changed.fingerprint != first.fingerprint


def test_two_versions_live_side_by_side(tmp_path):
    y = encode(chord())
    first = spec_in(tmp_path)
    other = spec_in(tmp_path, own_features.SOURCE.replace("self.gain *", "10 * self.gain *"))
    values = [extract_columns(y, spec)["spectral_max_max"][0] for spec in (first, other, first)]
    assert values[1] == pytest.approx(10 * values[0])
    assert values[2] == values[0]


def test_a_spec_is_made_again_of_its_dictionary_and_its_sources(tmp_path):
    spec = spec_in(tmp_path)
    again = FeatureSpec.from_dict(spec.to_dict(), sources=spec.sources)
    assert again.fingerprint == spec.fingerprint
    assert pickle.loads(pickle.dumps(spec)).fingerprint == spec.fingerprint


def test_a_dictionary_alone_runs_nothing(tmp_path):
    spec = spec_in(tmp_path)
    with pytest.raises(SpecError, match=r"'own\.py', whose code is not at hand"):
        FeatureSpec.from_dict(spec.to_dict())
    digest = spec.to_dict()["import"][0]["sha256"]
    with pytest.raises(SpecError, match=r"'own\.py' is not the one"):
        FeatureSpec.from_dict(spec.to_dict(), sources={digest: "raise SystemExit"})


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1", "defines no subclass of Feature"),
        ("1 / 0", "fails with ZeroDivisionError"),
        ("import nowhere_to_be_found", "fails with ModuleNotFoundError"),
        ("def f(:", "fails with SyntaxError"),
        ("raise SystemExit(3)", "fails with SystemExit: 3"),
        (own_features.SOURCE.replace("spectral_max", "mfcc"), "'mfcc' is featurelib's own"),
    ],
    ids=["none", "fails", "missing", "syntax", "exits", "taken"],
)
def test_code_that_cannot_be_used_is_named(tmp_path, source, words):
    with pytest.raises(SpecError, match=words) as caught:
        spec_in(tmp_path, source)
    assert "own.py" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"cannot read .*none\.py.*No such file"):
        spec_from_settings({"import": ["none.py"], "features": ["rms"]}, tmp_path)
    with pytest.raises(SpecError, match="a list of Python files"):
        spec_from_settings({"import": "own.py", "features": ["rms"]}, tmp_path)


def test_two_files_may_not_define_the_same_family(tmp_path):
    for name, text in (("a.py", own_features.SOURCE), ("b.py", own_features.SOURCE + "# other")):
        (tmp_path / name).write_text(text)
    settings = {"features": ["spectral_max"]}
    with pytest.raises(SpecError, match=r"'b\.py' defines the family 'spectral_max'"):
        spec_from_settings({**settings, "import": ["a.py", "b.py"]}, tmp_path)
    spec_from_settings({**settings, "import": ["a.py", "a.py"]}, tmp_path)
