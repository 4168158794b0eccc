"""The command spectrograms, as a user gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.jobs.images.corpora import assert_consistent, images, write_tones
from tests.support.light import command, invoke
from tests.support.refusals import refused


@pytest.fixture
def music(tmp_path: Path) -> Path:
    return write_tones(tmp_path / "music", "rock/a.wav", "pop/b.wav")


def test_it_makes_images_and_says_so(music: Path, tmp_path: Path) -> None:
    line = ("spectrograms", music, "-o", tmp_path / "out", "--labels", "parent")
    line = (*line, "--cluster", "inline", "--width", "20", "--height", "10")
    done = invoke(*line)
    assert done.returncode == 0, done.stderr
    assert "Done: 2 new" in done.stdout
    assert f"{tmp_path / 'out'}: 2 files with images, 0 failed" in done.stdout
    assert_consistent(tmp_path / "out", (20, 10))
    again = invoke(*line, "--json")
    assert json.loads(again.stdout)["planned"]["unchanged"] == 2


def test_the_style_of_the_tutorial(music: Path, tmp_path: Path) -> None:
    done = invoke(
        *("spectrograms", music, "-o", tmp_path / "out", "--labels", "parent"),
        *("--cluster", "inline", "--style", "tutorial", "--quiet"),
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert list(images(tmp_path / "out")) == ["pop/b.wav.png", "rock/a.wav.png"]
    assert Image.open(tmp_path / "out/images/rock/a.wav.png").size == (256, 256)


def test_a_dry_run_writes_nothing(music: Path, tmp_path: Path) -> None:
    done = invoke("spectrograms", music, "-o", tmp_path / "out", "--dry-run")
    assert "2  new" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_workers_make_images(music: Path, tmp_path: Path) -> None:
    done = command(
        *("spectrograms", music, "-o", tmp_path / "out", "--workers", "1", "--width", "16"),
        *("--height", "8"),
    )
    assert done.returncode == 0, done.stderr
    assert_consistent(tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--style", "tutoriel"], "style is 'tutoriel'; did you mean 'tutorial'?"),
        (["--style", "tutorial", "--scale", "mel"], "which has its own scale: leave scale out"),
        (["--scale", "bark"], "scale is 'bark'"),
        (["--scale", "linear", "--n-mels", "64"], "n_mels is of the mel scale"),
        (["--colormap", "magna"], "matplotlib has no such map; did you mean 'magma'?"),
        (["--width", "0"], "width is 0: give a number of pixels, 1 to 4096"),
        (["--height", "1.5"], "'1.5' is not a valid integer"),
        (["--top-db", "-3"], "top_db is -3.0: give a number of dB above 0"),
        (["--top-db", "loud"], "'loud' is neither a number nor 'auto'"),
        (["--duration", "0"], "duration is 0.0: give a number of seconds above 0"),
        (["--segment", "nan"], "segment is nan"),
        (["--segment", "3", "--last", "cut"], "last is 'cut'"),
        (["--last", "drop"], "last is about segments, and there is no segment"),
        (["--sr", "1"], "sr=1 must lie between 1000 and 1000000 Hz"),
        (["--hop-length", "5000"], "hop_length=5000 leaves samples out"),
        (["--widht", "3"], "--width"),
        (["--mono"], "no such option"),
        (["out"], "the table is given by an option: --output out"),
    ],
)
def test_slips_are_named(music: Path, tmp_path: Path, options: list[str], message: str) -> None:
    output = [] if options == ["out"] else ["-o", tmp_path / "out"]
    refused(invoke("spectrograms", music, *output, *options), 2, message)
    assert not (tmp_path / "out").exists()


def test_a_place_where_nothing_can_be_written(music: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o555)
    line = ("spectrograms", music, "-o", tmp_path / "closed" / "out", "--cluster", "inline")
    refused(command(*line, unprivileged=True), 1, "no permission for")
