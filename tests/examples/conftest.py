"""A small table for the examples."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import types
from pathlib import Path

import pytest

from jobs import extract_corpus
from jobs.demo.synthesize import synthesize_corpus

#: A copy of another file, in the folder of another label.
COPY, ORIGINAL = "jazz/copy.wav", "folk/folk.00000.wav"


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a table of five files a genre, three odd files, and a copy under another label."""
    folder = tmp_path_factory.mktemp("examples")
    synthesize_corpus(folder / "corpus", n_files=33)
    shutil.copy(folder / "corpus" / ORIGINAL, folder / "corpus" / COPY)
    extract_corpus(folder / "corpus", folder / "table", labels="parent", cluster="inline")
    return folder / "table"


@pytest.fixture
def torch_or_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for PyTorch where it is missing, so that what does not compute with it is tested."""
    if importlib.util.find_spec("torch"):
        return
    double = {name: types.ModuleType(name) for name in ("torch", "torch.nn", "torch.utils.data")}
    double["torch"].nn = double["torch.nn"]  # type: ignore[attr-defined]
    double["torch.nn"].Module = object  # type: ignore[attr-defined]
    for name in ("BatchSampler", "DataLoader", "Dataset", "RandomSampler", "SequentialSampler"):
        setattr(double["torch.utils.data"], name, object)
    for name, module in double.items():
        monkeypatch.setitem(sys.modules, name, module)
