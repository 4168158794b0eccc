"""The expected values: librosa called directly, each descriptor by a call of its own."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from unittest import mock

import librosa
import librosa.feature.spectral
import numpy as np
import scipy.stats

from featurelib import FeatureSpec

#: Value of a column, and root mean square of the frame series behind it.
Expected = dict[str, tuple[float, float]]


def frame_series(y: np.ndarray, spec: FeatureSpec) -> dict[str, np.ndarray]:
    """The frame series of every family, of shape (rows, frames), by librosa's names."""
    stft = {
        "n_fft": spec.n_fft,
        "hop_length": spec.hop_length,
        "window": spec.window,
        "center": spec.center,
        "pad_mode": spec.pad_mode,
    }
    frames = {
        "frame_length": spec.n_fft,
        "hop_length": spec.hop_length,
        "center": spec.center,
    }
    rate = {"sr": spec.sr}
    feature = librosa.feature
    # Of contrast, librosa has no argument for the range.
    in_db = functools.partial(librosa.power_to_db, top_db=spec.top_db)
    with (
        warnings.catch_warnings(),
        mock.patch.object(librosa.feature.spectral, "power_to_db", in_db),
    ):
        warnings.simplefilter("ignore")  # librosa warns of short and of toneless signals
        S = np.abs(librosa.stft(y, **stft))
        mel = feature.melspectrogram(y=y, n_mels=spec.n_mels, **rate, **stft)
        mel_db = in_db(mel)
        return {
            "rms": feature.rms(y=y, pad_mode=spec.pad_mode, **frames),
            "zero_crossing_rate": feature.zero_crossing_rate(y, **frames),
            "spectral_centroid": feature.spectral_centroid(y=y, **rate, **stft),
            "spectral_bandwidth": feature.spectral_bandwidth(y=y, **rate, **stft),
            "spectral_rolloff": feature.spectral_rolloff(
                y=y, roll_percent=spec.roll_percent, **rate, **stft
            ),
            "spectral_flatness": feature.spectral_flatness(y=y, **stft),
            "spectral_flux": _flux(S),
            "spectral_contrast": feature.spectral_contrast(
                y=y,
                fmin=spec.contrast_fmin,
                n_bands=spec.n_bands,
                quantile=spec.contrast_quantile,
                **rate,
                **stft,
            ),
            "mfcc": feature.mfcc(S=mel_db, n_mfcc=spec.n_mfcc, **rate),
            "chroma_stft": feature.chroma_stft(y=y, n_chroma=spec.n_chroma, **rate, **stft),
            "stft": S.reshape(1, -1),
            "stft_db": librosa.amplitude_to_db(S, ref=1.0, amin=1e-5, top_db=None).reshape(1, -1),
        }


def _flux(S: np.ndarray) -> np.ndarray:
    S = S.astype(np.float64)
    totals = S.sum(axis=0)
    shape = np.divide(S, totals, out=np.zeros_like(S), where=totals > 0)
    return np.linalg.norm(np.diff(shape, axis=1), axis=0)[np.newaxis]


def statistic(values: np.ndarray, name: str) -> float:
    """A population statistic by NumPy and SciPy; 0 where it is undefined."""
    values = np.asarray(values, np.float64).ravel()
    if len(values) == 0:
        return 0.0
    if name in ("skew", "kurtosis"):
        return float(getattr(scipy.stats, name)(values)) if np.ptp(values) else 0.0
    return float(getattr(np, name)(values))


def columns(y: np.ndarray, spec: FeatureSpec) -> Expected:
    """Every feature column of a spec that numbers its columns."""
    result: Expected = {}
    series = frame_series(y, spec)
    for family, statistics in spec.features:
        rows = series[family]
        numbered = family in ("spectral_contrast", "mfcc", "chroma_stft")
        if family in spec.pooled:
            rows, numbered = rows.reshape(1, -1), False
        for i, row in enumerate(rows):
            base = f"{family}_{i + 1:02d}" if numbered else family
            for name in statistics:
                result[f"{base}_{name}"] = (statistic(row, name), _rms(row))
    return result


def tutorial(y: np.ndarray) -> Expected:
    """The tutorial's columns, as its script computes them."""
    sr = 22_050
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        series = {
            "chroma_stft": librosa.feature.chroma_stft(y=y, sr=sr),
            "rmse": librosa.feature.rms(y=y),
            "spectral_centroid": librosa.feature.spectral_centroid(y=y, sr=sr),
            "spectral_bandwidth": librosa.feature.spectral_bandwidth(y=y, sr=sr),
            "rolloff": librosa.feature.spectral_rolloff(y=y, sr=sr),
            "zero_crossing_rate": librosa.feature.zero_crossing_rate(y),
        }
        for i, row in enumerate(librosa.feature.mfcc(y=y, sr=sr)):
            series[f"mfcc{i + 1}"] = row
    return {name: (float(np.mean(values)), _rms(values)) for name, values in series.items()}


def _rms(values: np.ndarray) -> float:
    values = np.asarray(values, np.float64)
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def assert_close(got: Mapping[str, list], expected: Expected, *, absolute: float = 0.0) -> None:
    """Compare columns of one row, as the table holds them, within the promised tolerance."""
    problems = []
    for name, (value, rms) in expected.items():
        (number,) = got[name]
        stored = float(np.float32(number))
        if not abs(stored - value) <= 1e-4 * abs(value) + 1e-6 * rms + absolute:
            problems.append(f"{name}: {stored!r}, expected {value!r}")
    assert not problems, "\n".join(problems)
