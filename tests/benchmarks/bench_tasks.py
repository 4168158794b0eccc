"""The driver's memory, with the scheduler in it, over very many tasks on a real cluster.

A task is five files of one byte, of each of which a stub makes a row.
``python -m tests.benchmarks tasks 4000`` runs fewer tasks.
"""

from __future__ import annotations

import time
from pathlib import Path

import featurelib
from jobs.diagnostics.events import Event, ShardDone
from jobs.execution import sharding
from jobs.execution.opening import executor_opener
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.settings import Settings
from tests.benchmarks.timing import in_own_process, ratio, timed
from tests.support.light import light_extractor
from tests.support.memory import resident_bytes

_TASKS = 20_000
_FILES_A_TASK = 5
_FILES_A_FOLDER = 1000
_SPEC = featurelib.get_spec("tutorial-v1")


def run(folder: Path, n_tasks: int = _TASKS) -> None:
    """Print how the memory of the driver's process grows from a tenth of the tasks on."""
    made = timed(lambda: _make(folder / "corpus", n_tasks * _FILES_A_TASK))
    print(f"{n_tasks} tasks of {_FILES_A_TASK} files, made in {made:.1f} s")
    sizes, seconds = in_own_process(_run, folder)
    for tenth in (1, 2, 5, 9):
        size = sizes[len(sizes) * tenth // 10]
        print(f"    after {10 * tenth} % of {len(sizes)} tasks: {size:.0f} MiB")
    print(f"    {1e3 * seconds / len(sizes):.1f} ms a task, two workers")
    growth = sizes[len(sizes) * 9 // 10] / sizes[len(sizes) // 10]
    print(ratio("memory after 90 % of the tasks / after 10 %", growth, "at most 1.1"))


def _make(corpus: Path, n_files: int) -> None:
    for number in range(n_files):
        folder = corpus / f"{number // _FILES_A_FOLDER:05d}"
        if number % _FILES_A_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:08d}.wav").write_bytes(b"x")


def _run(folder: Path) -> tuple[list[float], float]:
    """Return the memory after each task [MiB], and the seconds of all of them."""
    sharding.SHARD_FILES = _FILES_A_TASK
    settings = Settings(workers=2, reader_grace_s=0.0)
    request = RunRequest(
        str(folder / "corpus"), str(folder / "table"), _SPEC, settings, light_extractor
    )
    sizes: list[float] = []
    times: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, ShardDone):
            sizes.append(resident_bytes() / 2**20)
            times.append(time.perf_counter())

    run_job(request, executor_opener(settings), note)
    return sizes, times[-1] - times[0]
