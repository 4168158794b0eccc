"""Where the time of one file goes: ``make profile``, or with ARGS="PRESET FILE"."""

from __future__ import annotations

import cProfile
import os
import pstats
import sys
import tempfile
from pathlib import Path

from jobs.execution.native import ONE_THREAD

os.environ.update(ONE_THREAD)

import soundfile

import featurelib
from jobs.execution.native import keep_freed_memory
from tests.benchmarks.signals import music_like
from tests.benchmarks.timing import timed

_REPETITIONS = 20
_LINES = 30


def main(preset: str, path: Path) -> None:
    """Print what takes longest in extracting a file; compiled kernels show by their names."""
    keep_freed_memory()
    featurelib.warm_up(preset)
    call = lambda: featurelib.extract_columns(path, preset)  # noqa: E731
    call()
    bare = min(timed(call) for _ in range(_REPETITIONS))
    profile = cProfile.Profile()
    for _ in range(_REPETITIONS):
        profile.runcall(call)
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in stats.values())
    print(f"{preset}, {path.name}: {1000 * bare:.2f} ms; under the profiler:")
    rows = sorted(stats.items(), key=lambda item: -item[1][2])
    for (file, _, name), (_, n_calls, own, _, _) in rows[:_LINES]:
        share, each = 100 * own / total, 1000 * own / _REPETITIONS
        where = "/".join(Path(file).parts[-2:])
        print(
            f"  {share:5.1f} %  {each:8.3f} ms  {n_calls // _REPETITIONS:5d} x  {name}  ({where})"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        arguments = sys.argv[1:] or ["genre-v1"]
        if len(arguments) == 1:
            arguments.append(f"{folder}/30s.wav")
            soundfile.write(arguments[1], music_like(22_050, 1), 22_050)
        main(arguments[0], Path(arguments[1]))
