"""What kernels are tested with, and to which tolerance.

Kernels are held against their reference: bit by bit where they promise so, elsewhere to what
another order of summation changes.
"""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from featurelib.kernels import reference
from featurelib.kernels.lanes import LANES, aligned

#: Rounding of sums in float64 and in float32, of not more than some thousand values.
SUM64, SUM32 = 1e-12, 5e-6

#: Floor of power before a logarithm.
AMIN = np.float32(1e-10)

SEEDS = st.integers(0, 2**32 - 1)

quickly = settings(deadline=None, max_examples=30)


@st.composite
def spectra(draw, least_bins=1):
    """Magnitudes in lanes, and how many frames there are: silent, tiny, loud and with ties."""
    rng = np.random.default_rng(draw(SEEDS))
    n_frames, k = draw(st.integers(1, 3 * LANES)), draw(st.integers(least_bins, 300))
    S = aligned((-(-n_frames // LANES), k, LANES), np.float32)
    S[:] = rng.gamma(0.5, size=S.shape) * 10.0 ** rng.integers(-20, 6, (len(S), 1, LANES))
    if draw(st.booleans()):
        S[:] = rng.integers(0, 4, S.shape)
    S *= rng.random((len(S), 1, LANES)) > 0.2
    return S, n_frames


def sums_of(S, n_frames):
    sums = np.empty((3, len(S) * LANES))
    reference.power_sums(S, sums)
    return np.ascontiguousarray(sums[:, :n_frames])


def filled(shape, dtype, *calls):
    """What functions put into arrays of their own."""
    outs = []
    for call in calls:
        out = np.full(shape, np.nan, dtype)
        call(out)
        outs.append(out)
    return outs


@st.composite
def series(draw):
    rng = np.random.default_rng(draw(SEEDS))
    x = rng.standard_normal((draw(st.integers(1, 100)), draw(st.integers(1, 20))))
    x = x * 10.0 ** rng.integers(-3, 4, x.shape[1]) + rng.uniform(-5, 5, x.shape[1])
    return x.astype(draw(st.sampled_from([np.float32, np.float64])))
