"""Compiling kernels in several processes, and what is remembered of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featurelib import kernels
from featurelib.kernels import ahead, remembered

#: Prints the kernels that a spec needs, and the types of their arguments.
_LISTED = """
import json, sys
from featurelib import FeatureSpec
from featurelib.extraction.extract import _warm_up
from featurelib.kernels import ahead
found = ahead.needed_by(_warm_up, FeatureSpec.from_dict(json.loads(sys.argv[1])))
print(json.dumps(sorted([place[1], str(types)] for place, ways in found.items() for types in ways)))
"""

#: Prints what a warm-up has compiled or loaded.
_LOADED = """
import json, sys
import featurelib
from featurelib.kernels import cache
featurelib.warm_up(featurelib.FeatureSpec.from_dict(json.loads(sys.argv[1])))
print(json.dumps(sorted([k.__name__, str(types)] for k in cache.KERNELS for types in k.signatures)))
"""


def run(code: str, *arguments: str, **environment: str) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    line = [sys.executable, "-c", code, *arguments]
    return subprocess.run(line, env=env, capture_output=True, text=True, check=True).stdout


def some_work(n: int) -> None:
    """Call two kernels, one of them for two types."""
    for dtype in (np.float32, np.float64):
        kernels.moments.central_moments(np.ones((n, 2), dtype), np.empty((6, 2)))
    kernels.peaks.largest_below(np.ones((n, 2), np.float32), np.float32(0.5))


def dying_work(n: int) -> None:
    os._exit(n)


@pytest.mark.slow
def test_the_list_has_exactly_what_a_warm_up_compiles(tmp_path: Path) -> None:
    pytest.importorskip("soundfile", reason="a warm-up needs all libraries, not the kernels' alone")
    from tests.featurelib.support.everything import make_spec

    spec = json.dumps(make_spec().to_dict())
    listed = json.loads(run(_LISTED, spec, NUMBA_CACHE_DIR=str(tmp_path)))
    loaded = json.loads(run(_LOADED, spec))
    assert listed == [entry for entry in loaded if entry[0] != "probe"]
    assert len(listed) >= 30


@pytest.mark.slow
def test_what_is_compiled_ahead_is_on_disk(tmp_path: Path) -> None:
    code = """
import json
from featurelib import kernels
from featurelib.kernels import ahead, cache, lock
from tests.featurelib.kernels import test_ahead
kernels.NAME
reports = []
with lock.compiling():
    ahead.compile_ahead(test_ahead.some_work, 8, lambda *report: reports.append(report))
    again = []
    ahead.compile_ahead(test_ahead.some_work, 8, lambda *report: again.append(report))
test_ahead.some_work(8)
missed = [k.__name__ for k in cache.KERNELS if k.stats.cache_misses and k.__name__ != "probe"]
print(json.dumps([reports, again, missed]))
"""
    reports, again, missed = json.loads(run(code, NUMBA_CACHE_DIR=str(tmp_path)))
    assert reports == [[0, 3], [1, 3], [2, 3], [3, 3]]
    assert again == [[0, 0]]
    assert missed == []


def test_a_process_that_dies_is_an_error() -> None:
    with pytest.raises((EOFError, OSError)):
        ahead.compile_ahead(dying_work, 3, lambda *_: None)


def test_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    assert not remembered.knows("a")
    remembered.remember("a")
    assert remembered.knows("a")
    assert not remembered.knows("b")
    with monkeypatch.context() as patch:  # other settings of numba make other kernels
        patch.setenv("NUMBA_OPT", "1")
        assert not remembered.knows("a")
    remembered.forget("a")
    assert not remembered.knows("a")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("what", ["kernels", "processor", "numba"])
def test_facts_are_about_one_machine_and_one_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    remembered.remember("a")
    remembered._identity.cache_clear()
    assert remembered.knows("a")
    remembered._identity.cache_clear()
    if what == "kernels":
        monkeypatch.setattr(remembered, "_FOLDER", tmp_path)
        (tmp_path / "other.py").write_text("")
    elif what == "processor":
        monkeypatch.setattr(remembered, "_CPU", tmp_path / "cpuinfo")
        (tmp_path / "cpuinfo").write_text("flags: sse2\n")
    else:
        monkeypatch.setattr(remembered.metadata, "version", lambda name: "99")
    assert not remembered.knows("a")
    remembered._identity.cache_clear()


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "cache"))
    remembered.remember("a")
    assert not remembered.knows("a")
