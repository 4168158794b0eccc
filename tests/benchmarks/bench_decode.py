"""Decoding alone, against libsndfile's conversion to floating point, on one core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from featurelib import audio
from tests.benchmarks.signals import music_like
from tests.benchmarks.timing import interleaved, ratio

_SR = 44_100


def run(folder: Path) -> None:
    """Measure, check that the samples agree, and print."""
    for suffix, aim in ((".wav", "at most 0.4"), (".flac", "at most 0.75")):
        path = folder / f"a{suffix}"
        soundfile.write(path, music_like(_SR, 2), _SR)
        np.testing.assert_array_equal(
            np.concatenate([block.copy() for block in _decoded(path)]),
            soundfile.read(path, dtype="float32")[0],
        )
        seconds = interleaved(
            {
                "featurelib": lambda path=path: list(_decoded(path)),
                "libsndfile": lambda path=path: list(_converted(path)),
            },
            repetitions=31,
        )
        print(f"30 s {suffix[1:].upper()}, 44.1 kHz stereo, 16 bits")
        for name, value in seconds.items():
            print(f"    {name:<20} {1000 * value:8.2f} ms")
        print(ratio("featurelib / libsndfile", seconds["featurelib"] / seconds["libsndfile"], aim))


def _decoded(path: Path):
    with audio.open_audio(path) as file:
        for _, block in file.blocks():
            yield block


def _converted(path: Path):
    out = np.empty((audio.BLOCK_SAMPLES // 2, 2), np.float32)
    with soundfile.SoundFile(path) as file:
        file.seekable = lambda: False  # as in featurelib: no seek after each block
        while n := file.buffer_read_into(out, "float32"):
            yield out[:n]
