"""Small audio files for tests, and where the real recordings are."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

REAL_AUDIO = Path(
    os.environ.get("FEATURELIB_TEST_AUDIO")
    or Path(__file__).resolve().parents[3] / "shared" / "audio"
)
"""The folder of real recordings; not everybody has it, so see that it exists."""

_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3", ".aiff": "AIFF"}


def real_recordings(*folders: str) -> list[Path]:
    """List the real recordings' files, sorted, for parametrising a test.

    Parameters
    ----------
    *folders
        Folders under `REAL_AUDIO`, such as ``"music"``; all of it by default.

    Returns
    -------
    list of Path
        Audio files only; empty where the recordings are missing.
    """
    found = (path for name in folders or (".",) for path in (REAL_AUDIO / name).rglob("*"))
    return sorted(path for path in found if path.suffix.lower() in _FORMATS and path.is_file())


def tone(
    frequency: float = 440.0,
    *,
    seconds: float = 1.0,
    sr: int = 22050,
    channels: int = 1,
    amplitude: float = 0.5,
) -> np.ndarray:
    """Make a tone with two weaker harmonics and a little noise, the same at every call.

    Returns
    -------
    np.ndarray [shape=(n,) or (n, channels)]
        float32 samples; every further channel is 3 dB quieter than the one before it.
    """
    t = np.arange(round(seconds * sr)) / sr
    y = sum(np.sin(2 * np.pi * frequency * k * t) / k**2 for k in (1, 2, 3))
    y = y + 0.01 * np.random.default_rng(0).standard_normal(t.size)
    y = (amplitude / 1.4 * y).astype(np.float32)
    if channels == 1:
        return y
    gains = 10.0 ** (-3.0 / 20 * np.arange(channels))
    return (y[:, np.newaxis] * gains).astype(np.float32)


def write_audio(path: str | Path, y: np.ndarray, sr: int = 22050, **kwargs: Any) -> Path:
    """Write samples to `path` in the format of its suffix; folders are made.

    `kwargs` go to `soundfile.write`: ``subtype="FLOAT"``, for instance.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Through a file object: soundfile encodes a name as UTF-8, and ours may not be.
    with path.open("wb") as file:
        kwargs.setdefault("format", _FORMATS[path.suffix.lower()])
        soundfile.write(file, y, sr, **kwargs)
    return path


def write_tone(
    path: str | Path,
    frequency: float = 440.0,
    *,
    seconds: float = 0.5,
    sr: int = 22050,
    channels: int = 1,
    amplitude: float = 0.5,
    **kwargs: Any,
) -> Path:
    """Write a `tone` to `path`; `kwargs` are those of `write_audio`."""
    y = tone(frequency, seconds=seconds, sr=sr, channels=channels, amplitude=amplitude)
    return write_audio(path, y, sr, **kwargs)


def make_corpus(
    folder: str | Path,
    files: dict[str, int],
    *,
    suffixes: tuple[str, ...] = (".wav",),
    seconds: float = 0.5,
    sr: int = 22050,
) -> list[Path]:
    """Write labelled tones, ``folder/<label>/<label>.00000.wav`` and so on.

    Parameters
    ----------
    folder
        The corpus' root.
    files
        How many files each label gets. Every file has a frequency of its own.
    suffixes
        Formats, used in turn.

    Returns
    -------
    list of Path
        The files in the order of `files`.
    """
    paths: list[Path] = []
    for label, count in files.items():
        for i in range(count):
            name = f"{label}.{i:05d}{suffixes[i % len(suffixes)]}"
            frequency = 110.0 * 2 ** (len(paths) % 48 / 12)
            path = Path(folder) / label / name
            paths.append(write_tone(path, frequency, seconds=seconds, sr=sr))
    return paths


def open_below(folder: Path) -> list[str]:
    """Return what this process has open in a folder, by name; others come and go meanwhile."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed since
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return [link for link in links if Path(folder) in Path(link).parents]
