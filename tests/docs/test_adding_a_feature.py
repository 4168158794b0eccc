"""docs/adding-a-feature.md is followed literally: its files are written, its commands are run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.docs.commands import shell
from tests.docs.markdown import TOP, CodeBlock, code_blocks
from tests.featurelib.support import value_goldens

DOCUMENT = "docs/adding-a-feature.md"

_OWN = (TOP / DOCUMENT).read_text().partition("\n## A feature of your own\n")[0].count("\n")
LIBRARY = [block for block in code_blocks(DOCUMENT) if block.line < _OWN]
OWN = [block for block in code_blocks(DOCUMENT) if block.line > _OWN]
FILE = LIBRARY[0].text


def follow(blocks: list[CodeBlock], folder: Path, package: Path) -> None:
    """Write the files, make the changes and run the commands of blocks, in a folder."""
    for block in blocks:
        if block.language == "diff":
            path = folder / block.title
            path.write_text(changed(path.read_text(), block.text))
        elif block.title:
            (folder / block.title).write_text(block.text)
        elif block.language == "console":
            run_console(block, folder, package)


def changed(text: str, diff: str) -> str:
    """Return a text with a change, whose lines without + or - have to be in it, once."""
    for hunk in diff.split("@@\n"):
        lines = [line or " " for line in hunk.splitlines()]
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
        assert text.count(before) == 1, f"once in the file should be:\n{before}"
        text = text.replace(before, after)
    return text


def run_console(block: CodeBlock, folder: Path, package: Path) -> None:
    """Run the commands behind ``$``, and compare what they print with what stands below.

    A line ``…`` stands for any lines, and ``…`` within a line for any text.
    """
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        said = shell(command, folder, PYTHONPATH=str(package), COLUMNS="100")
        pattern = "".join(
            r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*?") + r" *\n"
            for line in shown.splitlines()
        )
        assert not shown or re.fullmatch(pattern, said), f"$ {command}\n{said}"


@pytest.mark.slow
@pytest.mark.timeout(900)  # the copy may have to compile everything
def test_a_family_of_the_library(examples: Path) -> None:
    """In a copy, which has the compiled kernels of this one."""
    for name in ("featurelib", "jobs", "tests"):
        shutil.copytree(TOP / name, examples / name)
    for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml"):
        shutil.copy2(TOP / name, examples)
    record = Path("tests/featurelib/data/values.json")
    follow(LIBRARY, examples, examples)
    before, after = json.loads((TOP / record).read_text()), json.loads(record.read_text())
    assert set(before["specs"]) < set(after["specs"])
    news = [line.partition(":")[0] for line in value_goldens.problems(before, after)]
    assert news == ["brightness", "new or removed"]
    forgotten = "every_family_has_an_oracle or readme_has_the_families"
    tests = f"python -m pytest -q tests/featurelib tests/jobs/cli -k '{forgotten}'"
    assert "2 passed" in shell(tests, examples, PYTHONPATH=str(examples))


def test_a_feature_of_your_own_in_python(examples: Path) -> None:
    (examples / "brightness.py").write_text(FILE)
    [block] = [block for block in OWN if block.language == "python"]
    *statements, last = block.text.rstrip().split("\n")
    names: dict[str, object] = {}
    exec("\n".join(statements), names)
    row = eval(last, names)
    [brightness] = row["brightness_mean"]
    assert 0 < brightness < 1


@pytest.mark.slow
def test_a_feature_of_your_own_on_a_cluster(examples: Path) -> None:
    (examples / "brightness.py").write_text(FILE)
    follow(OWN, examples, TOP)
