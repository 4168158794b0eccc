"""How long it takes until the first file is worked on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from jobs import extract_corpus
from tests.benchmarks.signals import clips
from tests.benchmarks.timing import timed

_FEATURELIB = [str(Path(sys.executable).with_name("featurelib"))]
_MODULES = ("librosa", "distributed", "numba", "scipy")


def run(folder: Path) -> None:
    """Measure, check that help loads nothing heavy, and print."""
    corpus = folder / "clips"
    clips(corpus, 1)
    print("from the command to the first file's work")
    loads = (
        f"import sys, jobs.cli; assert not {set(_MODULES)} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", loads], check=True)
    helps = min(timed(lambda: _command("--help")) for _ in range(3))
    print(f"    featurelib --help                      {helps:6.2f} s")
    for name in ("kernels compiled for the first time", "kernels from the cache"):
        started = time.perf_counter()
        _command("extract", str(corpus), "--output", str(folder / name), cache=folder / "numba")
        print(f"    one file, {name:<36} {time.perf_counter() - started:6.2f} s")
    report = extract_corpus(corpus, folder / "table", workers=1)
    steps = ", ".join(f"{step} {seconds:.2f}" for step, seconds in report.seconds.items())
    print(f"    of that, in seconds: {steps}")


def _command(*arguments: str, cache: Path | None = None) -> None:
    environment = {**os.environ, **({"NUMBA_CACHE_DIR": str(cache)} if cache else {})}
    subprocess.run([*_FEATURELIB, *arguments], check=True, capture_output=True, env=environment)
