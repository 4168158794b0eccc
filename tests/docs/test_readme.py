"""The commands and the Python code of the README are run, in their order, in one folder.

Placeholders such as MUSIC and FILE are a folder and a file of that name. Blocks of TOML are
tested in `tests.jobs.cli.test_describing`.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest

import featurelib
from jobs import extract_corpus
from tests.conftest import S3
from tests.docs.commands import shell
from tests.docs.markdown import TOP, CodeBlock, code_blocks
from tests.featurelib.support.encoders import made
from tests.support.audio_files import tone, write_tone

#: How blocks that are not run here begin, and why.
NOT_RUN = {
    "make demo": "installs packages; its targets are checked below",
    "make lint": "is this suite itself; its targets are checked below",
    "pip install": "installs packages",
    "export AWS_ACCESS_KEY_ID": "needs S3: has a test of its own",
    "featurelib extract s3://bucket/music --output TABLE \\": "reads a public bucket elsewhere",
    "# my_features.py": "is a file, which the spec before it imports",
}

#: How blocks begin that run in a folder of their own: a copy of what the others have made, or
#: one whose table has series.
APART = {"featurelib relocate": "copy", "import numpy as np": "series"}


def run_blocks(*languages: str) -> list[CodeBlock]:
    """Return the blocks of the README that are run in its folder."""
    blocks = code_blocks("README.md", *languages)
    return [block for block in blocks if not block.text.startswith(tuple(NOT_RUN))]


def apart(block: CodeBlock) -> str | None:
    return next((where for text, where in APART.items() if block.text.startswith(text)), None)


@pytest.fixture
def folder(audio_of_examples: Path, tmp_path: Path) -> Path:
    """Make the folder in which the blocks of the README run."""
    folder = tmp_path / "readme"
    for name in ("MUSIC", "NEWCORPUS"):
        shutil.copytree(audio_of_examples / "music", folder / name)
    shutil.copy(audio_of_examples / "song.wav", folder / "FILE")
    write_tone(folder / "song.mp3", seconds=1.0)
    (folder / "song.m4a").write_bytes(made("m4a_aac", tone(seconds=1.0)[:, None]))
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.touch()  # `shell` has the environment already
    return folder


@pytest.mark.slow
def test_commands_and_python_run(folder: Path, tmp_path: Path) -> None:
    """First the commands, then the Python code, which reads their table, as one script."""
    for block in run_blocks("sh"):
        place = folder
        if apart(block) == "copy":
            place = tmp_path / "copy"
            shutil.copytree(folder, place)
        shell(block.text, place)
    parts = sorted(path.name for path in (folder / "TABLE" / "features").iterdir())
    assert parts == ["by_label=blues", "by_label=rock"]

    features, defaults = ["rms", "mfcc"], {"statistics": ["series"]}
    spec = featurelib.spec_from_settings({"features": features, "defaults": defaults})
    extract_corpus(folder / "MUSIC", tmp_path / "series" / "TABLE", spec=spec, cluster="inline")
    lines = ["import os", 'if __name__ == "__main__":']
    for block in run_blocks("python"):
        place = tmp_path / "series" if apart(block) == "series" else folder
        lines.append(f"    os.chdir({str(place)!r})  # README, line {block.line}")
        lines.append(textwrap.indent(block.text, "    "))
    (folder / "script.py").write_text("\n".join(lines))
    shell("python script.py", folder)


@pytest.mark.slow
def test_commands_with_s3_run(folder: Path, s3: S3) -> None:
    [block] = [
        block for block in code_blocks("README.md", "sh") if block.text.startswith("export AWS")
    ]
    credentials, command = block.text.splitlines()
    assert credentials == "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…"
    bucket = s3.bucket()
    for path in (folder / "MUSIC").rglob("*.wav"):
        key = f"music/{path.relative_to(folder / 'MUSIC')}"
        s3.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    command = command.replace("s3://bucket/", f"s3://{bucket}/")
    # Workers of a cluster are what other blocks have.
    said = shell(f"{command} --cluster inline", folder, **s3.env)
    assert f"s3://{bucket}/table: 4 files with features, 0 failed" in said


def test_what_is_not_run_is_there() -> None:
    texts = [block.text for block in code_blocks("README.md", "sh", "python")]
    for begin in (*NOT_RUN, *APART):
        assert sum(text.startswith(begin) for text in texts) == 1, begin


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_are_there(document: str) -> None:
    text, makefile = (TOP / document).read_text(), (TOP / "Makefile").read_text()
    targets = re.findall(r"^make ([\w-]+)|`make ([\w-]+)`", text, re.MULTILINE)
    assert targets
    for target in map("".join, targets):
        assert f"\n{target}:" in makefile, target
