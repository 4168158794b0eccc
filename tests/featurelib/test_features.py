"""All feature families against librosa."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import librosa
import numpy as np
import pytest

from featurelib import AudioError, FeatureSpec, extract_columns, families, get_spec
from featurelib import spec_from_settings as spec_of
from featurelib.features.chroma_stft import ChromaSTFT
from featurelib.features.tuning import Tuning
from featurelib.graph import Analysis, Plan
from featurelib.kernels import LANES, peaks, reference
from featurelib.specs.keywords import build
from featurelib.spill import SpillBuffer
from featurelib.statistics import Value
from featurelib.transforms.tuning import estimate_tuning
from tests.featurelib.support import oracle
from tests.featurelib.support.signals import SIGNALS, SR, chord, encode, noise, upsampled

GENRE = get_spec("genre-v1")

#: Lengths at which the number of frames changes, or both paddings meet.
LENGTHS = (1, 2, 3, 511, 512, 513, 1023, 1024, 1025, 1535, 1536, 1537, 2047, 2048, 2049, 5120)

MOMENTS = ("mean", "std", "var", "min", "max", "skew", "kurtosis")
QUANTILES = ("median", "q05", "q25", "q75", "q2_5", "q99_9")

VARIANTS: dict[str, dict[str, Any]] = {
    "short frames": {"n_fft": 1024, "hop_length": 256},
    "hop of no divisor": {"n_fft": 2048, "hop_length": 700},
    "frames apart": {"n_fft": 512, "hop_length": 512},
    "no power of two": {"n_fft": 1000, "hop_length": 250},
    "reflect": {"pad_mode": "reflect"},
    "edge": {"pad_mode": "edge"},
    "not centred": {"center": False},
    "hamming": {"window": "hamming"},
    "short window": {"n_fft": 512, "win_length": 401, "hop_length": 160},
    "symmetric window": {"n_fft": 512, "fftbins": False},
    "short symmetric window": {"win_length": 1200, "window": "blackman", "fftbins": False},
    "low rate": {"sr": 16_000},
    "lower rate": {"sr": 8_000, "n_bands": 4},
    "high rate": {"sr": 44_100, "n_fft": 4096},
    "parameters": {
        "roll_percent": 0.5,
        "n_mels": 40,
        "n_mfcc": 13,
        "n_bands": 4,
        "n_chroma": 24,
        "of": {"spectral_contrast": {"fmin": 150.0, "quantile": 0.1}},
    },
    "high quantile": {"quantile": 0.98},
    "narrow range": {"top_db": 20.0},
    "pooled": {
        "of": {family: {"pooled": True} for family in ("mfcc", "chroma_stft", "spectral_contrast")}
    },
    "statistics": {
        "of": {entry.name: {"statistics": MOMENTS} for entry in GENRE.features},
    },
}


def variant(
    *, sr: int = SR, of: Mapping[str, Mapping[str, Any]] | None = None, **defaults: Any
) -> FeatureSpec:
    """The genre preset with other parameters; `of` has changes of single families."""
    entries = [
        {"family": entry.name, "statistics": entry.statistics, **(of or {}).get(entry.name, {})}
        for entry in GENRE.features
    ]
    return spec_of({"sr": sr, "defaults": defaults, "features": entries})


def only(*families: str, statistics: tuple[str, ...] = ("mean",), **defaults: Any) -> FeatureSpec:
    """A spec of some families."""
    return spec_of({"features": families, "defaults": {"statistics": statistics, **defaults}})


def test_every_family_has_an_oracle():
    assert set(oracle.SERIES) == set(families())


@pytest.mark.parametrize("name", SIGNALS)
def test_genre_columns_equal_librosa(name):
    y = SIGNALS[name]
    row = extract_columns(encode(y), GENRE)
    oracle.assert_close(row, oracle.columns(y, GENRE))
    assert row["n_frames"] == [1 + len(y) // 512]


@pytest.mark.parametrize("name", SIGNALS)
def test_tutorial_columns_equal_its_script(name):
    y = SIGNALS[name]
    oracle.assert_close(extract_columns(encode(y), "tutorial-v1"), oracle.tutorial(y))


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_other_specs_equal_librosa(changes):
    spec = variant(**changes)
    y = np.concatenate((chord(1.0, sr=spec.sr, detune=-0.3), noise(0.7, sr=spec.sr, level=0.02)))
    expected = oracle.columns(y, spec)
    oracle.assert_close(extract_columns(encode(y, spec.sr), spec), expected)


@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("length", LENGTHS)
def test_lengths_around_frames_equal_librosa(length, pad_mode):
    spec = variant(pad_mode=pad_mode)
    y = noise(1.0, seed=length)[:length]
    row = extract_columns(encode(y), spec)
    # One or two samples have a flat spectrum. Its coefficients are rounding errors of some
    # 50 dB in float32.
    oracle.assert_close(row, oracle.columns(y, spec), absolute=2e-5 if length < 3 else 0.0)


def test_range_below_the_maximum_is_of_the_whole_file():
    # The maximum at the loud end sets the lower limit for the quiet beginning.
    spec = only("mfcc", "spectral_contrast")
    quiet = noise(2.0, level=1e-6)
    alone = extract_columns(encode(quiet), spec)
    y = np.concatenate((quiet, noise(0.5, level=0.5, seed=1)))
    together = extract_columns(encode(y), spec)
    oracle.assert_close(together, oracle.columns(y, spec))
    assert abs(together["mfcc_02_mean"][0] - alone["mfcc_02_mean"][0]) > 0.1


def test_top_db_is_the_specs():
    y = SIGNALS["fading"]
    values = []
    for top_db in (20.0, 80.0):
        spec = only("mfcc", statistics=("mean", "std"), top_db=top_db)
        row = extract_columns(encode(y), spec)
        oracle.assert_close(row, oracle.columns(y, spec))
        values.append(row["mfcc_01_mean"][0])
    assert values[0] > values[1] + 50


def test_contrast_hangs_on_the_samples_last_bits_where_a_band_holds_nothing_else():
    # A signal without power above 4 kHz, and the same signal with other rounding errors.
    spec = only("spectral_contrast", statistics=("mean", "std"))
    y = upsampled()
    rounded_anew = y * np.float32(1 + 2.0**-23)
    before, after = oracle.columns(y, spec), oracle.columns(rounded_anew, spec)
    moved = {
        name
        for name, (value, rms) in before.items()
        if abs(after[name][0] - value) > 1e-4 * abs(value) + 1e-6 * rms
    }
    # In 3200 to 6400 Hz, the values of librosa and featurelib come from rounding errors.
    assert moved == {"spectral_contrast_06_mean", "spectral_contrast_06_std"}
    mean = "spectral_contrast_06_mean"
    assert abs(after[mean][0] / before[mean][0] - 1) > 1e-3
    for samples, expected in ((y, before), (rounded_anew, after)):
        oracle.assert_close(extract_columns(encode(samples), spec), expected)


def test_flux_of_a_silent_frame_beside_a_sounding_one():
    # Two separate frames: one silent, one with a click, whose spectrum is flat.
    spec = only(
        "spectral_flux", statistics=("mean", "max"), n_fft=512, hop_length=512, center=False
    )
    y = np.zeros(1024, np.float32)
    y[512 + 256] = 1.0
    row = extract_columns(encode(y), spec)
    # 257 bins of 1 / 257 minus zeros: the length is 1 / sqrt(257).
    assert row["spectral_flux_max"][0] == pytest.approx(257**-0.5, rel=1e-6)


def test_flux_is_zero_for_a_single_frame_and_for_silence():
    for y in (noise(0.01), np.zeros(SR, np.float32)):
        row = extract_columns(encode(y), GENRE)
        assert row["spectral_flux_mean"] == row["spectral_flux_std"] == [0.0]


@pytest.mark.parametrize("kind", ["smooth", "ties", "last bits"])
def test_spectral_peaks_are_bit_by_bit_librosas(kind):
    rng = np.random.default_rng(0)
    S = {
        "smooth": rng.gamma(1.0, size=(1025, 45)),
        "ties": rng.integers(0, 4, (1025, 45)),
        "last bits": 1 + rng.integers(0, 4, (1025, 45)) * 2.0**-23,
    }[kind].astype(np.float32)
    pitches, magnitudes = librosa.piptrack(S=S**2, sr=SR)
    freqs = librosa.fft_frequencies(sr=SR)
    low, high = int((freqs < 150).sum()), int((freqs < 4000).sum())
    # The lanes after the last frame are full of peaks, which must be ignored.
    lanes = np.pad(S, ((0, 0), (0, 3))).reshape(1025, 6, LANES).transpose(1, 0, 2).copy()
    lanes[5, :, 5:] = np.resize(np.float32([0, 1]), 1025)[:, np.newaxis]
    is_peak = pitches > 0
    assert is_peak.sum() > 1000
    expected = np.stack((pitches[is_peak], magnitudes[is_peak]), axis=1)
    for kernels in (peaks, reference):
        found = kernels.spectral_peaks(lanes, low, high, np.float32(0.1), float(SR), 2048, 45, True)
        np.testing.assert_array_equal(sorted(found.tolist()), sorted(expected.tolist()))


def tuning_of(y: np.ndarray, sr: int = SR, **parameters: int) -> float:
    """Tuning of a signal, not rounded to float32."""
    sink = Value(of=build(Tuning, parameters))
    plan = Plan([sink], sr)
    analysis = Analysis(plan)
    analysis.push(y)
    analysis.finish()
    return analysis.operators[plan.index[sink]].statistic("").item()


def test_chroma_follows_the_tuning_that_is_tested_here():
    node = build(ChromaSTFT, {"n_fft": 1024, "n_chroma": 24})
    assert Tuning(stft=node.stft, bins_per_octave=24).inputs()[0] in node.inputs()


@pytest.mark.parametrize("detune", [-0.5, -0.31, -0.1, 0.0, 0.004, 0.1, 0.27, 0.49])
def test_tuning_is_equal_to_librosas(detune):
    y = chord(1.0, detune=detune)
    S = np.abs(librosa.stft(y)) ** 2
    assert tuning_of(y) == librosa.estimate_tuning(S=S, sr=SR, bins_per_octave=12)


def peaks_of(frequencies: np.ndarray, heights: np.ndarray) -> SpillBuffer:
    peaks = SpillBuffer(2)
    peaks.append(np.stack((frequencies, heights), axis=1))
    return peaks


@pytest.mark.parametrize(
    ("sr", "n_fft"), [(8000, 18), (8000, 36), (1017, 2048), (1017, 64), (4000, 102), (8000, 2048)]
)
def test_tuning_counts_the_last_bin_where_librosa_does(sr, n_fft):
    found, expected = [], []
    for seed in range(8):
        y = noise(0.3, sr=sr, seed=seed)
        S = np.abs(librosa.stft(y, n_fft=n_fft, hop_length=n_fft // 4)) ** 2
        expected.append(librosa.estimate_tuning(S=S, sr=sr, n_fft=n_fft, bins_per_octave=12))
        found.append(tuning_of(y, sr, n_fft=n_fft, hop_length=n_fft // 4))
    assert found == expected


def test_tuning_without_peaks_is_none():
    assert tuning_of(np.zeros(SR, np.float32)) == 0.0
    assert estimate_tuning(SpillBuffer(2), 12) == 0.0


def test_weak_peaks_do_not_tell_the_tuning():
    strong = np.full(6, 440.0 * 2 ** (0.2 / 12), np.float32)
    weak = np.full(5, 440.0 * 2 ** (-0.2 / 12), np.float32)
    heights = np.array([2.0] * 6 + [1.0] * 5, np.float32)
    for order in (slice(None), slice(None, None, -1)):
        frequencies = np.concatenate((strong, weak))
        tuning = estimate_tuning(peaks_of(frequencies[order], heights[order]), 12)
        assert tuning == pytest.approx(0.2, abs=0.011)


# --- families and parameters that no preset has

RATES = (8_000, 16_000, 22_050, 44_100)

#: Entries that set all their own parameters.
ENTRIES: dict[str, list[dict[str, Any]]] = {
    "bandwidths of other orders": [
        {"family": "spectral_bandwidth", "as": f"bandwidth{i}", "p": p}
        for i, p in enumerate((1, 1.5, 2, 3, 4))
    ],
    "mel bands between limits": [
        {"family": "mfcc", "fmin": 300.0, "fmax": 3400.0, "n_mels": 26, "n_mfcc": 13},
        {"family": "mfcc", "as": "low", "fmax": 2000.0, "n_mels": 20},
        {"family": "mfcc", "as": "high", "fmin": 1000.0, "n_mels": 32},
    ],
    "two numbers of coefficients": [
        {"family": "mfcc", "as": "mfcc13", "n_mfcc": 13},
        {"family": "mfcc", "as": "mfcc20", "n_mfcc": 20},
    ],
    "a second transform": [
        *("mfcc", "chroma_stft", "rms", "spectral_flux"),
        *(
            {"family": family, "as": f"{family}_long", "n_fft": 4096, "hop_length": 1024}
            for family in ("mfcc", "chroma_stft", "rms", "spectral_flux", "spectral_contrast")
        ),
        {"family": "spectral_centroid", "window": "hamming"},
    ],
    "deltas": [
        *("mfcc", "spectral_flux", "spectral_centroid", "chroma_stft"),
        {"family": "delta", "of": "mfcc", "as": "mfcc_delta"},
        {"family": "delta", "of": "spectral_flux", "as": "flux_delta"},
        {"family": "delta", "of": "chroma_stft", "as": "chroma_delta", "pooled": True},
        {"family": "delta", "of": "mfcc", "as": "mfcc_delta2", "order": 2},
        {"family": "delta", "of": "mfcc_delta", "as": "delta_of_delta"},
        {"family": "delta", "of": "spectral_centroid", "as": "narrow", "delta_width": 3},
        {"family": "delta", "of": "mfcc", "as": "wide", "delta_width": 21, "order": 3},
    ],
    "tunings": [
        "tuning",
        {"family": "tuning", "as": "fine", "bins_per_octave": 36},
        {"family": "tuning", "as": "long", "n_fft": 4096, "hop_length": 1024},
    ],
}


def changing(sr: int) -> np.ndarray:
    """A detuned chord, then noise, at a sampling rate [Hz]."""
    return np.concatenate((chord(1.5, sr=sr, detune=-0.3), noise(0.7, sr=sr, level=0.02)))


@pytest.mark.parametrize("sr", RATES)
@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_entries_with_their_own_parameters_equal_librosa(entries, sr):
    defaults = {"statistics": ["mean", "std", "median"]}
    if any("spectral_contrast" in str(entry) for entry in entries):
        defaults["n_bands"] = 4
    spec = spec_of({"sr": sr, "features": entries, "defaults": defaults})
    y = changing(sr)
    oracle.assert_close(extract_columns(encode(y, sr), spec), oracle.columns(y, spec))


@pytest.mark.parametrize("sr", RATES)
def test_quantiles_of_every_family_equal_numpys(sr):
    features = [entry.name for entry in GENRE.features]
    features += [{"family": "delta", "of": "mfcc"}]
    defaults = {"statistics": QUANTILES, "n_bands": 4}
    spec = spec_of({"sr": sr, "duration": 60.0, "features": features, "defaults": defaults})
    y = changing(sr)
    oracle.assert_close(extract_columns(encode(y, sr), spec), oracle.columns(y, spec))


def test_native_rate_is_that_of_each_file():
    spec = spec_of({"sr": "native", "features": ["mfcc", "spectral_rolloff"]})
    for sr in (16_000, 44_100):
        y = changing(sr)
        oracle.assert_close(extract_columns(encode(y, sr), spec), oracle.columns(y, spec, sr))


def test_series_are_librosas_frames():
    features = ["rms", "mfcc", {"family": "delta", "of": "mfcc"}, "spectral_flux", "chroma_stft"]
    spec = spec_of({"features": features, "defaults": {"statistics": ["series"]}})
    y = changing(SR)
    row = extract_columns(encode(y), spec)
    for entry in spec.features:
        expected = oracle.frame_series(y, SR, entry.feature)
        (found,) = row[oracle.column_name(entry, None, "series")]
        found = np.array(found).reshape(-1, len(expected)).T
        rms = np.sqrt(np.mean(np.square(expected, dtype=float), axis=1, keepdims=True))
        assert found.shape == expected.shape
        assert (np.abs(found - expected) <= 1e-4 * np.abs(expected) + 1e-6 * rms).all(), entry.name


@pytest.mark.parametrize(("width", "n_least"), [(9, 9), (5, 5)])
def test_delta_needs_as_many_frames_as_its_width(width, n_least):
    spec = spec_of({"features": ["mfcc", {"family": "delta", "of": "mfcc", "delta_width": width}]})
    y = noise()
    with pytest.raises(AudioError, match=f"at least {n_least} frames.* {n_least - 1}") as caught:
        extract_columns(encode(y[: (n_least - 1) * 512 - 1]), spec)
    assert caught.value.kind == "too_short"
    y = y[: (n_least - 1) * 512]
    row = extract_columns(encode(y), spec)
    assert row["n_frames"] == [n_least]
    oracle.assert_close(row, oracle.columns(y, spec))
