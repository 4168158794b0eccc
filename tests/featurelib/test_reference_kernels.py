"""The whole analysis by the reference of the kernels, where there is no numba."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featurelib import (
    Entry,
    FeatureSpec,
    extract_signal_columns,
    feature_names,
    get_spec,
    kernels,
)
from featurelib.kernels import choice
from tests.featurelib.support import everything, oracle
from tests.featurelib.support.signals import SR, chord, noise
from tests.support.quick import slow_but

#: Extracts from samples, without numba, and prints the columns.
EXTRACT = """
import json, sys
import numpy as np
sys.modules["numba"] = sys.modules["llvmlite"] = None
import featurelib
from featurelib.features import chroma_stft
chroma_stft._WHOLE_BYTES = int(sys.argv[3])
spec = featurelib.FeatureSpec.from_dict(json.loads(sys.argv[2]))
featurelib.warm_up(spec)
columns = featurelib.extract_signal_columns(np.load(sys.argv[1]), int(sys.argv[4]), spec)
print(json.dumps({name: columns[name] for name in featurelib.feature_names(spec)}))
"""


def extract(y: np.ndarray, spec: FeatureSpec, folder: Path, whole_bytes: int) -> dict[str, list]:
    np.save(folder / "y.npy", y)
    arguments = [folder / "y.npy", json.dumps(spec.to_dict()), whole_bytes, SR]
    done = subprocess.run(
        [sys.executable, "-c", EXTRACT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "kernels cannot be compiled here" in done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kept", slow_but(["in a file"], ["in memory", "in a file"]))
def test_every_column_is_librosas_without_numba(tmp_path, kept):
    spec = everything.make_spec()
    y = np.concatenate((chord(2.5, detune=0.2), noise(1.0, level=0.02), np.zeros(4000, np.float32)))
    columns = extract(y, spec, tmp_path, 10**9 if kept == "in memory" else 10**6)
    expected = oracle.columns(y, spec, SR)
    assert set(columns) == set(expected)
    oracle.assert_close(columns, expected)


#: Extracts a preset from samples with the kernels that the environment names.
EXTRACT_PRESETS = """
import json, sys
import numpy as np
import featurelib
from featurelib import kernels
y, found = np.load(sys.argv[1]), {}
for preset in sys.argv[3:]:
    sr = featurelib.get_spec(preset).fixed_sr or int(sys.argv[2])
    columns = featurelib.extract_signal_columns(y, sr, preset)
    found[preset] = {name: columns[name] for name in featurelib.feature_names(preset)}
print(json.dumps({"kernels": kernels.NAME, "found": found}))
"""

REFERENCE_PRESETS = ("gtzan-v1", "fma-v1", "speech-v1", "genre-v2")


@pytest.fixture(scope="module")
def beats() -> np.ndarray:
    """A chord in noise with beats."""
    y = chord(2.5, detune=0.2) + noise(2.5, level=0.02)
    for i in range(5):
        y[i * SR // 2 :][:1500] += noise(1500 / SR, seed=i, level=0.3)
    return y


@pytest.fixture(scope="module")
def by_reference(beats: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Columns of presets by the NumPy definitions, in a process of its own."""
    path = tmp_path_factory.mktemp("reference") / "y.npy"
    np.save(path, beats)
    done = subprocess.run(
        [sys.executable, "-c", EXTRACT_PRESETS, str(path), str(SR), *REFERENCE_PRESETS],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, choice.VARIABLE: "reference"},
    )
    values = json.loads(done.stdout)
    assert values["kernels"] == "reference"
    return values["found"]


def root_mean_squares(y: np.ndarray, sr: int, entry: Entry) -> dict[int | None, float]:
    """Root mean square of the frames of each row of an entry, and of all of them (None)."""
    if entry.feature.is_single:
        return {None: 0.0}
    frames = oracle.frame_series(y, sr, entry.feature)
    rows = {i: oracle.root_mean_square(row) for i, row in enumerate(frames)}
    return {None: oracle.root_mean_square(frames), **rows}


@pytest.mark.parametrize("preset", REFERENCE_PRESETS)
def test_presets_have_the_values_of_the_compiled_kernels(beats, by_reference, preset):
    """The tolerance is the promised one: 1e-4 of the value and 1e-6 of the RMS of its frames."""
    spec = get_spec(preset)
    sr = spec.fixed_sr or SR
    compiled = extract_signal_columns(beats, sr, spec)
    assert kernels.NAME == "compiled"
    found = by_reference[preset]
    assert list(found) == feature_names(spec)
    expected = {}
    for entry in spec.features:
        rms = root_mean_squares(beats, sr, entry)
        for (row, _), name in zip(entry.slots(), entry.column_names(), strict=True):
            [value] = compiled[name]
            expected[name] = (value, rms[row])
    oracle.assert_close(found, expected)
