"""The PyTorch example; its reading is tested where PyTorch is missing, too."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import featurelib
from tests.docs.markdown import TOP

SCRIPT = str(TOP / "examples" / "train_with_pytorch.py")


@pytest.fixture
def example(torch_or_double: None) -> dict[str, Any]:
    """Give the functions of the example."""
    return runpy.run_path(SCRIPT)


def test_rows_are_those_of_the_table(example: dict[str, Any], table: Path) -> None:
    data = example["TableDataset"](table)
    rows = pd.read_parquet(table / "features")
    rows = rows[~rows["is_silent"]].set_index("audio_hash").sort_index()
    order = np.argsort(data.audio_hash, kind="stable")
    np.testing.assert_array_equal(
        data.X[order], rows[featurelib.feature_names("genre-v1")].to_numpy(np.float32)
    )
    assert list(data.audio_hash[order]) == list(rows.index)
    assert data.labels == sorted(rows["label"].unique())
    assert len(data) == len(np.unique(data.tracks)) == len(rows) == 31
    single = ~rows.index.duplicated(keep=False)  # copies have the same key
    labels = np.array(data.labels)[data.y[order]]
    assert list(labels[single]) == list(rows["label"][single])


def test_a_file_has_the_label_of_its_mean(example: dict[str, Any]) -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8]])
    tracks, y = np.array([7, 7, 7, 3]), np.array([0, 0, 0, 0])
    # track 7: 0.57 for label 0, though two of its three rows say 1; track 3 is wrong
    assert example["accuracy"](probabilities, y, tracks) == 0.5


def test_it_trains(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(sys, "argv", [SCRIPT, str(table)])
    runpy.run_path(SCRIPT, run_name="__main__")
    said = capsys.readouterr().out
    [accuracy] = re.findall(r"accuracy on \d+ files: ([\d.]+)", said)
    assert float(accuracy) > 0.5
