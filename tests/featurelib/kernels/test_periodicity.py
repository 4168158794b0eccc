"""Kernels of periods."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurelib.kernels import LANES, aligned, periodicity, reference
from tests.featurelib.kernels.drawn import SEEDS, quickly


@quickly
@given(
    seed=SEEDS,
    n_bins=st.integers(2, 20),
    n_pieces=st.integers(1, 12),
    n_distances=st.integers(0, 11),
    n_frames=st.integers(1, 20),
)
def test_joined_spectra(seed, n_bins, n_pieces, n_distances, n_frames):
    rng = np.random.default_rng(seed)
    n_distances = min(n_distances, n_pieces - 1)
    pieces = aligned((-(-(n_frames + n_pieces - 1) // LANES), 2, n_bins, LANES), np.float32)
    pieces[:] = rng.standard_normal(pieces.shape)
    turns = rng.standard_normal((n_distances, 2, n_bins)).astype(np.float32)
    found, expected = (
        aligned((-(-n_frames // LANES), 2, n_bins, LANES), np.float32) for _ in range(2)
    )
    periodicity.joined(pieces, n_pieces, turns, found)
    reference.joined(pieces, n_pieces, turns, expected)
    # The rounding of some hundred products of numbers of about one.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4)


@quickly
@given(
    seed=SEEDS,
    n_frames=st.integers(1, 20),
    hop_length=st.integers(1, 100),
    shortest=st.integers(2, 40),
    more=st.integers(1, 60),
    threshold=st.sampled_from([1e-3, 0.1, 0.5, 1.0, 3.0]),
)
def test_periods(seed, n_frames, hop_length, shortest, more, threshold):
    rng = np.random.default_rng(seed)
    longest, length = shortest + more, 2 * (shortest + more)
    y = np.zeros((n_frames - 1) * hop_length + length, np.float32)
    y[: rng.integers(len(y) + 1)] = 1  # silent frames at the end
    y *= np.sin(np.arange(len(y)) * rng.uniform(0.01, 3)) + 0.1 * rng.standard_normal(len(y))
    frames = np.lib.stride_tricks.sliding_window_view(y, length)[::hop_length]
    correlations = aligned(
        (-(-n_frames // LANES), longest + 1 + rng.integers(3), LANES), np.float32
    )
    correlations[:] = np.nan
    for t, frame in enumerate(frames[:n_frames]):
        r = np.correlate(frame, frame, "full")[length - 1 :]
        correlations[t // LANES, : longest + 1, t % LANES] = r[: longest + 1]
    limit, found, expected = np.float32(threshold), np.empty((n_frames, 2)), np.empty((n_frames, 2))
    for kernels, out in ((periodicity, found), (reference, expected)):
        kernels.periods(correlations, y, hop_length, shortest, longest, limit, out)
    np.testing.assert_array_equal(found[:, 1], expected[:, 1])
    np.testing.assert_allclose(found[:, 0], expected[:, 0], rtol=1e-3)
