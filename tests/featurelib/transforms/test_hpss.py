"""Harmonic/percussive separation against librosa."""

from __future__ import annotations

import tracemalloc

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib.features.spectral_centroid import SpectralCentroid
from featurelib.graph import Analysis, Plan
from featurelib.statistics import Moments
from featurelib.transforms.frames import Frames
from featurelib.transforms.hpss import HPSS
from featurelib.transforms.stft import STFT
from tests.featurelib.support.collecting import Collector, collected
from tests.support.quick import slow_but

SR = 22_050


def separated(node, pieces):
    """Both components of a signal that arrives in pieces, shape (2, n)."""
    return np.concatenate([block.x for block in collected(node, pieces, sr=SR)], axis=1)


def expected(node, y):
    """Both components by the calls that the node states."""
    names = {"librosa": librosa, "np": np, "y": y, "sr": SR}
    return np.stack([eval(node.librosa(i), names) for i in (0, 1)])


def hpss(n_fft=2048, hop_length=512, center=True, pad_mode="constant", window="hann", **rest):
    frames = Frames(n_fft=n_fft, hop_length=hop_length, center=center, pad_mode=pad_mode)
    return HPSS(stft=STFT(frames=frames, window=window), **rest)


def noisy_tones(n, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(n) / SR
    y = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 1234 * t)
    y[:: SR // 4] += 0.8
    return (y + 0.02 * rng.standard_normal(n)).astype(np.float32)


def assert_close(found, wanted):
    assert found.shape == wanted.shape
    # a float32 transform and its inverse
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-6 * max(np.abs(wanted).max(), 1e-30))


@pytest.mark.parametrize("length", ["signal", "frames"])
@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("n", slow_but([2048, 66_149], [2048, 16_000, 40_000, 66_149, 97_280]))
def test_components_are_librosas(n, pad_mode, length):
    node, y = hpss(pad_mode=pad_mode, length=length), noisy_tones(n)
    assert_close(separated(node, [y]), expected(node, y))


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_fft": 1024, "hop_length": 256},
        {"n_fft": 2048, "hop_length": 700},
        {"n_fft": 512, "hop_length": 512, "window": "hamming"},
        {"n_fft": 512, "hop_length": 100, "window": "blackman"},
        {"n_fft": 256, "hop_length": 31},
        {"n_fft": 16, "hop_length": 3},
        {"n_fft": 1000, "hop_length": 250},
        {"n_fft": 1024, "hop_length": 256, "window": "boxcar", "center": False},
    ],
)
@pytest.mark.parametrize("length", ["signal", "frames"])
def test_parameters(parameters, length):
    node, y = hpss(length=length, **parameters), noisy_tones(20_001)
    assert_close(separated(node, [y]), expected(node, y))


@pytest.mark.parametrize("length", ["signal", "frames"])
@pytest.mark.parametrize("n", [1, 15, 48, 63, 64, 100, 16 * 16, 31 * 16, 33 * 16 + 5, 80 * 16 - 1])
def test_signals_of_few_frames(n, length):
    """Medians of fewer than 31 frames see them mirrored more than once."""
    node, y = hpss(n_fft=64, hop_length=16, length=length), noisy_tones(n)
    assert_close(separated(node, [y]), expected(node, y))


@pytest.mark.parametrize("n_frames", [2, 3])
def test_two_and_three_frames(n_frames):
    """SciPy's filter of 31 along them reads beyond, so librosa's values are random."""
    n = 16 * (n_frames - 1)
    y = noisy_tones(n)
    found = separated(hpss(n_fft=64, hop_length=16), [y])
    stft = librosa.stft(y, n_fft=64, hop_length=16)
    S = np.abs(stft)
    padded = np.pad(S, 15, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view
    h = np.median(windows(padded[15:-15], 31, axis=1), axis=-1)
    p = np.median(windows(padded[:, 15:-15], 31, axis=0), axis=-1)
    harmonic = librosa.istft(stft * librosa.util.softmask(h, p, power=2), hop_length=16, length=n)
    assert_close(found[0], harmonic)


@settings(deadline=None, max_examples=30)
@given(
    cuts=st.lists(st.integers(0, 4000), max_size=6),
    n=st.integers(1, 4000),
    hop_length=st.integers(7, 64),
    length=st.sampled_from(["signal", "frames"]),
    center=st.booleans(),
)
def test_pieces_of_any_length_give_the_same(cuts, n, hop_length, length, center):
    y = noisy_tones(n + 64)
    node = hpss(n_fft=64, hop_length=hop_length, length=length, center=center)
    whole = separated(node, [y])
    assert whole.shape == (2, len(y))
    np.testing.assert_array_equal(separated(node, np.split(y, sorted(cuts))), whole)


@pytest.mark.parametrize("length", ["signal", "frames"])
def test_silence_has_silent_components(length):
    found = separated(hpss(length=length), [np.zeros(30_000, np.float32)])
    np.testing.assert_array_equal(found, np.zeros((2, 30_000)))


def test_components_add_up_to_the_signal():
    y = noisy_tones(50_000)
    np.testing.assert_allclose(separated(hpss(), [y]).sum(axis=0), y, rtol=0, atol=1e-7)


def test_an_offset_leaves_no_rounding_errors_in_the_percussive_component():
    y = np.float32(0.36) + np.float32(0.02) * noisy_tones(66_149)
    node = hpss(pad_mode="reflect")
    found, wanted = (x.astype(np.float64) for x in (separated(node, [y]), expected(node, y)))
    means, spreads = wanted.mean(axis=1), np.sqrt(np.mean(wanted**2, axis=1))
    errors = abs(found.mean(axis=1) - means)
    assert np.all(errors < 1e-4 * abs(means) + 1e-6 * spreads), errors / spreads


def test_memory_does_not_grow_with_the_signal():
    y = noisy_tones(SR)
    analysis = Analysis(Plan([hpss()], SR))
    analysis.push(y)
    tracemalloc.start()
    try:
        for _ in range(600):
            analysis.push(y)
        analysis.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20


def test_magnitudes_are_the_same_beside_the_separation():
    """Then they are made of the same spectra, not of the samples."""
    y = noisy_tones(40_000)
    centroid = Moments(of=SpectralCentroid())
    values = []
    for nodes in ([centroid], [centroid, Collector(of=hpss())]):
        plan = Plan(nodes, SR)
        analysis = Analysis(plan)
        analysis.push(y)
        analysis.finish()
        operator = analysis.operators[plan.index[centroid]]
        values.append([operator.statistic(name)[0] for name in ("mean", "std")])
        is_shared = plan.computed[plan.index[STFT()]] != STFT()
        assert is_shared == (len(nodes) == 2)
    assert values[0] == values[1]
