"""Slips that new users make: each gets a line that says what they meant."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from jobs.cli import slips
from jobs.cli.extract import extract
from tests.support.audio_files import write_tone
from tests.support.light import FEATURELIB, invoke, run, write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("slips")
    for name in ("rock/a.wav", "rock/b.wav", "rock/c.wav", "jazz/d.wav"):
        write(top / "music" / name)
    return top


@pytest.fixture
def folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the working folder, where ``music`` is, and see that nothing comes into it."""
    monkeypatch.chdir(made)
    yield made
    assert [path.name for path in made.iterdir()] == ["music"]


WORKERS = "the number of worker processes is --workers N"
SPEC = "it belongs to the spec: set it below [spec] in a file, and give --config FILE.toml"
NO_CSV = (
    "--output is t.csv, but a table is a folder of Parquet files: give a name without .csv. To make"
    " one file of it: featurelib export t --output t.csv"
)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("extract music -o t -j 4", f"no such option '-j': {WORKERS}"),
        ("extract music -o t -j4", f"no such option '-j': {WORKERS}"),
        ("extract music -o t --jobs 4", f"no such option '--jobs': {WORKERS}"),
        ("extract music -o t --sr 16000", f"no such option '--sr': {SPEC}"),
        (
            "extract music -o t --force",
            "no such option '--force': to extract every file again, say --recompute",
        ),
        (
            "extract music t",
            "got unexpected extra argument (t): the table is given by an option: --output t",
        ),
        (
            "extract music/rock music/jazz -o t",
            (
                "got unexpected extra argument (music/jazz): a table has one corpus: give the"
                " folder above, and choose with --include 'FOLDER/*'"
            ),
        ),
        (
            "extract music/rock/a.wav music/rock/b.wav music/rock/c.wav -o t",
            (
                "got unexpected extra arguments (music/rock/b.wav music/rock/c.wav): the shell has"
                " replaced a pattern by the names of files: put the pattern in quotes, or give the"
                " folder and --include '*.wav'"
            ),
        ),
        (
            "show music/rock/a.wav music/rock/b.wav",
            (
                "got unexpected extra argument (music/rock/b.wav): it shows one file; for many, say"
                " featurelib extract FOLDER --output TABLE"
            ),
        ),
    ],
)
def test_options_and_arguments(folder: Path, line: str, text: str) -> None:
    command = line.split()[0]
    result = invoke(*line.split())
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"featurelib: {text} (see featurelib {command} --help)\n"


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        (
            "music -o t",
            2,
            (
                "there is no command 'music': to extract features, say featurelib extract music"
                " --output TABLE (see featurelib --help)"
            ),
        ),
        (
            "help",
            2,
            (
                "there is no command 'help': say featurelib --help, or featurelib COMMAND --help"
                " (see featurelib --help)"
            ),
        ),
        (
            "-V",
            2,
            "no such option '-V': the version is printed by --version (see featurelib --help)",
        ),
        *(
            (
                f"extract music -o t --labels {name}",
                2,
                (
                    f"--labels is '{name}': give parent, for the name of each file's folder,"
                    " name:PATTERN, for a part of its name, tag:NAME, for a tag such as tag:genre,"
                    " or a CSV, TSV or Parquet file"
                ),
            )
            for name in ("folder", "music", "genre")
        ),
        ("extract music -o t.csv", 2, NO_CSV),
        ("extract music -o t.csv --dry-run", 2, NO_CSV),
        (
            "extract '~/music' -o t",
            1,
            (
                "there is no folder ~/music: the shell replaces ~ only without quotes, at the start"
                " of a word"
            ),
        ),
        (
            "extract music -o '~/t'",
            2,
            (
                "--output is ~/t: the shell replaces ~ only without quotes, at the start of a word;"
                " write --output ~/…, or the whole path"
            ),
        ),
        (
            "extract s3:/bucket/music -o t",
            1,
            "there is no folder s3:/bucket/music: a URL has two slashes, as in s3://bucket/prefix",
        ),
        (
            "extract music -o t --worker-memory 2",
            2,
            "worker_memory is '2', which are bytes: give a unit, such as '2GB'",
        ),
        (
            "extract music -o t --config genre-v1",
            2,
            "genre-v1 is a preset, not a file: say --preset genre-v1",
        ),
        (
            "extract music -o t --preset my.toml",
            2,
            "my.toml is a file, not a preset: say --config my.toml",
        ),
        (
            "show music",
            2,
            (
                "music is a folder: give one of its files, or say featurelib extract music --output"
                " TABLE"
            ),
        ),
        (
            "describe music/rock/a.wav",
            2,
            "music/rock/a.wav is a file: featurelib show music/rock/a.wav shows it",
        ),
    ],
)
def test_names_and_values(folder: Path, line: str, code: int, text: str) -> None:
    result = invoke(*shlex.split(line))
    assert (result.returncode, result.stdout, result.stderr) == (code, "", f"featurelib: {text}\n")


def test_help_is_shown_whatever_else_is_wrong(folder: Path) -> None:
    result = invoke("extract", "a", "b", "c", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage: featurelib extract" in result.stdout


def test_an_unquoted_glob_in_a_shell(folder: Path) -> None:
    script = '"$0" extract music/*/*.wav --output t'
    result = subprocess.run(
        ["sh", "-c", script, FEATURELIB], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "put the pattern in quotes, or give the folder and --include '*.wav'" in result.stderr


def test_the_command_that_makes_csv_works(tmp_path: Path) -> None:
    write(tmp_path / "music" / "a.wav")
    run(tmp_path / "music", tmp_path / "t")
    command = NO_CSV.rpartition(": featurelib ")[2].split()
    subprocess.run([FEATURELIB, *command], cwd=tmp_path, check=True)
    assert list(pd.read_csv(tmp_path / "t.csv")["path"]) == ["a.wav"]


def test_no_hint_is_for_an_option_that_there_is() -> None:
    options = {name for parameter in extract.params for name in parameter.opts}
    assert not options & slips._OPTIONS.keys()


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (("--tls", "x"), "--tls x has no effect with --cluster inline: nobody connects"),
        (("--workers", "4"), "--workers 4 has no effect with --cluster inline: it has no workers"),
        (
            ("--worker-memory", "2GB"),
            "--worker-memory 2GB has no effect with --cluster inline: it is for local and ssh",
        ),
        (("--config", "CONFIG"), "[cluster] has no effect with --cluster inline"),
        ((), None),
    ],
)
def test_options_without_effect(tmp_path: Path, options: tuple[str, ...], note: str | None) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("[cluster]\nmemory = '2GB'\n")
    options = tuple(option.replace("CONFIG", str(config)) for option in options)
    write_tone(tmp_path / "music" / "a.wav", seconds=0.3)
    line = ("extract", tmp_path / "music", "-o", tmp_path / "t", "--cluster", "inline", *options)
    for more in (["--dry-run"], []):
        result = invoke(*line, "--preset", "tutorial-v1", "--json", *more)
        assert json.loads(result.stdout)["notes"] == ([note] if note else [])
