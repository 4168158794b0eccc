"""The commands that say what columns and families are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import featurelib
from jobs.cli import cli
from tests.support.light import run, write

README = Path(__file__).parents[3] / "README.md"

SEGMENTS = """\
[spec]
name = "segments"
level = { length_s = 3.0 }
features = ["rms", "mfcc"]
"""

SERIES = """\
[spec]
name = "frames"

[[spec.features]]
family = "mfcc"
statistics = ["series", "median"]
"""


def output(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    return result.output


def test_a_preset_is_described():
    text = output("describe", "tutorial-v1")
    assert text.startswith("channel  int32\n")
    assert "tutorial-v1: 26 feature columns, 21 of the file, one row a file" in text
    columns = json.loads(output("describe", "tutorial-v1", "--json"))
    assert [c["name"] for c in columns] == featurelib.schema("tutorial-v1").names


def test_a_settings_file_is_described(tmp_path):
    path = tmp_path / "segments.toml"
    path.write_text(SEGMENTS)
    text = output("describe", path)
    assert "one row a segment" in text
    assert "mfcc_20_std" in text
    assert "TMPDIR" not in text  # what is kept of a segment is little


def test_what_is_kept_on_disk_and_in_the_table_is_said(tmp_path):
    path = tmp_path / "frames.toml"
    path.write_text(SERIES)
    text = output("describe", path)
    spec = featurelib.spec_from_settings(
        {"features": [{"family": "mfcc", "statistics": ["series", "median"]}]}
    )
    frames_an_hour = 3600 * 22_050 / 512
    # 128 levels of the mel spectrum, and 20 coefficients for the median, of 4 bytes each.
    assert spec.spill_bytes_a_second() * 3600 == pytest.approx(frames_an_hour * 4 * 148)
    assert f"up to {frames_an_hour * 4 * 148 / 1e6:.0f} MB for each hour" in text
    assert f"series      {frames_an_hour * 80 / 1e6:.0f} MB" in text
    assert "list<float[20]>" in text


def test_a_table_is_described_as_it_was_made(tmp_path):
    write(tmp_path / "music" / "a.wav")
    run(tmp_path / "music", tmp_path / "table")
    text = output("describe", tmp_path / "table")
    assert "mfcc20" in text
    assert featurelib.get_spec("tutorial-v1").fingerprint in text
    columns = json.loads(output("describe", tmp_path / "table", "--json"))
    assert [c["name"] for c in columns] == featurelib.schema("tutorial-v1").names


def test_something_else_is_refused_with_the_presets(tmp_path):
    with pytest.raises(featurelib.SpecError, match=r"'genre'.*did you mean 'genre-v\d'"):
        output("describe", "genre")


def test_families_have_all_parameters_with_bounds():
    found = json.loads(output("families", "--json"))
    by_name = {family["family"]: family for family in found["families"]}
    assert set(by_name) == set(featurelib.families())
    mfcc = {p["name"]: p for p in by_name["mfcc"]["parameters"]}
    assert {"n_mfcc", "top_db", "n_mels", "fmin", "fmax", "n_fft", "window"} <= set(mfcc)
    assert (mfcc["n_mfcc"]["default"], mfcc["n_mfcc"]["bounds"]) == (20, "≥ 1")
    assert by_name["delta"]["parameters"][0]["name"] == "of"
    text = output("families")
    listed = text.partition("\n\n")[0]  # no empty line between two families
    assert [line.split()[0] for line in listed.splitlines() if line[0] != " "] == list(by_name)
    for word in ("spectral_contrast", "quantile", "kurtosis", "q25", "hop_length"):
        assert word in text


def test_the_readme_has_the_families():
    table = output("families", "--markdown").strip()
    assert table in README.read_text()


def test_the_readmes_settings_are_specs(tmp_path):
    """Every TOML block of the README can be described, with the feature that is shown there."""
    text = README.read_text()
    blocks = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 4
    [own] = re.findall(r"```python\n# my_features\.py\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "my_features.py").write_text(own)
    for i, block in enumerate(blocks):
        path = tmp_path / f"{i}.toml"
        path.write_text(block)
        assert "columns" in output("describe", path)
