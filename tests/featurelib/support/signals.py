"""Signals to extract from, and audio files of them in memory."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile
import soxr

SR = 22_050


def time(seconds: float, sr: int = SR) -> np.ndarray:
    """Times of the samples of a signal [s]."""
    return np.arange(round(seconds * sr)) / sr


def sine(seconds: float = 2.0, *, frequency: float = 440.0, sr: int = SR) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * time(seconds, sr))).astype(np.float32)


def chord(seconds: float = 2.0, *, sr: int = SR, detune: float = 0.0) -> np.ndarray:
    """Three decaying notes with overtones, `detune` semitones off A440's scale."""
    t = time(seconds, sr)
    y = np.zeros_like(t)
    for note in (-9, -5, -2):
        base = 440.0 * 2 ** ((note + detune) / 12)
        y += sum(np.sin(2 * np.pi * base * k * t) / k for k in range(1, 6))
    return (0.1 * y * np.exp(-t)).astype(np.float32)


def noise(seconds: float = 2.0, *, sr: int = SR, seed: int = 0, level: float = 0.1) -> np.ndarray:
    n = round(seconds * sr)
    return (level * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


def clicks(seconds: float = 2.0, *, sr: int = SR) -> np.ndarray:
    """Faint noise with single loud samples."""
    y = noise(seconds, sr=sr, level=1e-3)
    y[:: sr // 3] = 0.9
    return y


def fading(seconds: float = 3.0, *, sr: int = SR) -> np.ndarray:
    """Noise whose level falls by 140 dB, then silence, so that every top_db has an effect."""
    y = noise(seconds, sr=sr) * 10 ** (-7 * time(seconds, sr) / seconds)
    y[-sr // 2 :] = 0
    return y.astype(np.float32)


def sweep(seconds: float = 2.0, *, sr: int = SR) -> np.ndarray:
    t = time(seconds, sr)
    return (0.4 * np.sin(2 * np.pi * (50 * t + sr / 5 * t**2 / seconds))).astype(np.float32)


def upsampled(seconds: float = 3.0) -> np.ndarray:
    """A chord in noise, resampled from 8 kHz: above 4 kHz there are only rounding errors."""
    y = chord(seconds, sr=8000) + noise(seconds, sr=8000, level=0.01)
    return soxr.resample(y.astype(np.float64), 8000, SR, quality="VHQ").astype(np.float32)


def in_16_bits(y: np.ndarray) -> np.ndarray:
    return (np.round(y * 32768) / 32768).astype(np.float32)


def with_gaps(y: np.ndarray) -> np.ndarray:
    """y with exact zeros in the middle, and after a fade at the end."""
    third = len(y) // 3
    y = y.copy()
    y[third : 2 * third] = 0
    y[2 * third :] *= np.clip(np.linspace(2, -1, len(y) - 2 * third), 0, 1)
    return y


SIGNALS = {
    "sine": sine(),
    "chord": chord(),
    "detuned": chord(detune=0.23),
    "noise": noise(),
    "clicks": clicks(),
    "fading": fading(),
    "sweep": sweep(),
    "silence": np.zeros(SR, np.float32),
    "constant": np.full(SR, 0.25, np.float32),
    "short": noise(0.05),
    "upsampled": upsampled(),
    "upsampled, 16 bit": in_16_bits(upsampled()),
    "upsampled, gaps": with_gaps(upsampled()),
    "dither": in_16_bits(noise(level=0.5 / 32768)),
}


def encode(y: np.ndarray, sr: int = SR, *, fmt: str = "WAV", **kwargs: Any) -> bytes:
    """Content of an audio file of y, shape (n,) or (n, channels); by default WAV of float32."""
    if fmt == "WAV":
        kwargs.setdefault("subtype", "FLOAT")
    file = io.BytesIO()
    soundfile.write(file, y, sr, format=fmt, **kwargs)
    return file.getvalue()
