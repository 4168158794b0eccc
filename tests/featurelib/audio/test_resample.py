from __future__ import annotations

import librosa
import numpy as np
import pytest

from featurelib.audio import JoiningResampler, Resampler

RATES = [
    (8_000, 22_050),
    (11_025, 22_050),
    (22_050, 16_000),
    (44_100, 22_050),
    (48_000, 22_050),
    (96_000, 22_050),
    (44_056, 22_050),
    (1_000, 22_050),
    (22_050, 22_050),
]


def resampled(y, orig_sr, target_sr, cuts):
    resampler = Resampler(orig_sr, target_sr)
    parts = [resampler.push(part).copy() for part in np.split(y, cuts)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize("length", [1, 2, 3, 10, 441, 1000, 30_011, 66_149, 66_151])
@pytest.mark.parametrize(("orig_sr", "target_sr"), RATES)
def test_any_cutting_gives_librosas_samples_and_length(orig_sr, target_sr, length):
    rng = np.random.default_rng(length)
    y = rng.standard_normal(length).astype(np.float32)
    expected = librosa.resample(y, orig_sr=orig_sr, target_sr=target_sr)
    for n_cuts in (0, 1, 7, 40):
        cuts = np.sort(rng.integers(0, length + 1, n_cuts))
        np.testing.assert_array_equal(resampled(y, orig_sr, target_sr, cuts), expected)


def test_samples_that_are_not_contiguous():
    y = np.random.default_rng(0).standard_normal((5000, 2)).astype(np.float32)
    expected = librosa.resample(y[:, 1], orig_sr=44_100, target_sr=22_050)
    np.testing.assert_array_equal(resampled(y[:, 1], 44_100, 22_050, [100, 3000]), expected)


PARTS = [(44_100, 9_000), (8_000, 1), (22_050, 700), (48_000, 12_345), (44_100, 400)]


@pytest.mark.parametrize("n_cuts", [0, 3, 30])
@pytest.mark.parametrize("order", [1, -1])
def test_each_of_joined_signals_is_resampled_as_alone(order, n_cuts):
    rng = np.random.default_rng(n_cuts)
    resampler = JoiningResampler(22_050)
    got, expected = [], []
    for sr, length in PARTS[::order]:
        y = rng.standard_normal(length).astype(np.float32)
        cuts = np.sort(rng.integers(1, length + 1, n_cuts))
        got += [resampler.push(part, sr).copy() for part in np.split(y, cuts) if len(part)]
        expected.append(librosa.resample(y, orig_sr=sr, target_sr=22_050))
    got.append(resampler.finish())
    np.testing.assert_array_equal(np.concatenate(got), np.concatenate(expected))


def test_signals_of_one_rate_are_joined_as_one():
    y = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    resampler = JoiningResampler(22_050)
    got = [resampler.push(y[:2000], 44_100), resampler.push(y[2000:], 44_100), resampler.finish()]
    expected = librosa.resample(y, orig_sr=44_100, target_sr=22_050)
    np.testing.assert_array_equal(np.concatenate(got), expected)


def test_no_signal_at_all_has_no_rest():
    assert len(JoiningResampler(22_050).finish()) == 0
