"""`tutorial-v1` against the plain librosa loop, on one core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

import featurelib
from tests.benchmarks.plain import plain_tutorial, plain_tutorial_signal
from tests.benchmarks.timing import interleaved

Row = Callable[[], dict[str, float]]
"""Makes one file's columns."""

_SECONDS = 30
_REPETITIONS = 9


def music_like(sr: int, channels: int, seconds: float = _SECONDS, seed: int = 0) -> np.ndarray:
    """Return a melody over noise: shape (n,) or (n, channels), float32."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * sr)) / sr
    notes = 220 * 2 ** (rng.integers(0, 24, size=int(4 * seconds) + 1) / 12)
    phase = 2 * np.pi * np.cumsum(notes[(t * 4).astype(int)]) / sr
    y = sum(np.sin(k * phase) / k for k in range(1, 6)) * (1 - (t * 4) % 1)
    y = 0.2 * y + 0.01 * rng.standard_normal(len(t))
    y = y.astype(np.float32)
    return y if channels == 1 else np.stack([y * 0.9**c for c in range(channels)], axis=1)


def run(folder: Path) -> None:
    """Measure, check that the values agree, and print."""
    print(f"tutorial-v1 against the plain librosa loop, {_SECONDS} s, one core (median ratios)")
    spec = featurelib.get_spec("tutorial-v1")
    featurelib.warm_up(spec)
    y = music_like(22050, 1)
    _report(
        "samples in memory, 22.05 kHz mono",
        lambda: plain_tutorial_signal(y, 22050),
        lambda: featurelib.extract_signal(y, 22050, spec).iloc[0].to_dict(),
    )
    for name, sr, channels in (("mono.wav", 22050, 1), ("stereo.mp3", 44100, 2)):
        path = folder / name
        soundfile.write(path, music_like(sr, channels), sr)
        _report(
            f"{path.suffix[1:].upper()}, {sr / 1000:g} kHz, {channels} channel(s)",
            lambda path=path: plain_tutorial(path),
            lambda path=path: {
                name: values[0] for name, values in featurelib.extract_columns(path, spec).items()
            },
        )


def _report(what: str, plain: Row, ours: Row) -> None:
    expected, found = plain(), ours()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    seconds = interleaved({"plain": plain, "ours": ours}, repetitions=_REPETITIONS)
    print(
        f"  {what:<36} librosa {1000 * seconds['plain']:6.1f} ms"
        f"   featurelib {1000 * seconds['ours']:6.1f} ms"
        f"   {seconds['plain'] / seconds['ours']:5.1f} x"
    )
