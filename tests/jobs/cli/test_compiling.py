"""The command that compiles kernels ahead."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import featurelib
from jobs.cli import cli


@pytest.fixture
def warmed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand for kernels, two for each spec; give the names of the specs."""
    names: list[str] = []

    def warm_up(spec, *, on_compile):
        names.append(spec.name)
        for report in ((0, 0), (0, 2), (1, 2), (2, 2)):
            on_compile(*report)

    monkeypatch.setattr(featurelib, "warm_up", warm_up)
    return names


def test_all_presets_are_compiled(warmed: list[str]) -> None:
    done = CliRunner().invoke(cli, ["compile"])
    assert done.exit_code == 0
    assert warmed == list(featurelib.PRESETS)
    assert done.stdout == f"Kernels: {2 * len(warmed)} compiled in 0 s\n"
    assert done.stderr.count("compiling, once a machine: 2 kernels\n") == len(warmed)


def test_one_preset_as_json(warmed: list[str]) -> None:
    done = CliRunner().invoke(cli, ["compile", "--preset", "tutorial-v1", "--json"])
    assert warmed == ["tutorial-v1"]
    assert json.loads(done.stdout) == {"kernels": "compiled", "compiled": 2}
    assert done.stderr == ""


def test_a_spec_of_a_file(warmed: list[str], tmp_path) -> None:
    config = tmp_path / "spec.toml"
    config.write_text("[spec]\nfeatures = ['rms']\n")
    done = CliRunner().invoke(cli, ["compile", "--config", str(config), "--quiet"])
    assert (len(warmed), done.output) == (1, "")


def test_an_unknown_preset_is_refused(warmed: list[str]) -> None:
    done = CliRunner().invoke(cli, ["compile", "--preset", "nothing"])
    assert isinstance(done.exception, featurelib.SpecError)
    assert warmed == []


@pytest.mark.slow
def test_a_second_call_compiles_nothing() -> None:
    featurelib.warm_up("tutorial-v1")
    done = CliRunner().invoke(cli, ["compile", "--preset", "tutorial-v1"])
    assert (done.stdout, done.stderr) == ("Kernels: all on disk already\n", "")
