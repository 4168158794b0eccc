"""Many short files: the whole job over one-second clips, and the memory of its worker."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from jobs import extract_corpus
from tests.benchmarks.plain import plain_tutorial
from tests.benchmarks.signals import clips, music_like
from tests.benchmarks.timing import ratio, timed

_FILES = 10_000
_TIMED = 150


def run(folder: Path) -> None:
    """Measure, check that every file has its row, and print."""
    print(f"the job, tutorial-v1, {_FILES} WAV files of 1 s, 22.05 kHz mono")
    corpus = folder / "clips"
    paths = clips(corpus, _FILES)
    plain = [_plain(paths)]
    walls = {}
    for workers in (1, 2):
        table = folder / f"table-{workers}"
        report = extract_corpus(corpus, table, spec="tutorial-v1", workers=workers)
        assert (report.n_files, report.n_errors) == (_FILES, 0)
        walls[workers] = report.seconds["extract"]
        plain.append(_plain(paths))
    one = statistics.median(plain)
    print(f"    plain loop with librosa.load   {1000 * one:8.2f} ms a clip")
    for workers, wall in walls.items():
        each = workers * wall / _FILES
        print(f"    {workers} worker(s), extract phase     {1000 * each:8.2f} ms a clip and core")
        print(
            ratio(f"plain loop / job with {workers} worker(s), per core", one / each, "at least 10")
        )
    _memory(folder)


def _plain(paths: list[Path]) -> float:
    plain_tutorial(paths[0])
    return statistics.median(
        timed(lambda path=path: plain_tutorial(path)) for path in paths[:_TIMED]
    )


def _memory(folder: Path) -> None:
    """Send files of all formats through one worker process and print its resident memory."""
    print(f"resident memory of one worker process over {_FILES} files of four formats")
    mixed = folder / "mixed"
    mixed.mkdir()
    for number in range(40):
        suffix = (".wav", ".flac", ".ogg", ".mp3")[number % 4]
        y = music_like(44_100, 1 + number % 2, seconds=0.5 + number / 20, seed=number)
        soundfile.write(mixed / f"{number}{suffix}", y, 44_100)
    command = [sys.executable, "-m", "tests.benchmarks.one_worker", "files", mixed, str(_FILES)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    n_files, mib = np.loadtxt(result.stdout.splitlines(), unpack=True)
    for count in (1000, 2500, 5000, 7500, 10_000):
        print(f"    after {count:6d} files   {mib[n_files == count][0]:8.1f} MiB")
    late = n_files >= 1000
    slope = np.polyfit(n_files[late] / 1000, mib[late], 1)[0]
    print(ratio("slope from the thousandth file on [MiB / 1000 files]", slope, "flat"))
