"""How long it takes to start: until the first file is done, and of whole short runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import soundfile

from jobs import extract_corpus
from tests.benchmarks.signals import clips, music_like, tracks
from tests.benchmarks.timing import interleaved, ratio, timed

_FEATURELIB = [str(Path(sys.executable).with_name("featurelib"))]
_MODULES = ("librosa", "distributed", "numba", "scipy")
_REPETITIONS = 5
_CLIPS, _TRACKS = 40, 200

#: A cluster of two workers that does one task.
_BARE = """
import distributed
if __name__ == "__main__":
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        assert client.submit(abs, -1).result() == 1
"""


def run(folder: Path) -> None:
    """Measure, check that help loads nothing heavy and that all files have rows, and print."""
    loads = (
        f"import sys, jobs.cli; assert not {set(_MODULES)} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", loads], check=True)
    helps = min(timed(lambda: _command("--help")) for _ in range(3))
    print(f"    featurelib --help                      {helps:6.2f} s")
    _one_file(folder)
    _short_clips(folder)
    _tracks(folder)


def _one_file(folder: Path) -> None:
    corpus = folder / "one"
    clips(corpus, 1)
    print("from the command to the first file's result, and to its end")
    for name in ("kernels compiled for the first time", "kernels from the disk"):
        table = folder / name
        first, end = _until_first_result(corpus, table, folder / "numba")
        print(f"    one file, {name:<36} {first:6.2f} s {end:6.2f} s")
    again = timed(lambda: _command("extract", str(corpus), "--output", str(table)))
    print(f"    nothing new                                           {again:6.2f} s")
    report = extract_corpus(corpus, folder / "table", workers=1)
    steps = ", ".join(f"{step} {seconds:.2f}" for step, seconds in report.seconds.items())
    print(f"    of one file, in seconds: {steps}")


def _until_first_result(corpus: Path, table: Path, cache: Path) -> tuple[float, float]:
    """Return the seconds until the first staged file is there, and until the command's end."""
    line = [*_FEATURELIB, "extract", str(corpus), "--output", str(table), "--workers", "2"]
    environment = _environment(NUMBA_CACHE_DIR=str(cache))
    started = time.perf_counter()
    with subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        while process.poll() is None and not any(table.glob("_job/runs/*/staged/*.parquet")):
            time.sleep(0.005)
        first = time.perf_counter() - started
    assert process.returncode == 0
    return first, time.perf_counter() - started


def _short_clips(folder: Path) -> None:
    corpus, sr = folder / "clips", 22_050
    corpus.mkdir()
    y = music_like(sr, 1, seconds=60)
    for number in range(_CLIPS):
        start = number * 12_701 % (len(y) - 5 * sr)
        soundfile.write(corpus / f"{number:03d}.wav", y[start : start + 5 * sr], sr)
    numbers = iter(range(1000))

    def job() -> None:
        table = folder / f"clips-{next(numbers)}"
        _command("extract", str(corpus), "--output", str(table), "--workers", "2")
        assert _n_rows(table) == _CLIPS

    bare = folder / "bare.py"
    bare.write_text(_BARE)
    seconds = interleaved(
        {"job": job, "bare": lambda: subprocess.run([sys.executable, bare], check=True)},
        repetitions=_REPETITIONS,
    )
    print(f"{_CLIPS} clips of 5 s, genre-v1, two workers, from the command to its end")
    print(
        f"    {seconds['job']:.2f} s; a cluster of two workers that does nothing"
        f" {seconds['bare']:.2f} s"
    )
    print(
        ratio("job / a cluster that does nothing", seconds["job"] / seconds["bare"], "at most 1.6")
    )


def _tracks(folder: Path) -> None:
    corpus = folder / "tracks"
    tracks(corpus, _TRACKS, ".wav", sr=22_050, channels=1)  # as those of GTZAN
    numbers = iter(range(1000))

    def job() -> None:
        table = folder / f"tracks-{next(numbers)}"
        options = ("--preset", "tutorial-v1", "--workers", "2")
        _command("extract", str(corpus), "--output", str(table), *options)
        assert _n_rows(table) == _TRACKS

    def bag() -> None:
        line = [sys.executable, "-m", "tests.benchmarks.bag", corpus, folder / "bag.parquet"]
        subprocess.run(line, check=True)
        assert pq.read_metadata(folder / "bag.parquet").num_rows == _TRACKS

    seconds = interleaved({"job": job, "bag": bag}, repetitions=2)
    print(f"{_TRACKS} WAVs of 30 s, 22.05 kHz mono, tutorial-v1, two workers, to the command's end")
    print(f"    {seconds['job']:.2f} s; dask.bag over a plain librosa loop {seconds['bag']:.2f} s")
    print(ratio("dask.bag with librosa / job", seconds["bag"] / seconds["job"], "at least 8"))


def _n_rows(table: Path) -> int:
    return sum(pq.read_metadata(part).num_rows for part in (table / "features").rglob("*.parquet"))


def _command(*arguments: str) -> None:
    line = [*_FEATURELIB, *arguments]
    subprocess.run(line, check=True, capture_output=True, env=_environment())


def _environment(**values: str) -> dict[str, str]:
    """Return the environment of a user, where Python keeps the bytecode of modules."""
    left_out = ("PYTHONDONTWRITEBYTECODE", *values)
    return {name: value for name, value in os.environ.items() if name not in left_out} | values
