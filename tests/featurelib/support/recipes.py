"""The presets' columns written with librosa alone, as people write them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import librosa
import numpy as np
import scipy.stats

feature: Any = librosa.feature


def gtzan_columns(y: np.ndarray, sr: int) -> dict[str, tuple[float, float]]:
    """Return value and root mean square of each of the 57 features of the GTZAN tables."""
    D = librosa.stft(y, pad_mode="reflect")
    harmonic, percussive = (
        librosa.util.fix_length(librosa.istft(component), size=len(y))
        for component in librosa.decompose.hpss(D)
    )
    mfcc = feature.mfcc(y=y, sr=sr, pad_mode="reflect")
    before = {
        "chroma_stft": feature.chroma_stft(y=y, sr=sr, pad_mode="reflect"),
        "rms": feature.rms(y=y, pad_mode="reflect"),
        "spectral_centroid": feature.spectral_centroid(y=y, sr=sr, pad_mode="reflect"),
        "spectral_bandwidth": feature.spectral_bandwidth(y=y, sr=sr, pad_mode="reflect"),
        "rolloff": feature.spectral_rolloff(y=y, sr=sr, pad_mode="reflect"),
        "zero_crossing_rate": feature.zero_crossing_rate(y),
        "harmony": harmonic,
        "perceptr": percussive,
    }
    result: dict[str, tuple[float, float]] = {}
    for name, rows in before.items():
        result |= _mean_and_variance(name, rows)
    tempo = float(np.squeeze(librosa.beat.beat_track(y=y, sr=sr)[0]))
    result["tempo"] = (tempo, tempo)
    for number, row in enumerate(mfcc, start=1):
        result |= _mean_and_variance(f"mfcc{number}", row)
    return result


def _mean_and_variance(name: str, rows: np.ndarray) -> dict[str, tuple[float, float]]:
    rms = float(np.sqrt(np.mean(np.square(rows, dtype=np.float64))))
    return {
        f"{name}_mean": (float(np.mean(rows, dtype=np.float64)), rms),
        f"{name}_var": (float(np.var(rows, dtype=np.float64)), rms),
    }


def gtzan(y: np.ndarray, sr: int) -> list[float]:
    """Return the 57 features of the published GTZAN tables."""
    return [value for value, _ in gtzan_columns(y, sr).values()]


def gtzan_starts(n: int) -> list[int]:
    """Return the starts of the three-second segments of n samples."""
    return [i * 66_150 for i in range(n // 66_150 + 1) if (i + 1) * 66_150 < n]


def gtzan_segments(y: np.ndarray, sr: int) -> Iterator[dict[str, tuple[float, float]]]:
    """Yield the 57 features of each three-second segment."""
    for start in gtzan_starts(len(y)):
        yield gtzan_columns(y[start : start + 66_149], sr)


def seven_statistics(rows: np.ndarray) -> np.ndarray:
    """Return mean, std, skew, kurtosis, median, min and max of each row."""
    return np.concatenate(
        [
            np.mean(rows, axis=1),
            np.std(rows, axis=1),
            scipy.stats.skew(rows, axis=1),
            scipy.stats.kurtosis(rows, axis=1),
            np.median(rows, axis=1),
            np.min(rows, axis=1),
            np.max(rows, axis=1),
        ]
    )


def fma_series(y: np.ndarray, sr: int) -> dict[str, np.ndarray]:
    """Return the frames of the features of the FMA table, shape (rows, frames) each."""
    # With tuning=None, librosa would pad with zeros to estimate it.
    tuning = librosa.estimate_tuning(y=y, sr=sr, bins_per_octave=12, pad_mode="reflect")
    bins: dict[str, Any] = {"bins_per_octave": 12, "n_bins": 84, "tuning": tuning}
    cqt = np.abs(librosa.cqt(y, sr=sr, hop_length=512, pad_mode="reflect", **bins))
    chroma: dict[str, Any] = {"C": cqt, "n_chroma": 12, "n_octaves": 7, "bins_per_octave": 12}
    cens = feature.chroma_cens(**chroma)
    S = np.abs(librosa.stft(y, n_fft=2048, hop_length=512, pad_mode="reflect"))
    mel = feature.melspectrogram(sr=sr, S=S**2)
    return {
        "zcr": feature.zero_crossing_rate(y, frame_length=2048, hop_length=512),
        "chroma_cqt": feature.chroma_cqt(**chroma),
        "chroma_cens": cens,
        "tonnetz": feature.tonnetz(chroma=cens),
        "chroma_stft": feature.chroma_stft(S=S**2, n_chroma=12),
        "rmse": np.sqrt(np.mean(S**2, axis=0, keepdims=True)),
        "spectral_centroid": feature.spectral_centroid(S=S),
        "spectral_bandwidth": feature.spectral_bandwidth(S=S),
        "spectral_contrast": feature.spectral_contrast(S=S, n_bands=6),
        "spectral_rolloff": feature.spectral_rolloff(S=S),
        "mfcc": feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20),
    }


def fma(y: np.ndarray, sr: int) -> list[float]:
    """Return the 518 features of the FMA table."""
    series = fma_series(y, sr).values()
    return [float(value) for rows in series for value in seven_statistics(rows)]


def genre(y: np.ndarray, sr: int) -> list[float]:
    """Return the features of `genre-v2`, each by its own librosa call."""
    S = np.abs(librosa.stft(y))
    shape = S / np.maximum(S.sum(axis=0), np.finfo(np.float32).tiny)
    mfcc = feature.mfcc(y=y, sr=sr)
    rows = [
        feature.rms(y=y),
        feature.zero_crossing_rate(y),
        feature.spectral_centroid(y=y, sr=sr),
        feature.spectral_bandwidth(y=y, sr=sr),
        feature.spectral_rolloff(y=y, sr=sr),
        feature.spectral_flatness(y=y),
        np.linalg.norm(np.diff(shape, axis=1), axis=0)[np.newaxis],
        feature.spectral_contrast(y=y, sr=sr),
        mfcc,
        feature.chroma_stft(y=y, sr=sr),
    ]
    values = [float(value) for one in rows for value in seven_statistics(one)]
    for order in (1, 2):
        values += np.std(feature.delta(mfcc, order=order), axis=1).tolist()
    bands = librosa.power_to_db(feature.melspectrogram(y=y, sr=sr, n_mels=40))
    values += [*np.mean(bands, axis=1), *np.std(bands, axis=1)]
    values += [np.mean(S), np.std(S), np.max(S), scipy.stats.skew(S, axis=None)]
    S_db = librosa.amplitude_to_db(S, ref=1.0, amin=1e-5, top_db=None)
    return [*values, np.mean(S_db), np.std(S_db)]


def chroma_cqt(y: np.ndarray, sr: int) -> np.ndarray:
    """Return the constant-Q chroma of a signal, shape (12, frames)."""
    return feature.chroma_cqt(y=y, sr=sr, bins_per_octave=12)
