"""Kernels of spectral peaks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurelib.kernels import peaks, reference
from tests.featurelib.kernels.drawn import SEEDS, quickly, spectra


@quickly
@given(spectra(3), st.data())
def test_spectral_peaks_are_bit_by_bit_equal(drawn, data):
    S, n_frames = drawn
    n_bins = S.shape[1]
    low = data.draw(st.integers(1, n_bins - 1))
    high = data.draw(st.integers(low, n_bins) | st.just(n_bins))
    is_squared = data.draw(st.booleans())
    arguments = (low, high, np.float32(0.1), 22_050.0, 2 * n_bins - 2, n_frames, is_squared)
    found = peaks.spectral_peaks(S, *arguments)
    expected = reference.spectral_peaks(S, *arguments)
    assert found.dtype == expected.dtype == np.float32
    assert sorted(found.tolist()) == sorted(expected.tolist())


@st.composite
def peaks_drawn(draw):
    """Frequencies and heights, with ties."""
    rng = np.random.default_rng(draw(SEEDS))
    n = draw(st.integers(0, 60))
    found = np.stack((rng.uniform(150, 4000, n), rng.gamma(1.0, size=n)), axis=1)
    return np.round(found, draw(st.integers(0, 7))).astype(np.float32)


@quickly
@given(peaks_drawn())
def test_median_of_heights_by_their_digits(drawn):
    if not len(drawn):
        return
    for kernels in (peaks, reference):
        prefix, known, rank = 0, 0, len(drawn) // 2
        for width in (11, 11, 10):
            counts = np.zeros(1 << width, np.int64)
            kernels.count_height_digits(drawn, prefix, known, width, counts)
            digit, rank = kernels.digit_of_rank(counts, rank)
            prefix, known = (prefix << width) | digit, known + width
        height = np.uint32(prefix).view(np.float32)
        assert height == np.sort(drawn[:, 1])[len(drawn) // 2]
        below = drawn[drawn[:, 1] < height, 1]
        assert kernels.largest_below(drawn, height) == (below.max() if len(below) else 0)


@quickly
@given(peaks_drawn(), st.floats(0, 2, width=32), st.sampled_from([1, 12, 36]))
def test_deviations_are_counted_alike(drawn, least, bins_per_octave):
    octaves = np.log2(drawn[:, 0] / np.float32(27.5))
    edges = np.linspace(-0.5, 0.5, 101)
    counts = []
    for kernels in (peaks, reference):
        counts.append(np.zeros(100, np.int64))
        arguments = (octaves, drawn, np.float32(least), np.float32(bins_per_octave), edges)
        kernels.count_deviations(*arguments, counts[-1])
    np.testing.assert_array_equal(*counts)
    assert counts[0].sum() == np.sum(drawn[:, 1] >= np.float32(least))
