"""What a user can get wrong on the command line and in a settings file: one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.light import (
    invoke,
    write,
)
from tests.support.refusals import TUTORIAL, Place, refused


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def place(made: Place) -> Iterator[Place]:
    """Give a corpus and its table, and see that the table is not touched."""
    with made.untouched():
        yield made


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--preset", "gnre-v1"], ["unknown preset 'gnre-v1'", "did you mean 'genre-v1'?"]),
        (["--preset", "xyz"], ["unknown preset 'xyz'", "there are", "genre-v1", "tutorial-v1"]),
        (["--prest", "genre-v1"], ["--prest", "--preset"]),
        (["--limit", "many"], ["--limit", "'many'"]),
        (["--limit", "0"], ["limit is 0", "at least 1"]),
        (["--max-failed", "2"], ["max_failed is 2", "fraction from 0 to 1"]),
        (["--partition-by", "genre"], ["partition_by is 'genre'", "'label' or 'none'"]),
        (["--storage-option", "secret"], ["'secret' has no value", "key=value"]),
        (["--labels", "nowhere.csv"], ["--labels", "cannot find", "nowhere.csv"]),
        (["--config", "nowhere.toml"], ["cannot read nowhere.toml"]),
        (["--cluster"], ["--cluster", "requires an argument"]),
        (["more"], ["unexpected extra argument (more)", "--help"]),
    ],
)
def test_options(place: Place, options: list[str], parts: list[str]) -> None:
    result = invoke("extract", place.music, "-o", place.table, *options)
    refused(result, 2, *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["extrct"], ["there is no command 'extrct'", "did you mean 'extract'?"]),
        (["extract"], ["missing argument 'CORPUS'", "featurelib extract --help"]),
        (["extract", "x"], ["missing option", "--output"]),
        (["describe", "genre"], ["unknown preset 'genre'", "did you mean 'genre-v"]),
        (["--versin"], ["--versin", "--version"]),
    ],
)
def test_commands(arguments: list[str], parts: list[str]) -> None:
    refused(invoke(*arguments), 2, *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[run]\nlimit = ", ["is not TOML", "line 2"]),
        ("[run]\nlimt = 3", ["there is no setting 'limt'", "did you mean 'limit'?"]),
        ("[rum]\nlimit = 3", ["there is no table [rum]", "[spec], [run] and [cluster]"]),
        ("[run]\nlimit = 'x'", ["limit is 'x'", "whole number"]),
        ("[spec]\npreset = 'genre-v1'\nn_fft = 2048", ["'n_fft'", "or into defaults"]),
        (
            "[spec]\npreset = 'genre-v1'\n[spec.defaults]\nn_ffft = 2048",
            ["no feature has 'n_ffft'", "did you mean 'n_fft'?"],
        ),
        ("[spec]\npreset = 'genre-v1'\n[spec.defaults]\nn_fft = 'x'", ["n_fft='x'"]),
        ("[spec]\nfeatures = ['mfc']", ["unknown family 'mfc'", "did you mean 'mfcc'?"]),
        ("[spec]\nfeatures = ['mfcc']\nlevel = { lenght_s = 3 }", ["did you mean 'length_s'?"]),
        ("[spec]\nfeatures = ['mfcc']\nimport = ['none.py']", ["import", "none.py"]),
    ],
)
def test_settings_files(place: Place, tmp_path: Path, text: str, parts: list[str]) -> None:
    file = write(tmp_path / "settings.toml", text + "\n")
    result = invoke("extract", place.music, "-o", place.table, "--config", file)
    refused(result, 2, *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("path,label\na,b,c\n", ["cannot be read"]),
        ("path,genre\nrock/a.wav,x\n", ["has no column 'label'", "path, genre"]),
        ("path,label\npop/a.wav,x\n", ["it has 'pop/a.wav', and the corpus has '"]),
    ],
)
def test_label_files(place: Place, tmp_path: Path, text: str, parts: list[str]) -> None:
    file = write(tmp_path / "labels.csv", text)
    result = invoke("extract", place.music, "-o", tmp_path / "t", *TUTORIAL, "--labels", file)
    refused(result, 2, "labels.csv", *parts)
    assert not (tmp_path / "t" / "features").exists()


@pytest.mark.parametrize("name", ["status", "errors"])
def test_looking_where_there_is_no_table(name: str, tmp_path: Path) -> None:
    refused(invoke(name, tmp_path / "t"), 1, f"there is no table at {tmp_path}/t", "extract")
    assert not (tmp_path / "t").exists()


def test_showing_what_cannot_be_shown(tmp_path: Path) -> None:
    refused(invoke("show", tmp_path / "none.wav"), 1, "cannot read", "none.wav", "No such file")
    refused(invoke("show", tmp_path), 2, "is a folder", f"featurelib extract {tmp_path} --output")
    refused(invoke("show", write(tmp_path / "text.mp3")), 1, "text.mp3", "undecodable")
    refused(invoke("show", write(tmp_path / "empty.wav", "")), 1, "empty.wav", "empty")


def test_debug_shows_the_traceback(place: Place, tmp_path: Path) -> None:
    result = invoke("extract", tmp_path / "nowhere", "-o", place.table, "--debug")
    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("featurelib: there is no folder")


def test_names_in_messages_do_not_steer_the_terminal(place: Place, tmp_path: Path) -> None:
    name = tmp_path / "\x1b(0red\n\udcff"
    refused(invoke("extract", name, "-o", place.table), 1, r"\x1b(0red", r"\udcff")
    refused(invoke("status", name), 1, r"\x1b(0red")
