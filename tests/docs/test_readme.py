"""The commands and the Python code of the README are run, in their order, in one folder.

Placeholders such as MUSIC and FILE are a folder and a file of that name. Blocks of TOML are
tested in `tests.jobs.cli.test_describing`.
"""

from __future__ import annotations

import shutil
import sys
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


@pytest.fixture(scope="module")
def folder(audio_of_examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder in which README's blocks run."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("MUSIC", "NEWCORPUS"):
        shutil.copytree(audio_of_examples / "music", folder / name)
    shutil.copy(audio_of_examples / "song.wav", folder / "FILE")
    write_tone(folder / "song.mp3", seconds=1.0)
    (folder / "song.m4a").write_bytes(made("m4a_aac", tone(seconds=1.0)[:, None]))
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.touch()  # `shell` has the environment already
    return folder


@pytest.fixture(scope="module")
def commands_run(folder: Path) -> Path:
    """Run the commands of the README that need no S3, in their order."""
    for block in run_blocks("sh"):
        place = folder
        if apart(block) == "copy":
            place = folder.parent / "copy-of-readme"
            shutil.copytree(folder, place)
        shell(block.text, place)
    return folder


def test_commands_run(commands_run: Path) -> None:
    parts = sorted(path.name for path in (commands_run / "TABLE" / "features").iterdir())
    assert parts == ["by_label=blues", "by_label=rock"]


def test_python_runs(commands_run: Path, tmp_path: Path) -> None:
    features, defaults = ["rms", "mfcc"], {"statistics": ["series"]}
    spec = featurelib.spec_from_settings({"features": features, "defaults": defaults})
    extract_corpus(commands_run / "MUSIC", tmp_path / "TABLE", spec=spec, cluster="inline")
    places: dict[str | None, Path] = {None: commands_run, "series": tmp_path}
    lines = ["import os", 'if __name__ == "__main__":']
    for block in run_blocks("python"):
        lines.append(f"    os.chdir({str(places[apart(block)])!r})  # README, line {block.line}")
        lines.append(textwrap.indent(block.text, "    "))
    script = commands_run / "script.py"
    script.write_text("\n".join(lines))
    shell(f"{sys.executable} script.py", commands_run)


def test_commands_with_s3_run(commands_run: Path, s3: S3) -> None:
    [block] = [
        block for block in code_blocks("README.md", "sh") if block.text.startswith("export AWS")
    ]
    credentials, command = block.text.splitlines()
    assert credentials == "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…"
    bucket = s3.bucket()
    for path in (commands_run / "MUSIC").rglob("*.wav"):
        key = f"music/{path.relative_to(commands_run / 'MUSIC')}"
        s3.client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    command = command.replace("s3://bucket/", f"s3://{bucket}/")
    # Workers of a cluster are what other blocks have.
    said = shell(f"{command} --cluster inline", commands_run, **s3.env)
    assert f"s3://{bucket}/table: 4 files with features, 0 failed" in said


def test_what_is_not_run_is_there() -> None:
    texts = [block.text for block in code_blocks("README.md", "sh", "python")]
    for begin in (*NOT_RUN, *APART):
        assert sum(text.startswith(begin) for text in texts) == 1, begin


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_are_there(document: str) -> None:
    makefile = (TOP / "Makefile").read_text()
    for block in code_blocks(document, "sh"):
        for line in block.text.splitlines():
            if line.startswith("make "):
                assert f"\n{line.split()[1]}:" in makefile, line
