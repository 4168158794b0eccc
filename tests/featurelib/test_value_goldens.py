"""Values and defaults do not change without a new version."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from featurelib.features import stft
from tests.featurelib.support import value_goldens

RECORD = json.loads(value_goldens.RECORD.read_text())
CENTROID = "featurelib.features.spectral_centroid.SpectralCentroid"
MFCC = "featurelib.features.mfcc.MFCC"
MEL = "featurelib.transforms.mel.Mel"
SIGNAL = "featurelib.graph.Signal"


def test_values_and_defaults_are_as_recorded():
    problems = value_goldens.problems(RECORD, value_goldens.made())
    remedy = "then record: python -m tests.featurelib.support.value_goldens"
    assert not problems, "\n".join([*problems, remedy])


@pytest.mark.slow
def test_values_that_move_are_seen(monkeypatch):
    monkeypatch.setattr(stft, "_DB_PER_NEPER", stft._DB_PER_NEPER * np.float32(1.0001))
    first, *others = value_goldens.problems(RECORD, value_goldens.made())
    assert first.startswith("stft_db: stft_db_mean")
    assert "featurelib.features.stft.DbCells.version" in first
    assert [line.partition(":")[0] for line in others] == ["genre-v1", "genre-v2"]
    for line in others:
        assert ": stft_db_mean, stft_db_std moved" in line


@pytest.fixture
def found():
    return copy.deepcopy(RECORD)


def move(found, *specs: str) -> None:
    for name in specs:
        for value in found["specs"][name]["values"].values():
            value[0] = value[0] * (1 + 2e-5) + 2e-7 * value[1]


def readers(name: str) -> list[str]:
    """Specs that read a class."""
    return [spec for spec, facts in RECORD["specs"].items() if name in facts["classes"]]


def test_records_agree_with_themselves_and_with_their_rounding(found):
    for spec in found["specs"].values():
        for value in spec["values"].values():
            value[0] *= 1 + 5e-6
    assert value_goldens.problems(RECORD, found) == []


def test_the_class_that_moved_alone_is_named(found):
    move(found, *readers(CENTROID))
    lines = value_goldens.problems(RECORD, found)
    assert len(lines) == len(readers(CENTROID)) > 3
    for line in lines:
        assert f"{CENTROID}.version" in line
    assert lines[0].startswith("spectral_centroid: spectral_centroid_mean, ")
    assert f"({CENTROID}.version)" in lines[0]


def test_all_classes_that_may_have_moved_are_named(found):
    move(found, *readers(MFCC))
    line = value_goldens.problems(RECORD, found)[0]
    assert f"{MFCC}.version" in line
    for name in ("STFT", "Signal", "Moments"):
        assert name not in line


def test_a_preset_that_moved_alone_has_all_its_classes_to_look_at(found):
    move(found, "tutorial-v1")
    (line,) = value_goldens.problems(RECORD, found)
    assert f"{MFCC}.version" in line
    assert f"{SIGNAL}.version" in line


def test_a_version_that_was_raised_wants_a_new_record_only(found):
    move(found, *readers(CENTROID))
    found["classes"][CENTROID]["version"] += 1
    assert value_goldens.problems(RECORD, found) == [f"version raised: {CENTROID}"]


def test_a_changed_default_wants_another_version(found):
    found["classes"][MFCC]["defaults"]["n_mfcc"] = 13
    assert value_goldens.problems(RECORD, found) == [
        f"the default of {MFCC}.n_mfcc was 20 and is 13: raise {MFCC}.version"
    ]
    found["classes"][MFCC]["version"] += 1
    assert value_goldens.problems(RECORD, found) == [f"version raised: {MFCC}"]


def test_a_parameter_that_is_gone_wants_another_version(found):
    del found["classes"][MEL]["defaults"]["fmax"]
    assert value_goldens.problems(RECORD, found) == [f"{MEL}.fmax is gone: raise {MEL}.version"]


def test_a_new_parameter_wants_a_new_record_only(found):
    found["classes"][MEL]["defaults"]["htk"] = False
    assert value_goldens.problems(RECORD, found) == [f"{MEL}.htk is new"]


def test_new_families_and_columns_want_a_new_record(found):
    found["specs"]["novel"] = {"classes": [], "values": {}}
    assert value_goldens.problems(RECORD, found) == ["new or removed: novel"]
    del found["specs"]["novel"]
    del found["specs"]["rms"]["values"]["rms_mean"]
    (line,) = value_goldens.problems(RECORD, found)
    assert line.startswith("rms: rms_mean moved")


def test_a_preset_with_other_values_needs_a_new_name(found, tmp_path, monkeypatch):
    move(found, "genre-v1")
    (line,) = value_goldens.problems(RECORD, found)
    assert line.endswith(
        "the values of a preset never change: give the preset that has them a new name"
    )
    assert value_goldens.moved_presets(RECORD, found) == ["genre-v1"]
    del found["specs"]["tutorial-v1"]
    assert value_goldens.moved_presets(RECORD, found) == ["genre-v1", "tutorial-v1"]
    # A new preset and another family may be recorded.
    assert value_goldens.moved_presets({**RECORD, "specs": {}}, RECORD) == []

    path = tmp_path / "values.json"
    path.write_text(json.dumps(RECORD))
    monkeypatch.setattr(value_goldens, "made", lambda: found)
    with pytest.raises(SystemExit, match="genre-v1, tutorial-v1: the values of a preset"):
        value_goldens.record(path)
    assert json.loads(path.read_text()) == RECORD


def test_defaults_of_nodes_say_how_they_differ_from_their_class():
    # A default that is a node is recorded with its changed parameters only.
    assert RECORD["classes"][MFCC]["defaults"] == {
        "mel": ["featurelib.transforms.mel.MelDb", {}],
        "n_mfcc": 20,
    }
