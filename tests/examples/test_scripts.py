"""The scripts in examples/ run, and say of a table what is so."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import extract_corpus
from tests.docs.markdown import TOP
from tests.examples.conftest import COPY, ORIGINAL
from tests.support.audio_files import write_tone

EXAMPLES = TOP / "examples"
LABELS = ["ambient", "disco", "folk", "jazz", "metal", "vocal"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Give a function that runs a script of examples/ and returns what it prints."""

    def run(script: str, *arguments: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return run


def functions_of(script: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / script))


def test_pandas(run: Callable[..., str], table: Path) -> None:
    said = run("read_with_pandas.py", table)
    counts = dict(re.findall(r"^'(\w+)' +(\d+) ", said, re.MULTILINE))
    assert counts == dict.fromkeys(LABELS, "5") | {"ambient": "6", "jazz": "6"}
    assert "no features: 'jazz/jazz.empty.wav' (empty)" in said
    assert len(re.findall(r"^\w+_(?:mean|std) +\d+\.\d$", said, re.MULTILINE)) == 10


@pytest.mark.parametrize(
    "script", ["read_with_pandas.py", "scan_with_polars.py", "load_with_datasets.py"]
)
def test_a_table_runs_no_code(
    run: Callable[..., str], table: Path, tmp_path: Path, script: str
) -> None:
    """The spec in a table of features of one's own names a file of code."""
    marker, evil = tmp_path / "ran", tmp_path / "evil.py"
    evil.write_text(f"open({str(marker)!r}, 'w')")
    shutil.copytree(table, tmp_path / "table")
    place = tmp_path / "table" / "_job" / "table.json"
    metadata = json.loads(place.read_text())
    metadata["spec"]["import"] = [str(evil)]
    place.write_text(json.dumps(metadata))
    assert run(script, tmp_path / "table") == run(script, table)
    assert not marker.exists()


def test_pandas_ranks_features_by_the_distance_of_labels() -> None:
    import pandas as pd

    separation = functions_of("read_with_pandas.py")["separation"]
    rows = pd.DataFrame(
        {
            "label": ["a", "a", "b", "b"],
            "far": [0.0, 2, 10, 12],
            "near": [0.0, 2, 1, 3],
            "same": 1.0,
        }
    )
    found = separation(rows, ["near", "same", "far"])
    # means 1 and 11, deviation of each label sqrt(2)
    assert found.to_dict() == pytest.approx({"far": 5.0, "near": 0.5})
    assert list(found.index) == ["far", "near"]


def test_duckdb(run: Callable[..., str], table: Path) -> None:
    said = run("query_with_duckdb.py", table)
    assert f"['{ORIGINAL}', '{COPY}'] under different labels\n" in said
    assert "undecodable 1 such as 'metal/metal.corrupt.mp3'" in said
    levels = dict(re.findall(r"^   '(\w+)' [-\d.]+ ([-\d.]+) [-\d.]+$", said, re.MULTILINE))
    assert list(levels) == LABELS
    assert all(-12 < float(level) < 0 for level in levels.values())  # peaks of 0.3 to 0.9
    formats = re.findall(r"^   (\w+) \w+ \d+ [12] (\d+) [\d.]+$", said, re.MULTILINE)
    assert sum(int(n) for _, n in formats) == 32


def test_polars_ranks_outliers(run: Callable[..., str], table: Path) -> None:
    said = run("scan_with_polars.py", table, "--top", "3").splitlines()
    assert len(said) == 3
    # the only file that does not sound as its label says
    assert said[0].endswith(f"'jazz'  '{COPY}'")


def test_datasets(run: Callable[..., str], table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # read when it is imported
    said = run("load_with_datasets.py", table)
    sizes = [int(n) for n in re.findall(r"^t\w+: (\d+) rows of \d labels$", said, re.MULTILINE)]
    assert sum(sizes) == 31  # without the silent file
    assert all(sizes)
    assert f"labels: {LABELS}" in said
    assert "first row: (98,) float32" in said


def test_sklearn(run: Callable[..., str], table: Path) -> None:
    said = run("classify_with_sklearn.py", table)
    assert "31 rows, 98 features, 30 groups\n" in said  # a copy is in the group of its original
    [score] = re.findall(r"balanced accuracy: ([\d.]+) ± [\d.]+", said)
    assert 0.6 < float(score) < 1  # the copy with another label is contradicted
    assert "by chance: 0.167" in said


@pytest.mark.parametrize("script", ["load_with_datasets.py", "train_with_pytorch.py"])
def test_copies_stay_together(script: str, request: pytest.FixtureRequest) -> None:
    if script == "train_with_pytorch.py":
        request.getfixturevalue("torch_or_double")
    split = functions_of(script)["split"]
    hashes = np.array([f"{i // 3:032x}" for i in range(300)])
    if script == "train_with_pytorch.py":
        train, test = (hashes[rows] for rows in split(hashes))
    else:
        import datasets

        parts = split(datasets.Dataset.from_dict({"audio_hash": list(hashes)}))
        train, test = parts["train"]["audio_hash"], parts["test"]["audio_hash"]
    assert not set(train) & set(test)
    assert (len(train), len(test)) == (240, 60)


@pytest.mark.parametrize("script", ["load_with_datasets.py", "train_with_pytorch.py"])
def test_a_table_without_labels_is_refused(
    script: str, run: Callable[..., str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if script == "train_with_pytorch.py":
        request.getfixturevalue("torch_or_double")
    write_tone(tmp_path / "music" / "a.wav")
    extract_corpus(tmp_path / "music", tmp_path / "table", cluster="inline")
    with pytest.raises(SystemExit, match="table: no row has a label"):
        run(script, tmp_path / "table")


def test_every_example_is_in_the_list() -> None:
    listed = re.findall(r"^\| \[([\w.]+)\]", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    there = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_says_what_it_shows_and_how_it_is_run(script: Path) -> None:
    first, _, rest = script.read_text().partition("\n")
    assert first.startswith('"""')
    assert f"python examples/{script.name} TABLE" in rest.partition('"""')[0]
