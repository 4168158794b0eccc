"""What benchmarks listen to."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import soundfile

_DISTINCT = 4


def music_like(sr: int, channels: int, seconds: float = 30, seed: int = 0) -> np.ndarray:
    """Return a melody over noise: shape (n,) or (n, channels), float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * sr)) / sr
    notes = 220 * 2 ** (rng.integers(0, 24, size=int(4 * seconds) + 1) / 12)
    phase = 2 * np.pi * np.cumsum(notes[(t * 4).astype(int)]) / sr
    y = sum(np.sin(k * phase) / k for k in range(1, 6)) * (1 - (t * 4) % 1)
    y = 0.2 * y + 0.01 * rng.standard_normal(len(t))
    y = y.astype(np.float32)
    return y if channels == 1 else np.stack([y * 0.9**c for c in range(channels)], axis=1)


def tracks(folder: Path, n: int, suffix: str, *, sr: int = 44_100, channels: int = 2) -> list[Path]:
    """Write files of 30 s; a few differ, the others are copies."""
    folder.mkdir()
    paths = [folder / f"{number:04d}{suffix}" for number in range(n)]
    for number, path in enumerate(paths):
        if number < _DISTINCT:
            soundfile.write(path, music_like(sr, channels, seed=number), sr)
        else:
            shutil.copy(paths[number % _DISTINCT], path)
    return paths


def clips(folder: Path, n: int) -> list[Path]:
    """Write WAV files of one second, 22.05 kHz mono, all different."""
    sr = 22_050
    y = music_like(sr, 1, seconds=60)
    paths = []
    for number in range(n):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        start = number * 127 % (len(y) - sr)
        soundfile.write(path, y[start : start + sr], sr)
        paths.append(path)
    return paths
