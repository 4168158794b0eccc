"""Decoding gives the same samples on all machines and versions, also for damaged files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.featurelib.support import goldens
from tests.featurelib.support.encoders import FORMATS, made, rate_of
from tests.featurelib.support.reading import row
from tests.featurelib.support.signals import chord, noise

RECORD = json.loads(goldens.RECORD.read_text())
REMEDY = (
    f"The goldens were recorded with {RECORD['decoders']}, and here is {goldens.versions()}."
    " Where values of a decoder have changed, raise Signal.version in featurelib/graph.py, so that"
    " tables are not mixed; then record the goldens: python -m tests.featurelib.support.goldens"
)


def test_the_decoders_are_those_of_the_goldens():
    assert goldens.versions() == RECORD["decoders"], REMEDY


def test_all_files_are_recorded():
    assert list(RECORD["files"]) == goldens.NAMES
    assert goldens.EXACT.issubset(goldens.NAMES)
    kept = [goldens.RECORD, *goldens.FOLDER.glob("*.audio")]
    assert sum(path.stat().st_size for path in kept) < 250_000


@pytest.mark.parametrize("name", goldens.NAMES)
@pytest.mark.parametrize("damage", goldens.DAMAGES)
def test_damaged_files_are_decoded_as_ever(name, damage, capfd):
    found, expected = goldens.outcome(name, damage), RECORD["files"][name][damage]
    assert rounded(found) == rounded(expected), REMEDY


def rounded(outcome: dict[str, Any]) -> dict[str, Any]:
    """Outcome with rounded measures, whose last digits depend on the machine."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in outcome.items()
    }


_CHILD = """
import json, sys
from tests.featurelib.support.reading import row
print(json.dumps({path: row(path, block_samples=5000)["audio_hash"] for path in sys.argv[1:]}))
"""


@pytest.mark.slow
def test_another_process_and_other_blocks_give_the_same_samples(tmp_path):
    expected = {}
    for name in FORMATS:
        sr = rate_of(name)
        y = np.stack([chord(0.7, sr=sr), noise(0.7, sr=sr)], axis=1)
        path = tmp_path / name
        path.write_bytes(made(name, y))
        expected[str(path)] = row(path)["audio_hash"]
        for block_samples in (1000, 77):
            assert row(path, block_samples=block_samples)["audio_hash"] == expected[str(path)]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *reversed(expected)],
        stdout=subprocess.PIPE,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    assert json.loads(done.stdout) == expected
