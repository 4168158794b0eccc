"""Synthesize a small labelled corpus of music, for the demo and for tests.

It has six kinds of signals that a genre classifier can distinguish, in various formats,
rates and channel counts. The same seed gives the same samples in every file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

#: Random bytes without an MPEG frame, which cannot be decoded.
CORRUPT = Path("metal/metal.corrupt.mp3")

#: A file of 0 bytes.
EMPTY = Path("jazz/jazz.empty.wav")

#: Three seconds of zeros: a valid file of silence.
SILENT = Path("ambient/ambient.silent.flac")


class _Encoding(NamedTuple):
    suffix: str
    subtype: str | None
    sr: int
    channels: int


_ENCODINGS = (
    _Encoding(".wav", "PCM_16", 22050, 1),
    _Encoding(".mp3", None, 44100, 2),
    _Encoding(".flac", "PCM_16", 44100, 2),
    _Encoding(".ogg", "VORBIS", 32000, 1),
    _Encoding(".wav", "PCM_24", 44100, 2),
    _Encoding(".mp3", None, 22050, 1),
    _Encoding(".wav", "FLOAT", 48000, 2),
    _Encoding(".ogg", "VORBIS", 44100, 2),
    _Encoding(".flac", "PCM_24", 48000, 1),
    _Encoding(".wav", "PCM_16", 8000, 1),
)

_MAJOR = (0, 4, 7, 12)
_MINOR = (0, 3, 7, 12)


def synthesize_corpus(folder: str | Path, *, n_files: int = 60, seed: int = 0) -> list[Path]:
    """Write a corpus in the GTZAN layout, ``folder/<genre>/<genre>.00000.wav`` and so on.

    Parameters
    ----------
    folder : str or Path
        The corpus root; created if missing. Files of the same names are replaced.
    n_files : int
        Number of files, at least 3, including `CORRUPT`, `EMPTY` and `SILENT`.
    seed : int
        Seed of the music. Equal seeds give equal samples, but not always equal bytes: Ogg
        streams have a random serial number, and WAV files of floats have a date.

    Returns
    -------
    list of Path
        The files, sorted.
    """
    if n_files < 3:
        raise ValueError(f"n_files={n_files} is less than the three special files")
    folder = Path(folder)
    for genre in GENRES:
        (folder / genre).mkdir(parents=True, exist_ok=True)

    noise = np.random.default_rng(seed).integers(0, 255, 20_000, dtype=np.uint8)  # never 255
    (folder / CORRUPT).write_bytes(noise.tobytes())
    (folder / EMPTY).write_bytes(b"")
    soundfile.write(folder / SILENT, np.zeros(3 * 22050, np.float32), 22050)
    paths = [folder / CORRUPT, folder / EMPTY, folder / SILENT]

    names = list(GENRES)
    for i in range(n_files - len(paths)):
        genre, number = names[i % len(names)], i // len(names)
        encoding = _ENCODINGS[number % len(_ENCODINGS)]
        path = folder / genre / f"{genre}.{number:05d}{encoding.suffix}"
        y = synthesize(genre, encoding.sr, channels=encoding.channels, seed=(seed, i))
        soundfile.write(path, y, encoding.sr, subtype=encoding.subtype)
        paths.append(path)
    return sorted(paths)


def synthesize(
    genre: str, sr: int, *, channels: int = 1, seed: int | tuple[int, ...] = 0
) -> np.ndarray:
    """Synthesize two to five seconds of one genre.

    Parameters
    ----------
    genre : str
        One of `GENRES`.
    sr : int
        Sampling rate [Hz].
    channels : int
        1, or 2 for a second channel that is delayed and quieter.
    seed : int or tuple of int
        Determines tempo, key, notes, length and level.

    Returns
    -------
    np.ndarray [shape=(n,) or (n, 2), dtype=float32]
        Samples within ±0.9.
    """
    rng = np.random.default_rng(seed)
    n = round(rng.uniform(2, 5) * sr)
    y = GENRES[genre](rng, n, sr)
    y = rng.uniform(0.3, 0.9) * y / np.max(np.abs(y))
    if channels == 2:
        delay = sr // 100
        y = np.column_stack([y, 0.8 * np.concatenate([np.zeros(delay), y[:-delay]])])
    return y.astype(np.float32)


def _folk(rng: np.random.Generator, n: int, sr: int) -> np.ndarray:
    """Return arpeggios on a plucked string."""
    y = np.zeros(n)
    chord = _MAJOR if rng.random() < 0.5 else _MINOR
    root = int(rng.integers(45, 58))
    for k, start in enumerate(_every(30 / rng.uniform(80, 120), n, sr)):
        step = chord[(0, 1, 2, 3, 2, 1)[k % 6]] + (0, 5, 7, 0)[k // 6 % 4]
        _add(y, start, _pluck(rng, _hertz(root + step), round(1.5 * sr), sr))
    return y


def _disco(rng: np.random.Generator, n: int, sr: int) -> np.ndarray:
    """Return four kicks per bar, off-beat hi-hats, claps and a bass in eighths."""
    y = np.zeros(n)
    beat = 60 / rng.uniform(110, 130)
    root = int(rng.integers(33, 41))
    for k, start in enumerate(_every(beat, n, sr)):
        _add(y, start, _kick(sr))
        _add(y, start + round(beat / 2 * sr), 0.3 * _hiss(rng, 0.03, sr))
        if k % 2:
            _add(y, start, 0.5 * _hiss(rng, 0.08, sr))
    for k, start in enumerate(_every(beat / 2, n, sr)):
        note = _hertz(root + 12 * (k % 2) + (0, 0, 5, 7)[k // 8 % 4])
        _add(y, start, 0.4 * _decay(_saw(note, _time(beat / 2, sr), sr), 0.15, sr))
    return y


def _ambient(rng: np.random.Generator, n: int, sr: int) -> np.ndarray:
    """Return slow chords of detuned tones with vibrato that swell and fade."""
    y = np.zeros(n)
    root = int(rng.integers(48, 60))
    seconds = rng.uniform(2.0, 3.0)
    t = _time(seconds, sr)
    swell = np.sin(np.pi * t / seconds) ** 2
    for k, start in enumerate(_every(seconds / 2, n, sr)):
        for step in _MINOR if k % 2 else _MAJOR:
            frequency = _hertz(root + step + (0, -4, 5, 3)[k % 4]) * rng.uniform(0.997, 1.003)
            vibrato = 0.3 * np.sin(2 * np.pi * rng.uniform(4, 6) * t)
            phase = 2 * np.pi * frequency * t + vibrato
            _add(y, start, swell * (np.sin(phase) + 0.3 * np.sin(2 * phase)))
    return y


def _metal(rng: np.random.Generator, n: int, sr: int) -> np.ndarray:
    """Return distorted power chords in sixteenths over loud cymbals."""
    y = np.zeros(n)
    sixteenth = 15 / rng.uniform(140, 180)
    root = int(rng.integers(38, 44))
    for k, start in enumerate(_every(sixteenth, n, sr)):
        t = _time(sixteenth, sr)
        low = _hertz(root + (0, 0, 3, 5, 0, 6)[k // 4 % 6])
        chord = _saw(low, t, sr) + _saw(1.5 * low, t, sr)
        _add(y, start, np.tanh(6 * chord) * (0.9 if k % 4 else 1.0))
        _add(y, start, 0.8 * _kick(sr))
        if k % 8 == 4:
            _add(y, start, 1.5 * _hiss(rng, 0.12, sr))
    return np.tanh(1.5 * y) + 0.25 * rng.standard_normal(n)


def _jazz(rng: np.random.Generator, n: int, sr: int) -> np.ndarray:
    """Return a walking bass and a swung ride cymbal."""
    y = np.zeros(n)
    beat = 60 / rng.uniform(110, 160)
    note = int(rng.integers(36, 46))
    for k, start in enumerate(_every(beat, n, sr)):
        note = int(np.clip(note + rng.choice([-2, -1, 1, 2, 3]), 33, 52))
        t = _time(beat, sr)
        harmonics = [np.sin(2 * np.pi * h * _hertz(note) * t) / h**2 for h in (1, 2, 3)]
        _add(y, start, _decay(np.sum(harmonics, axis=0), 0.4, sr))
        for offset in (0, 2 / 3) if k % 2 else (0,):
            _add(y, start + round(offset * beat * sr), 0.25 * _ride(rng, sr))
    return y


def _vocal(rng: np.random.Generator, n: int, sr: int) -> np.ndarray:
    """Return syllables: a gliding voice through the formants of vowels, with pauses."""
    vowels = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))
    y = np.zeros(n)
    pitch = rng.uniform(100, 220)
    start = 0
    while start < n:
        seconds = rng.uniform(0.15, 0.35)
        t = _time(seconds, sr)
        glide = pitch * (1 + rng.uniform(-0.2, 0.2) * t / seconds)
        phase = 2 * np.pi * np.cumsum(glide) / sr
        formants = np.array(vowels[rng.integers(len(vowels))])
        syllable = np.zeros(t.size)
        for h in range(1, int(min(4000, 0.4 * sr) / pitch)):
            gain = np.exp(-(((h * pitch - formants) / 150) ** 2)).sum() + 0.02
            syllable += gain * np.sin(h * phase)
        _add(y, start, syllable * np.sin(np.pi * t / seconds))
        start += round((seconds + rng.choice([0.02, 0.05, 0.3])) * sr)
    return y + 0.002 * rng.standard_normal(n)


#: By label, the function that synthesizes samples from a generator, their number and a rate.
GENRES: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "ambient": _ambient,
    "disco": _disco,
    "folk": _folk,
    "jazz": _jazz,
    "metal": _metal,
    "vocal": _vocal,
}


def _hertz(midi: float) -> float:
    return float(440.0 * 2 ** ((midi - 69) / 12))


def _time(seconds: float, sr: int) -> np.ndarray:
    return np.arange(round(seconds * sr)) / sr


def _every(seconds: float, n: int, sr: int) -> range:
    """Return the starts of events at equal distances, in samples."""
    return range(0, n, round(seconds * sr))


def _add(y: np.ndarray, start: int, event: np.ndarray) -> None:
    """Mix an event into `y`, in place; cut it off at the end."""
    room = max(0, y.size - start)
    y[start : start + event.size] += event[:room]


def _decay(y: np.ndarray, seconds: float, sr: int) -> np.ndarray:
    return y * np.exp(-np.arange(y.size) / (seconds * sr))


def _saw(frequency: float, t: np.ndarray, sr: int) -> np.ndarray:
    """Return a sawtooth of at most 20 harmonics, all below the Nyquist frequency."""
    harmonics = range(1, min(20, int(0.45 * sr / frequency)) + 1)
    return np.asarray(sum(np.sin(2 * np.pi * h * frequency * t) / h for h in harmonics))


def _pluck(rng: np.random.Generator, frequency: float, n: int, sr: int) -> np.ndarray:
    """Return a plucked string by Karplus and Strong: noise in a loop with an averaging filter."""
    period = round(sr / frequency)
    y = np.zeros(n)
    y[: period + 1] = rng.uniform(-1, 1, period + 1)
    for start in range(period + 1, n, period):
        stop = min(start + period, n)
        before = y[start - period - 1 : stop - period]
        y[start:stop] = 0.498 * (before[1:] + before[:-1])
    return y


def _kick(sr: int) -> np.ndarray:
    t = _time(0.25, sr)
    sweep = 45 * t + 3.0 * (1 - np.exp(-t / 0.03))  # falls to 45 Hz
    return _decay(np.sin(2 * np.pi * sweep), 0.08, sr)


def _hiss(rng: np.random.Generator, seconds: float, sr: int) -> np.ndarray:
    """Return a burst of noise without low frequencies."""
    return _decay(np.diff(rng.standard_normal(round(5 * seconds * sr) + 1)), seconds, sr)


def _ride(rng: np.random.Generator, sr: int) -> np.ndarray:
    """Return a cymbal: hiss, and high inharmonic partials."""
    t = _time(0.5, sr)
    partials = [f for f in (2950, 4130, 5480, 6970, 8230) if f < 0.45 * sr]
    ring = np.asarray(sum(np.sin(2 * np.pi * f * t) for f in partials))
    return _decay(0.3 * ring, 0.2, sr) + 0.5 * _hiss(rng, 0.1, sr)[: t.size]
