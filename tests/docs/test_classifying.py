"""The commands of docs/classifying.md lead from a folder of music to a confusion matrix."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
from PIL import Image

from jobs.cli import cli
from jobs.demo.synthesize import synthesize_corpus
from tests.docs.commands import shell
from tests.docs.markdown import code_blocks, titled

DOCUMENT = "docs/classifying.md"

COMMANDS = [line for block in code_blocks(DOCUMENT, "sh") for line in block.text.splitlines()]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_command_can_be_parsed(line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "featurelib"
    with click.Context(cli, info_name=program) as context:
        name, command, rest = cli.resolve_command(context, arguments)
        assert command is not None
        command.make_context(name, rest, parent=context)


def test_the_journey_has_five_commands() -> None:
    names = [line.split()[1] for line in titled(DOCUMENT, "journey").splitlines()]
    assert names == ["plot", "spectrograms", "extract", "train", "report"]


def accuracy(text: str) -> float:
    [share] = re.findall(r"^By track: +accuracy ([\d.]+)", text, re.MULTILINE)
    return float(share)


@pytest.mark.slow
def test_the_journey(tmp_path: Path) -> None:
    """On the corpus of `make demo`, by the tutorial's network."""
    synthesize_corpus(tmp_path / "MUSIC")
    said = {}
    for line in titled(DOCUMENT, "journey").splitlines():
        said[line.split()[1]] = shell(line, tmp_path)
    with Image.open(tmp_path / "folk.png") as picture:
        assert picture.format == "PNG"
    assert len([*(tmp_path / "IMAGES").rglob("*.png")]) == 58
    assert (tmp_path / "MODEL.confusion.png").exists()
    assert accuracy(said["train"]) >= 0.95
    # the score that is shown; other processors round other digits
    shown = titled(DOCUMENT, "score")
    assert accuracy(shown) == pytest.approx(accuracy(said["train"]), abs=0.04)
    assert shown.splitlines()[:2] == said["train"].splitlines()[:2]
    assert "</html>" in (tmp_path / "report.html").read_text()

    (tmp_path / "NEWMUSIC").mkdir()
    shutil.copy(tmp_path / "MUSIC" / "jazz" / "jazz.00000.wav", tmp_path / "NEWMUSIC" / "song.wav")
    assert "jazz" in shell(titled(DOCUMENT, "predict"), tmp_path)
    assert "jazz" in (tmp_path / "predictions.csv").read_text()

    code = titled(DOCUMENT, "python") + "assert scores.mean() > 0.9, scores\n"
    (tmp_path / "script.py").write_text(code)
    shell("python script.py", tmp_path)
