"""A spec of all families; several families occur twice."""

from __future__ import annotations

from typing import Any

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
    "chroma_cqt": {"family": "chroma_cqt", "n_octaves": 6},
    "tonnetz": {"family": "tonnetz", "of": "chroma_cqt"},
    "delta": {"family": "delta", "of": "mfcc_20"},
    "stft": {"family": "stft", "statistics": ("mean", "kurtosis")},
    "stft_db": {"family": "stft_db", "statistics": ("mean", "kurtosis")},
    "stft_rms": {"family": "stft_rms"},
    "mel": {"family": "melspectrogram", "n_mels": 20, "win_length": 1600},
    "log_mel": {"family": "log_mel", "n_mels": 20},
    "log_spectrogram": {"family": "log_spectrogram", "n_bins": 20},
    "density": {"family": "spectral_density", "n_bands": 12},
    "poly": {"family": "poly_features", "order": 2},
    "yin": {"family": "yin"},
    "voiced": {"family": "voiced"},
    "tuning": {"family": "tuning", "statistics": ()},
}


def make_spec(**fields: Any) -> FeatureSpec:
    """A spec of native rate; its four contrast bands and six octaves fit rates from 8 kHz."""
    entries = [{"as": name, "statistics": _EVERY, **entry} for name, entry in ENTRIES.items()]
    return FeatureSpec.from_dict(
        {"name": "everything", "sr": "native", "features": entries, **fields}
    )
