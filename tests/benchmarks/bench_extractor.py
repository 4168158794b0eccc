"""One signal or file against the plain librosa loop and against the floor, on one core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

import featurelib
from jobs.execution.native import keep_freed_memory
from tests.benchmarks.floors import file_floor, transform_floor
from tests.benchmarks.plain import plain_tutorial, plain_tutorial_signal
from tests.benchmarks.signals import music_like
from tests.benchmarks.timing import interleaved, ratio

Row = Callable[[], dict[str, float]]
"""Makes one file's columns."""

SR = 22_050


def run(folder: Path) -> None:
    """Measure, check that the values agree, and print."""
    keep_freed_memory()  # as in a worker
    for preset in featurelib.PRESETS:
        featurelib.warm_up(preset)
    y = music_like(SR, 1)
    _in_memory("30 s in memory, 22.05 kHz mono", y, repetitions=15)
    _in_memory("1 s in memory, 22.05 kHz mono", y[:SR].copy(), repetitions=101)
    for name, sr, channels in (("mono.wav", SR, 1), ("stereo.mp3", 44_100, 2)):
        path = folder / name
        soundfile.write(path, music_like(sr, channels), sr)
        _of_file(path, f"30 s {path.suffix[1:].upper()}, {sr / 1000:g} kHz, {channels} channel(s)")


def _in_memory(what: str, y: np.ndarray, *, repetitions: int) -> None:
    plain = lambda: plain_tutorial_signal(y, SR)  # noqa: E731
    tutorial = _columns(lambda: featurelib.extract_signal_columns(y, SR, "tutorial-v1"))
    genre = _columns(lambda: featurelib.extract_signal_columns(y, SR, "genre-v1"))
    _check(plain, tutorial)
    _print(
        what,
        interleaved(
            {
                "plain loop": plain,
                "tutorial-v1": tutorial,
                "genre-v1": genre,
                "rfft float32": transform_floor(y, np.float32),
                "rfft float64": transform_floor(y, np.float64),
            },
            repetitions=repetitions,
        ),
        [
            ("plain loop", "tutorial-v1", "at least 12"),
            ("tutorial-v1", "rfft float32", "at most 3"),
            ("genre-v1", "rfft float64", "at most 3.2"),
        ][: 1 if len(y) == SR else 3],
    )


def _of_file(path: Path, what: str) -> None:
    plain = lambda: plain_tutorial(path)  # noqa: E731
    tutorial = _columns(lambda: featurelib.extract_columns(path, "tutorial-v1"))
    _check(plain, tutorial)
    floor = "decode + resample + rfft float32"
    mono = path.suffix == ".wav"
    _print(
        what,
        interleaved(
            {
                "plain loop": plain,
                "tutorial-v1": tutorial,
                "genre-v1": _columns(lambda: featurelib.extract_columns(path, "genre-v1")),
                floor: file_floor(path, np.float32),
            },
            repetitions=9,
        ),
        [
            ("plain loop", "tutorial-v1", "at least 12" if mono else "at least 4.5"),
            ("tutorial-v1", floor, "" if mono else "at most 1.4"),
        ],
    )


def _columns(call: Callable[[], dict[str, list]]) -> Row:
    return lambda: {name: values[0] for name, values in call().items()}


def _check(plain: Row, ours: Row) -> None:
    found = ours()
    for name, value in plain().items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def _print(what: str, seconds: dict[str, float], ratios: list[tuple[str, str, str]]) -> None:
    print(f"{what}, one core, medians")
    for name, value in seconds.items():
        print(f"    {name:<34} {1000 * value:8.2f} ms")
    for over, under, aim in ratios:
        print(ratio(f"{over} / {under}", seconds[over] / seconds[under], aim))
