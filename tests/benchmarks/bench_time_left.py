"""The time that is left, as a run says it, against the time that it took then.

The corpus has files of 1 s to 10 min in four formats, listed in the worst order: the short ones
first, and of each duration the formats whose bytes are decoded fast before those that take long.
"""

from __future__ import annotations

import math
import shutil
import time
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

import soundfile

import featurelib
from jobs import extract_corpus
from jobs.diagnostics.events import EXTRACTING, CountStarted, Event, ShardDone, StepEnded
from jobs.diagnostics.remaining import Remaining
from jobs.execution.native import keep_freed_memory
from tests.support.audio_files import tone
from tests.support.simulated import SimulatedCluster, pending_of

_SR = 44100

#: Duration of files [s], and how many there are in each format.
_FILES = {1: 240, 5: 120, 30: 40, 120: 6, 600: 2}

_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
_WORKERS = 2
_TIMES = 3
_SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


class Predictions:
    """Observer that notes when the extraction is expected to end.

    Attributes
    ----------
    began, ended
        When the extraction began and ended [s].
    """

    def __init__(self) -> None:
        self._remaining: Remaining | None = None
        self._at: list[float] = []
        self._ends: list[float] = []
        self.began = self.ended = 0.0

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        match event:
            case CountStarted(what) if what == EXTRACTING:
                self.began = now
                self._remaining = Remaining(event.guesses, event.n_workers)
            case ShardDone(result) if self._remaining is not None:
                self.ended = now
                self._remaining.add(result)
                if (left := self._remaining.seconds) is not None:
                    self._at.append(now)
                    self._ends.append(now + left)
            case StepEnded("extract"):
                self._remaining = None

    def error(self, share: float) -> float | None:
        """Return the error of the time left after a share of the run, as a share of that time."""
        now = self.began + share * (self.ended - self.began)
        index = bisect_right(self._at, now) - 1
        return None if index < 0 else (self._ends[index] - self.ended) / (self.ended - now)


def run(folder: Path) -> None:
    """Run the job, and print the errors of the time that was said to be left."""
    files = _corpus(folder / "corpus")
    listed = folder / "worst-order.txt"
    listed.write_text("".join(f"{path}\n" for path in files))
    seen = Predictions()
    report = extract_corpus(listed, folder / "table", workers=_WORKERS, observer=seen)
    assert (report.n_files, report.n_errors) == (len(files), 0)
    minutes = report.audio_s / 60
    print(
        f"time left, genre-v1, {len(files)} files with {minutes:.0f} min of audio,"
        f" {_WORKERS} workers: extracted in {seen.ended - seen.began:.1f} s"
    )
    _print_errors(seen.error)
    costs = _costs(files)
    steady = SimulatedCluster(lambda path, size: costs[Path(path).name], _WORKERS)
    steady.run(pending_of({str(path): path.stat().st_size for path in files}, n_buckets=1))
    print(f"    the same files on machines that are equally fast all the time: {steady.now:.1f} s")
    _print_errors(steady.error)


def _print_errors(error_after: Callable[[float], float | None]) -> None:
    for share in _SHARES:
        error = error_after(share)
        said = "nothing is said yet" if error is None else f"{100 * error:+8.1f} %"
        aim = "   (aim: within 20 %)" if share == _SHARES[0] else ""
        print(f"    error after {100 * share:3.0f} % of the time  {said}{aim}")


def _costs(files: list[Path]) -> dict[str, float]:
    """Return the least of some measured times of each different file, by name [s]."""
    keep_freed_memory()  # as in a worker
    costs: dict[str, float] = {}
    for path in {path.name: path for path in files}.values():
        for _ in range(_TIMES):
            started = time.perf_counter()
            featurelib.extract_columns(path)
            taken = time.perf_counter() - started
            costs[path.name] = min(taken, costs.get(path.name, math.inf))
    return costs


def _corpus(folder: Path) -> list[Path]:
    paths = []
    for seconds, n_files in _FILES.items():
        for suffix in _SUFFIXES:
            one = _written(folder / f"{seconds}s{suffix}", seconds)
            for n in range(n_files):
                paths.append(folder / f"{n}" / one.name)
                paths[-1].parent.mkdir(exist_ok=True)
                shutil.copyfile(one, paths[-1])
            one.unlink()
    return paths


def _written(path: Path, seconds: int) -> Path:
    """Write a file second by second: libsndfile cannot encode long signals at once."""
    path.parent.mkdir(exist_ok=True)
    with soundfile.SoundFile(path, "w", _SR, 2) as file:
        for n in range(seconds):
            file.write(tone(220.0 + 20 * (n % 30), sr=_SR, channels=2))
    return path
