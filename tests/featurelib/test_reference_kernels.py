"""The whole analysis by the reference of the kernels, where there is no numba."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featurelib import FeatureSpec
from tests.featurelib.support import everything, oracle
from tests.featurelib.support.signals import SR, chord, noise

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


@pytest.mark.parametrize("kept", ["in memory", "in a file"])
def test_every_column_is_librosas_without_numba(tmp_path, kept):
    spec = everything.make_spec()
    y = np.concatenate((chord(2.5, detune=0.2), noise(1.0, level=0.02), np.zeros(4000, np.float32)))
    columns = extract(y, spec, tmp_path, 10**9 if kept == "in memory" else 10**6)
    expected = oracle.columns(y, spec, SR)
    assert set(columns) == set(expected)
    oracle.assert_close(columns, expected)
