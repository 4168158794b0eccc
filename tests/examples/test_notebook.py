"""The notebook in examples/ runs from its first to its last cell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.markdown import TOP

NOTEBOOK = TOP / "examples" / "genres.ipynb"


def cells() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_valid_and_has_no_outputs() -> None:
    notebook = cells()
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what starts the kernel
def test_it_runs(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    # of tqdm, which comes with Hugging Face's libraries, and which librosa imports where it is
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = cells()
    [setting] = [cell for cell in notebook.cells if cell.source.startswith("TABLE = ")]
    setting.source = f"TABLE = {str(table)!r}"
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))

    by_id = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    told = [output for outputs in by_id.values() for output in outputs]
    assert [output["text"] for output in told if output.get("name") == "stderr"] == []
    for id_ in ("scatter", "plot", "confusion"):
        assert any("image/png" in output.get("data", {}) for output in by_id[id_]), id_
    assert "<audio" in by_id["load"][0]["data"]["text/html"]
    [accuracy] = re.findall(r"accuracy: ([\d.]+)", by_id["predict"][0]["text"])
    assert 0.7 < float(accuracy) < 1  # the copy with another label is contradicted
    assert "jazz/copy.wav" in by_id["doubt"][0]["data"]["text/plain"]
