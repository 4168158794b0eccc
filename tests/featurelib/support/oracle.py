"""Expected values: librosa is called directly, once per feature."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import librosa
import librosa.feature.spectral
import numpy as np
import scipy.stats

from featurelib import Entry, Feature, FeatureSpec

#: Value of a column, and root mean square of its frame series.
Expected = dict[str, tuple[float, float]]


def frame_series(y: np.ndarray, sr: int, feature: Feature) -> np.ndarray:
    """Frame series of a feature, shape (rows, frames), or its single value.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        The signal.
    sr : int
        Sampling rate [Hz].
    feature : Feature
        Only its parameters are read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns about short and about toneless signals
        return SERIES[feature.family](y, sr, feature)


def _stft_arguments(stft: Any) -> dict[str, Any]:
    frames = stft.frames
    return {
        "n_fft": frames.n_fft,
        "hop_length": frames.hop_length,
        "window": stft.window,
        "center": frames.center,
        "pad_mode": frames.pad_mode,
    }


def _frame_arguments(frames: Any) -> dict[str, Any]:
    return {
        "frame_length": frames.n_fft,
        "hop_length": frames.hop_length,
        "center": frames.center,
    }


def _rms(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    frames = feature.frames
    return librosa.feature.rms(y=y, pad_mode=frames.pad_mode, **_frame_arguments(frames))


def _zero_crossing_rate(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return librosa.feature.zero_crossing_rate(y, **_frame_arguments(feature.frames))


def _spectral_centroid(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return librosa.feature.spectral_centroid(y=y, sr=sr, **_stft_arguments(feature.stft))


def _spectral_bandwidth(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    stft = _stft_arguments(feature.stft)
    return librosa.feature.spectral_bandwidth(y=y, sr=sr, p=feature.p, **stft)


def _spectral_rolloff(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    stft = _stft_arguments(feature.stft)
    return librosa.feature.spectral_rolloff(y=y, sr=sr, roll_percent=feature.roll_percent, **stft)


def _spectral_flatness(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return librosa.feature.spectral_flatness(y=y, **_stft_arguments(feature.stft))


def _spectral_flux(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    S = _stft(y, sr, feature).astype(np.float64)
    totals = S.sum(axis=0)
    shape = np.divide(S, totals, out=np.zeros_like(S), where=totals > 0)
    return np.linalg.norm(np.diff(shape, axis=1), axis=0)[np.newaxis]


def _spectral_contrast(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    # librosa has no argument for top_db.
    in_db = functools.partial(librosa.power_to_db, top_db=feature.top_db)
    with mock.patch.object(librosa.feature.spectral, "power_to_db", in_db):
        return librosa.feature.spectral_contrast(
            y=y,
            sr=sr,
            fmin=feature.fmin,
            n_bands=feature.n_bands,
            quantile=feature.quantile,
            **_stft_arguments(feature.stft),
        )


def _mfcc(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    mel = feature.mel.mel
    S = librosa.feature.melspectrogram(
        y=y,
        sr=sr,
        n_mels=mel.n_mels,
        fmin=mel.fmin,
        fmax=mel.fmax,
        **_stft_arguments(mel.stft),
    )
    S_db = librosa.power_to_db(S, top_db=feature.mel.top_db)
    # In float32, rounding errors of the cosine transform exceed the tolerance of its deltas.
    return librosa.feature.mfcc(S=S_db.astype(np.float64), sr=sr, n_mfcc=feature.n_mfcc)


def _chroma_stft(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    stft = _stft_arguments(feature.stft)
    return librosa.feature.chroma_stft(y=y, sr=sr, n_chroma=feature.n_chroma, **stft)


def _stft(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return np.abs(librosa.stft(y, **_stft_arguments(feature.stft)))


def _stft_db(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return librosa.amplitude_to_db(_stft(y, sr, feature), ref=1.0, amin=1e-5, top_db=None)


def _tuning(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    power = _stft(y, sr, feature) ** 2
    n_fft, bins_per_octave = feature.stft.frames.n_fft, feature.bins_per_octave
    tuning = librosa.estimate_tuning(S=power, sr=sr, n_fft=n_fft, bins_per_octave=bins_per_octave)
    return np.array([[tuning]])


def _delta(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    # In float32, rounding errors of librosa's sums exceed the tolerance.
    series = frame_series(y, sr, feature.of).astype(np.float64)
    return librosa.feature.delta(series, width=feature.delta_width, order=feature.order)


#: Function that computes the frame series of each family.
SERIES: dict[str, Callable[[np.ndarray, int, Any], np.ndarray]] = {
    "rms": _rms,
    "zero_crossing_rate": _zero_crossing_rate,
    "spectral_centroid": _spectral_centroid,
    "spectral_bandwidth": _spectral_bandwidth,
    "spectral_rolloff": _spectral_rolloff,
    "spectral_flatness": _spectral_flatness,
    "spectral_flux": _spectral_flux,
    "spectral_contrast": _spectral_contrast,
    "mfcc": _mfcc,
    "chroma_stft": _chroma_stft,
    "stft": _stft,
    "stft_db": _stft_db,
    "tuning": _tuning,
    "delta": _delta,
}

#: Families with a column for each row.
NUMBERED = frozenset(("spectral_contrast", "mfcc", "chroma_stft"))


def statistic(values: np.ndarray, name: str) -> float:
    """A population statistic by NumPy and SciPy; 0 where it is undefined."""
    values = np.asarray(values, np.float64).ravel()
    if len(values) == 0:
        return 0.0
    if name in ("skew", "kurtosis"):
        return float(getattr(scipy.stats, name)(values)) if np.ptp(values) else 0.0
    if re.fullmatch(r"q[\d_]+", name):
        return float(np.quantile(values, float(name[1:].replace("_", ".")) / 100))
    return float(getattr(np, name)(values))


def columns(y: np.ndarray, spec: FeatureSpec, sr: int | None = None) -> Expected:
    """All feature columns of a spec that have one number per row.

    `sr` is the sampling rate of the signal [Hz], for a spec of native rate.
    """
    result: Expected = {}
    for entry in spec.features:
        series = frame_series(y, sr or spec.sr, entry.feature)
        for row, values in _populations(entry, series):
            for name in entry.statistics:
                if name != "series":
                    column = column_name(entry, row, name)
                    result[column] = (statistic(values, name), root_mean_square(values))
            if entry.feature.family == "tuning":
                result[column_name(entry, row, "")] = (float(values[0]), root_mean_square(values))
    return result


def _populations(entry: Entry, series: np.ndarray) -> Iterator[tuple[int | None, np.ndarray]]:
    feature: Any = entry.feature
    while feature.family == "delta":
        feature = feature.of
    if feature.family in NUMBERED and not entry.pooled:
        yield from enumerate(series)
    else:
        yield None, series.ravel()


def column_name(entry: Entry, row: int | None, statistic: str) -> str:
    """Name of a column from an entry's template; fields without a value are left out."""
    template = entry.columns
    if row is None:
        template = re.sub(r"_?\{row[^}]*\}", "", template)
    if not statistic:
        template = re.sub(r"_?\{stat\}", "", template)
    return template.format(name=entry.name, row=(row or 0) + 1, stat=statistic)


def tutorial(y: np.ndarray) -> Expected:
    """Columns of the tutorial preset, computed as in the tutorial's script."""
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
    return {
        name: (float(np.mean(values)), root_mean_square(values)) for name, values in series.items()
    }


def root_mean_square(values: np.ndarray) -> float:
    """Root mean square of all values; 0 without values."""
    values = np.asarray(values, np.float64)
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0


def assert_close(got: Mapping[str, list], expected: Expected, *, absolute: float = 0.0) -> None:
    """Compare the columns of one row within the promised tolerance."""
    problems = []
    for name, (value, rms) in expected.items():
        (number,) = got[name]
        stored = float(np.float32(number))
        if not abs(stored - value) <= 1e-4 * abs(value) + 1e-6 * rms + absolute:
            problems.append(f"{name}: {stored!r}, expected {value!r}")
    assert not problems, "\n".join(problems)
