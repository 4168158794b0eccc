"""What one would write with librosa alone: the loop that `tutorial-v1` stands for."""

from __future__ import annotations

import os
from typing import Any

import librosa
import numpy as np


def plain_tutorial(source: str | os.PathLike[str]) -> dict[str, float]:
    """Return the tutorial's 26 columns of a file, each by its own librosa call."""
    y, sr = librosa.load(source, mono=True, duration=30)
    return plain_tutorial_signal(y, sr)


def plain_tutorial_signal(y: np.ndarray, sr: float) -> dict[str, float]:
    """Return the tutorial's 26 columns of samples, each by its own librosa call."""
    feature: Any = librosa.feature
    row = {
        "chroma_stft": feature.chroma_stft(y=y, sr=sr),
        "rmse": feature.rms(y=y),
        "spectral_centroid": feature.spectral_centroid(y=y, sr=sr),
        "spectral_bandwidth": feature.spectral_bandwidth(y=y, sr=sr),
        "rolloff": feature.spectral_rolloff(y=y, sr=sr),
        "zero_crossing_rate": feature.zero_crossing_rate(y),
    }
    values = {name: float(np.mean(series)) for name, series in row.items()}
    for number, series in enumerate(feature.mfcc(y=y, sr=sr), start=1):
        values[f"mfcc{number}"] = float(np.mean(series))
    return values
