"""Running medians and the mask that they make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import median_filter

from featurelib.kernels import medians, reference
from featurelib.kernels.lanes import LANES, aligned


def whole_blocks(n):
    return -(-n // 16) * 16


def spectra(seed, n_batches, n_bins, distinct):
    """Complex spectra with few distinct values, so that medians have equals, and zeros."""
    rng = np.random.default_rng(seed)
    D = aligned((n_batches, 2, n_bins, LANES), np.float32)
    D[:] = rng.integers(-distinct, distinct, D.shape, endpoint=True) / np.float32(3)
    return D


SHAPES = {
    "seed": st.integers(0, 2**32),
    "n_batches": st.integers(1, 5),
    "n_bins": st.integers(1, 80),
    "distinct": st.sampled_from([0, 1, 3, 1000, 1_000_000]),
}


@settings(deadline=None, max_examples=100)
@given(**SHAPES, row=st.integers(0, 20))
def test_medians_along_frequency_are_scipys(seed, n_batches, n_bins, distinct, row):
    D = spectra(seed, n_batches, n_bins, distinct)
    n_groups, n_rows = -(-n_bins // LANES), row + n_batches * LANES
    turned = aligned((n_groups, n_rows, LANES), np.float32)
    P = aligned((n_batches, whole_blocks(n_bins), LANES), np.float32)
    S = aligned((n_batches, n_bins, LANES), np.float32)
    S[:] = np.abs(D[:, 0] + 1j * D[:, 1])
    medians.percussive_medians(S, row, turned, P)
    for batch in range(n_batches):
        # mirrored here, since SciPy reads beyond an axis of two or three values
        mirrored = np.pad(S[batch], ((15, 15), (0, 0)), mode="symmetric")
        expected = median_filter(mirrored, size=(31, 1))[15:-15]
        np.testing.assert_array_equal(P[batch, :n_bins], expected)
    found = turned[:, row:].transpose(1, 0, 2).reshape(n_batches * LANES, -1)[:, :n_bins]
    np.testing.assert_array_equal(found, reference.rows(S))


@settings(deadline=None, max_examples=100)
@given(**SHAPES, row=st.integers(0, 20))
def test_the_mask_is_made_of_scipys_medians_along_time(seed, n_batches, n_bins, distinct, row):
    rng = np.random.default_rng(seed)
    D = spectra(seed, n_batches, n_bins, distinct)
    n_rows = row + whole_blocks(n_batches * LANES) + 32
    shape = (-(-n_bins // LANES), n_rows, LANES)
    turned = aligned(shape, np.float32)
    turned[:] = rng.integers(0, distinct, shape, endpoint=True) / np.float32(3)
    P = aligned((n_batches, whole_blocks(n_bins), LANES), np.float32)
    P[:] = rng.integers(0, distinct, P.shape, endpoint=True) / np.float32(3)
    found, expected = np.empty_like(D), np.empty_like(D)
    reference.percussive_spectra(turned, row, P, D, expected)
    # the reference takes only part of the rows, so that it cannot show what others do
    turned[:, row + n_batches * LANES + 31 :] = np.nan
    turned[:, : row + 1] = np.nan
    medians.percussive_spectra(turned, row, P, D, found)
    np.testing.assert_array_equal(found, expected)


@given(n_rows=st.integers(1, 40), shift=st.integers(0, 9), n_groups=st.integers(1, 3))
def test_rows_are_moved_and_mirrored(n_rows, shift, n_groups):
    rng = np.random.default_rng(n_rows)
    turned = rng.random((n_groups, shift + 2 * n_rows, LANES)).astype(np.float32)
    moved = np.arange(shift, shift + n_rows)
    for start, rows in ((0, moved), (shift + n_rows, moved[::-1].copy())):
        expected = turned.copy()
        expected[:, start : start + n_rows] = turned[:, rows]
        for kernels in (medians, reference):
            found = turned.copy()
            kernels.copy_rows(found, start, rows)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("h", "p", "mask"),
    [(0, 0, 0.5), (1e-39, 1e-40, 0.5), (1, 0, 0), (0, 1, 1), (3, 1, 0.1), (1e-30, 3e-30, 0.9),
     (3e30, 1e30, 0.1)],
)  # fmt: skip
@pytest.mark.parametrize("kernels", [medians, reference])
def test_masks(kernels, h, p, mask):
    D = np.ones((2, 2, 1, LANES), np.float32)
    turned = np.full((1, 48, LANES), h, np.float32)
    kernels.percussive_spectra(turned, 0, np.full((2, 16, LANES), p, np.float32), D, D)
    np.testing.assert_allclose(D, mask, rtol=1e-6)
