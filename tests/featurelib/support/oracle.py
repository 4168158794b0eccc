"""Expected values: librosa is called directly, once per feature."""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import librosa
import librosa.feature.spectral
import numpy as np
import scipy.signal
import scipy.stats
from librosa.core import pitch

from featurelib import Entry, Feature, FeatureSpec
from featurelib.graph import Signal, samples_of
from featurelib.transforms.hpss import Harmonic

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
        for samples in samples_of(feature) - {Signal()}:
            y = _component(y, samples)
        return SERIES[feature.family](y, sr, feature)


def _component(y: np.ndarray, samples: Any) -> np.ndarray:
    stft = samples.hpss.stft
    arguments = _stft_arguments(stft)
    harmonic, percussive = librosa.decompose.hpss(librosa.stft(y, **arguments))
    spectrum = harmonic if isinstance(samples, Harmonic) else percussive
    for name in ("pad_mode", "n_fft"):
        arguments.pop(name)
    if samples.hpss.length == "signal":
        return librosa.istft(spectrum, length=len(y), **arguments)
    return librosa.util.fix_length(librosa.istft(spectrum, **arguments), size=len(y))


def _stft_arguments(stft: Any) -> dict[str, Any]:
    frames = stft.frames
    return {
        "n_fft": frames.n_fft,
        "hop_length": frames.hop_length,
        "win_length": stft.win_length,
        "window": stft.window if stft.fftbins else _symmetric_window(stft),
        "center": frames.center,
        "pad_mode": frames.pad_mode,
    }


def _symmetric_window(stft: Any) -> np.ndarray:
    length = stft.win_length or stft.frames.n_fft
    return scipy.signal.get_window(stft.window, length, fftbins=False)


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


def _mel(y: np.ndarray, sr: int, mel: Any) -> np.ndarray:
    return librosa.feature.melspectrogram(
        y=y,
        sr=sr,
        n_mels=mel.n_mels,
        fmin=mel.fmin,
        fmax=mel.fmax,
        **_stft_arguments(mel.stft),
    )


def _melspectrogram(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return _mel(y, sr, feature.mel)


def _log_mel(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return librosa.power_to_db(_mel(y, sr, feature.mel.mel), top_db=feature.mel.top_db)


def _mfcc(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    S_db = _log_mel(y, sr, feature)
    # In float32, rounding errors of the cosine transform exceed the tolerance of its deltas.
    return librosa.feature.mfcc(S=S_db.astype(np.float64), sr=sr, n_mfcc=feature.n_mfcc)


def _chroma_stft(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    stft = _stft_arguments(feature.stft)
    return librosa.feature.chroma_stft(y=y, sr=sr, n_chroma=feature.n_chroma, **stft)


def cqt(y: np.ndarray, sr: int, cqt: Any) -> np.ndarray:
    """Magnitudes of a constant-Q transform, in the tuning that librosa estimates."""
    bins = {"sr": sr, "bins_per_octave": cqt.bins_per_octave}
    C = librosa.cqt(
        y,
        n_bins=cqt.n_octaves * cqt.bins_per_octave,
        hop_length=cqt.hop_length,
        tuning=librosa.estimate_tuning(y=y, pad_mode=cqt.pad_mode, **bins),
        pad_mode=cqt.pad_mode,
        **bins,
    )
    return np.abs(C)


def _chroma_of_cqt(
    function: Callable[..., np.ndarray], y: np.ndarray, sr: int, feature: Any, **more: int
) -> np.ndarray:
    node = feature.classes.cqt
    octaves = {"bins_per_octave": node.bins_per_octave, "n_octaves": node.n_octaves}
    return function(C=cqt(y, sr, node), **octaves, **more)


def _chroma_cqt(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return _chroma_of_cqt(librosa.feature.chroma_cqt, y, sr, feature)


def _chroma_cens(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    smooth = {"win_len_smooth": feature.win_len_smooth}
    return _chroma_of_cqt(librosa.feature.chroma_cens, y, sr, feature, **smooth)


def _tonnetz(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return librosa.feature.tonnetz(chroma=frame_series(y, sr, feature.of))


def _stft(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return np.abs(librosa.stft(y, **_stft_arguments(feature.stft)))


def _stft_db(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return librosa.amplitude_to_db(_stft(y, sr, feature), ref=1.0, amin=1e-5, top_db=None)


def _stft_rms(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    # In float64, because rounding errors of sums over a thousand bins exceed the tolerance.
    S = _stft(y, sr, feature).astype(np.float64)
    return np.sqrt(np.mean(S**2, axis=0, keepdims=True))


def _poly_features(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    stft = _stft_arguments(feature.stft)
    return librosa.feature.poly_features(y=y, sr=sr, order=feature.order, **stft)


def _density(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    """Power spectral density, shape (bins, frames)."""
    stft = feature.stft
    window = librosa.filters.get_window(
        _stft_arguments(stft)["window"], stft.win_length or stft.frames.n_fft
    )
    density = _stft(y, sr, feature).astype(np.float64) ** 2 / (np.sum(window**2) * sr)
    density[1:-1] *= 2
    return density


def _log_spectrogram(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    return np.log(_density(y, sr, feature)[: feature.n_bins] + 1e-14)


def _spectral_density(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    fmax = sr / 2 if feature.fmax is None else feature.fmax
    mels = librosa.hz_to_mel(np.array([feature.fmin, fmax]))
    edges = librosa.mel_to_hz(np.linspace(*mels, feature.n_bands + 1))
    edges[-1] = fmax + 1e-6  # the last band includes its upper edge
    frequencies = librosa.fft_frequencies(sr=sr, n_fft=feature.stft.frames.n_fft)
    density = _density(y, sr, feature)
    bands = itertools.pairwise(edges)
    return np.array(
        [density[(low <= frequencies) & (frequencies < high)].mean(axis=0) for low, high in bands]
    )


def _tuning(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    power = _stft(y, sr, feature) ** 2
    n_fft, bins_per_octave = feature.stft.frames.n_fft, feature.bins_per_octave
    tuning = librosa.estimate_tuning(S=power, sr=sr, n_fft=n_fft, bins_per_octave=bins_per_octave)
    return np.array([[tuning]])


def _onset_strength(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    frames = feature.mel.mel.stft.frames
    return librosa.onset.onset_strength(
        S=_log_mel(y, sr, feature),
        sr=sr,
        n_fft=frames.n_fft,
        hop_length=frames.hop_length,
        aggregate=getattr(np, feature.aggregate),
    )[None]


def _tempo(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    envelope = _onset_strength(y, sr, feature)[0]
    if feature.aggregate == "median" and not envelope.any():
        return np.zeros((1, 1))  # as librosa.beat.beat_track
    tempo = librosa.feature.tempo(
        onset_envelope=envelope,
        sr=sr,
        hop_length=feature.frames.hop_length,
        start_bpm=feature.start_bpm,
        std_bpm=feature.std_bpm,
        ac_size=feature.ac_size,
        max_tempo=feature.max_tempo,
    )
    return tempo[None]


def _delta(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    # In float32, rounding errors of librosa's sums exceed the tolerance.
    series = frame_series(y, sr, feature.of).astype(np.float64)
    return librosa.feature.delta(series, width=feature.delta_width, order=feature.order)


def _yin_arguments(node: Any) -> dict[str, Any]:
    return {"fmin": node.fmin, "fmax": node.fmax, "trough_threshold": node.trough_threshold}


def _yin(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    node = feature.periodicity
    frames = {"pad_mode": node.frames.pad_mode, **_frame_arguments(node.frames)}
    return librosa.yin(y, sr=sr, **_yin_arguments(node), **frames)[np.newaxis]


def normalized_differences(y: np.ndarray, sr: int, node: Any) -> np.ndarray:
    """Differences by which librosa's yin decides, shape (lags, frames)."""
    frames = node.frames
    if frames.center:
        y = np.pad(y, frames.n_fft // 2, mode=frames.pad_mode)
    y = librosa.util.frame(y, frame_length=frames.n_fft, hop_length=frames.hop_length)
    shortest, longest = int(sr / node.fmax), int(np.ceil(sr / node.fmin))
    return pitch._cumulative_mean_normalized_difference(y, shortest, longest)


def _voiced(y: np.ndarray, sr: int, feature: Any) -> np.ndarray:
    x = normalized_differences(y, sr, feature.periodicity)
    is_trough = librosa.util.localmin(x, axis=0)
    is_trough[0] = x[0] < x[1]
    is_deep = x < feature.periodicity.trough_threshold
    return np.any(is_trough & is_deep, axis=0, keepdims=True).astype(float)


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
    "chroma_cqt": _chroma_cqt,
    "chroma_cens": _chroma_cens,
    "tonnetz": _tonnetz,
    "stft": _stft,
    "stft_db": _stft_db,
    "melspectrogram": _melspectrogram,
    "log_mel": _log_mel,
    "log_spectrogram": _log_spectrogram,
    "spectral_density": _spectral_density,
    "poly_features": _poly_features,
    "stft_rms": _stft_rms,
    "yin": _yin,
    "voiced": _voiced,
    "tuning": _tuning,
    "onset_strength": _onset_strength,
    "tempo": _tempo,
    "waveform": lambda y, sr, feature: y[None],
    "delta": _delta,
}

#: Families with a column for each row.
NUMBERED = frozenset(
    (
        "chroma_cens",
        "chroma_cqt",
        "chroma_stft",
        "log_mel",
        "log_spectrogram",
        "melspectrogram",
        "mfcc",
        "poly_features",
        "spectral_contrast",
        "spectral_density",
        "tonnetz",
    )
)


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
            if entry.feature.is_single:
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
