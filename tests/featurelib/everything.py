"""A spec of every family, several of them twice, and what librosa gives for it."""

from __future__ import annotations

import warnings
from typing import Any

import librosa
import numpy as np
import scipy.stats

from featurelib import FeatureSpec

_EVERY = ("mean", "std", "median", "kurtosis")

#: Name → entry of a spec.
ENTRIES: dict[str, dict[str, Any]] = {
    "rms": {"family": "rms"},
    "zcr": {"family": "zero_crossing_rate"},
    "centroid": {"family": "spectral_centroid"},
    "bandwidth_2": {"family": "spectral_bandwidth"},
    "bandwidth_3": {"family": "spectral_bandwidth", "p": 3},
    "bandwidth_4": {"family": "spectral_bandwidth", "p": 4},
    "rolloff": {"family": "spectral_rolloff"},
    "flatness": {"family": "spectral_flatness"},
    "flux": {"family": "spectral_flux"},
    "contrast": {"family": "spectral_contrast", "n_bands": 4},
    "mfcc_13": {"family": "mfcc", "n_mfcc": 13},
    "mfcc_20": {"family": "mfcc", "n_mfcc": 20},
    "mfcc_long": {"family": "mfcc", "n_mfcc": 13, "n_fft": 4096, "hop_length": 1024},
    "chroma": {"family": "chroma_stft"},
    "delta": {"family": "delta", "of": "mfcc_20"},
    "stft": {"family": "stft", "statistics": ("mean", "kurtosis")},
    "stft_db": {"family": "stft_db", "statistics": ("mean", "kurtosis")},
    "tuning": {"family": "tuning", "statistics": ()},
}


def make_spec(**fields: Any) -> FeatureSpec:
    """At the files' own rate, four bands of contrast: that fits rates from 8 kHz on."""
    entries = [{"as": name, "statistics": _EVERY, **entry} for name, entry in ENTRIES.items()]
    return FeatureSpec.from_dict(
        {"name": "everything", "sr": "native", "features": entries, **fields}
    )


def frame_series(y: np.ndarray, sr: int) -> dict[str, np.ndarray]:
    """The frame series of each entry, of shape (rows, frames), by librosa."""
    feature = librosa.feature
    S = np.abs(librosa.stft(y))
    totals = S.sum(axis=0, dtype=np.float64)
    shape = np.divide(S, totals, out=np.zeros(S.shape), where=totals > 0)
    mfcc_20 = feature.mfcc(y=y, sr=sr, n_mfcc=20)
    return {
        "rms": feature.rms(y=y),
        "zcr": feature.zero_crossing_rate(y),
        "centroid": feature.spectral_centroid(y=y, sr=sr),
        "bandwidth_2": feature.spectral_bandwidth(y=y, sr=sr),
        "bandwidth_3": feature.spectral_bandwidth(y=y, sr=sr, p=3),
        "bandwidth_4": feature.spectral_bandwidth(y=y, sr=sr, p=4),
        "rolloff": feature.spectral_rolloff(y=y, sr=sr),
        "flatness": feature.spectral_flatness(y=y),
        "flux": np.linalg.norm(np.diff(shape, axis=1), axis=0)[np.newaxis],
        "contrast": feature.spectral_contrast(y=y, sr=sr, n_bands=4),
        "mfcc_13": feature.mfcc(y=y, sr=sr, n_mfcc=13),
        "mfcc_20": mfcc_20,
        "mfcc_long": feature.mfcc(y=y, sr=sr, n_mfcc=13, n_fft=4096, hop_length=1024),
        "chroma": feature.chroma_stft(y=y, sr=sr),
        "delta": feature.delta(mfcc_20),
        "stft": S.reshape(1, -1),
        "stft_db": librosa.amplitude_to_db(S, ref=1.0, amin=1e-5, top_db=None).reshape(1, -1),
    }


def by_librosa(y: np.ndarray, sr: int) -> dict[str, tuple[float, float]]:
    """Value of each column of the spec, and root mean square of the series behind it."""
    expected = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns of short signals
        for name, rows in frame_series(y, sr).items():
            numbered = name.startswith(("contrast", "mfcc", "chroma", "delta"))
            for i, row in enumerate(rows.astype(np.float64)):
                base = f"{name}_{i + 1:02d}" if numbered else name
                rms = float(np.sqrt(np.mean(row**2)))
                for statistic in ENTRIES[name].get("statistics", _EVERY):
                    take = getattr(scipy.stats if statistic == "kurtosis" else np, statistic)
                    expected[f"{base}_{statistic}"] = (float(take(row)), rms)
        # As chroma_stft estimates it: from the power spectrum.
        power = np.abs(librosa.stft(y)) ** 2
        expected["tuning"] = (float(librosa.estimate_tuning(S=power, sr=sr)), 1.0)
    return expected
