"""What several rows a file cost the driver: planning, merging and verifying, without decoding."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import featurelib
from jobs.diagnostics.events import Event, RunEnded, StepStarted
from jobs.execution.executor import InlineExecutor
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.settings import Settings
from tests.benchmarks.timing import ratio

_FILES = 10_000
_SEGMENTS = 100
_SPEC = featurelib.get_spec("genre-v1")
_SAMPLED_S = 0.02


def run(folder: Path) -> None:
    """Measure one and many rows a file, and print the ratios."""
    corpus = folder / "corpus"
    for i in range(_FILES):
        path = corpus / f"{i % 100:02d}" / f"{i:05d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(i))
    print(f"{_FILES} files of {_SEGMENTS} rows against as many of one, the driver's own work")
    one, many = (_measured(folder, n) for n in (1, _SEGMENTS))
    for name in one:
        seconds, peak = many[name]
        print(
            f"    {name:<28} {one[name][0]:7.2f} s -> {seconds:7.2f} s,"
            f" peak {one[name][1]:5.0f} -> {peak:5.0f} MiB"
        )
        print(ratio(f"{name}: time of {_SEGMENTS} rows / of one", seconds / one[name][0]))


def _measured(folder: Path, n_rows: int) -> dict[str, tuple[float, float]]:
    """Return the seconds and the peak memory [MiB] of each step, in a process of its own."""
    result = folder / f"{n_rows}.json"
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_runs, args=(folder, n_rows, result))
    process.start()
    process.join()
    return json.loads(result.read_text())


def _runs(folder: Path, n_rows: int, result: Path) -> None:
    settings = Settings(reader_grace_s=0.0)
    extractor = _Extractor(n_rows)
    request = RunRequest(
        str(folder / "corpus"), str(folder / f"t{n_rows}"), _SPEC, settings, extractor
    )
    fresh, again = _Steps(), _Steps()
    for steps in (fresh, again):
        report = run_job(request, _inline, steps)
        assert (report.n_files, report.n_rows) == (_FILES, _FILES * n_rows)
    found = {
        "merge of a new table": fresh.measured["merge"],
        "verify": fresh.measured["verify"],
        "plan, with nothing new": again.measured["plan"],
    }
    result.write_text(json.dumps(found))


class _Extractor:
    """Gives so many rows of a file's number."""

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows
        self._n_values = len(featurelib.feature_names(_SPEC))
        self._noise = np.random.default_rng(0).random((n_rows, self._n_values), np.float32)
        starts = 3.0 * np.arange(n_rows)
        self._own = {
            "segment": list(range(n_rows)),
            "start_s": starts.tolist(),
            "end_s": (starts + 3.0).tolist(),
        }

    def __call__(self, source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
        number = int(Path(source).read_text())
        attributes = {
            "duration_s": 3.0 * self._n_rows,
            "audio_hash": f"{number:032x}",
            "decoding": "whole",
            "peak": 1.0,
            "mix_peak": 1.0,
            "is_silent": False,
        }
        yield featurelib.Rows(self._n_rows, attributes, self._own, self._noise + number)


@contextlib.contextmanager
def _inline() -> Iterator[InlineExecutor]:
    yield InlineExecutor()


class _Steps:
    """An observer that notes the time and the peak memory of each step."""

    def __init__(self) -> None:
        self.measured: dict[str, tuple[float, float]] = {}
        self._name, self._began, self._peak = "", time.perf_counter(), 0.0
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        process = psutil.Process()
        while True:
            self._peak = max(self._peak, process.memory_info().rss / 2**20)
            time.sleep(_SAMPLED_S)

    def __call__(self, event: Event) -> None:
        if not isinstance(event, StepStarted | RunEnded):
            return
        now = time.perf_counter()
        self.measured[self._name] = (now - self._began, self._peak)
        name = event.step if isinstance(event, StepStarted) else ""
        self._name, self._began, self._peak = name, now, 0.0
