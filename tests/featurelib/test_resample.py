from __future__ import annotations

import librosa
import numpy as np
import pytest

from featurelib.audio import Resampler

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
