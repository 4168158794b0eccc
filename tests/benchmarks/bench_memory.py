"""The memory that a ten-hour file takes, against that of a ten-minute one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import librosa
import numpy as np
import soundfile

import featurelib
from tests.benchmarks.signals import music_like
from tests.benchmarks.timing import ratio
from tests.featurelib.support import oracle

_SR = 44_100
_PIECE_S = 30
_LENGTHS = {"ten minutes": 600, "ten hours": 36_000}


def run(folder: Path) -> None:
    """Measure, check the ten minutes' values against a whole-file computation, and print."""
    print("one worker, genre-v1, FLAC of 44.1 kHz stereo: peak resident memory")
    peaks = {}
    for name, seconds in _LENGTHS.items():
        path = folder / f"{seconds}.flac"
        _write(path, seconds)
        started = time.perf_counter()
        peaks[name] = _peak(path)
        took = time.perf_counter() - started
        speed = seconds / took
        print(f"    {name:<12} {peaks[name]:8.1f} MiB   ({took:.0f} s, {speed:.0f} x real time)")
        if name == "ten minutes":
            _check(path)
        path.unlink()
    print(
        ratio(
            "ten hours - ten minutes [MiB]",
            peaks["ten hours"] - peaks["ten minutes"],
            "at most 150",
        )
    )


def _write(path: Path, seconds: int) -> None:
    """Write pieces that differ in loudness, of which the last is the loudest."""
    piece = music_like(_SR, 2, seconds=_PIECE_S)
    n = seconds // _PIECE_S
    with soundfile.SoundFile(path, "w", _SR, 2, format="FLAC", subtype="PCM_16") as file:
        for number in range(n):
            file.write(piece * np.float32(0.1 + 1.5 * number / n))


def _peak(path: Path) -> float:
    command = [sys.executable, "-m", "tests.benchmarks.one_worker", "peak", str(path)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    return float(result.stdout)


def _check(path: Path) -> None:
    spec = featurelib.get_spec("genre-v1")
    y, _ = librosa.load(path, sr=spec.sr)
    oracle.assert_close(featurelib.extract_columns(path, spec), oracle.columns(y, spec))
    print("    the ten minutes' values equal those of librosa over the whole file")
