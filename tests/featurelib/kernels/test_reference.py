"""Compiled kernels against their definitions in NumPy, argument by argument.

Bit by bit where a kernel promises so; elsewhere the two sum in another order. A sum of n
values is good to some n ** 0.5 units in the last place, whatever its order.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurelib.kernels import (
    contrast,
    fft,
    filters,
    moments,
    peaks,
    quantiles,
    reference,
    samples,
    spectral,
)
from featurelib.kernels.lanes import LANES, aligned

MODULES = (contrast, fft, filters, moments, peaks, quantiles, samples, spectral)

#: Rounding of sums in float64 and in float32, of not more than some thousand values.
SUM64, SUM32 = 1e-12, 5e-6

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


def test_every_kernel_has_a_reference_with_the_same_arguments():
    compiled = {
        name: function.py_func
        for module in MODULES
        for name, function in vars(module).items()
        if hasattr(function, "py_func") and function.py_func.__module__ == module.__name__
        if not name.startswith("_") and function is not fft.magnitudes
    } | {"transform": fft.transform}
    assert len(compiled) > 20
    for name, function in compiled.items():
        arguments = inspect.signature(function).parameters
        assert list(arguments) == list(inspect.signature(getattr(reference, name)).parameters), name


# Samples


@st.composite
def frames(draw):
    """Samples around zero, the lengths of frames and hops, and how many there are."""
    frame_length, n_frames = draw(st.integers(2, 40)), draw(st.integers(1, 20))
    hop_length = draw(st.integers(1, frame_length))
    rng = np.random.default_rng(draw(SEEDS))
    y = rng.choice(
        [-1, -0.3, -2e-10, -5e-11, -0.0, 0, 0.1, 1], (n_frames - 1) * hop_length + frame_length
    )
    return y.astype(np.float32), frame_length, hop_length, n_frames


@quickly
@given(frames(), st.integers(0, 30), st.integers(0, 30))
def test_crossing_rates(framed, low, missing):
    y, frame_length, hop_length, n = framed
    low = min(low, len(y))
    arguments = (y, low, max(len(y) - missing, low), frame_length, hop_length)
    found, expected = filled(
        n,
        np.float64,
        lambda out: samples.crossing_rates(*arguments, out),
        lambda out: reference.crossing_rates(*arguments, out),
    )
    np.testing.assert_array_equal(found, expected)


@quickly
@given(frames())
def test_frame_rms(framed):
    y, frame_length, hop_length, n = framed
    found, expected = filled(
        n,
        np.float64,
        lambda out: samples.frame_rms(y, frame_length, hop_length, out),
        lambda out: reference.frame_rms(y, frame_length, hop_length, out),
    )
    np.testing.assert_allclose(found, expected, rtol=SUM64)


# Spectra


@quickly
@given(spectra())
def test_power_sums(drawn):
    S, _ = drawn
    found, expected = filled(
        (3, len(S) * LANES),
        np.float64,
        lambda out: spectral.power_sums(S, out),
        lambda out: reference.power_sums(S, out),
    )
    np.testing.assert_allclose(found, expected, rtol=SUM64)


@quickly
@given(spectra(), st.floats(1, 50))
def test_centroids_and_bandwidths_are_bit_by_bit_equal(drawn, bin_width):
    sums = sums_of(*drawn)
    for name in ("centroids", "bandwidths"):
        found, expected = filled(
            sums.shape[1],
            np.float64,
            lambda out, name=name: getattr(spectral, name)(sums, bin_width, out),
            lambda out, name=name: getattr(reference, name)(sums, bin_width, out),
        )
        np.testing.assert_array_equal(found, expected)


@quickly
@given(spectra(), st.sampled_from([1, 3, 4, 0.5, 2.7]), st.floats(1, 50))
def test_bandwidths_of_any_order(drawn, p, bin_width):
    S, _ = drawn
    sums = sums_of(*drawn)
    whole = isinstance(p, int)
    kernel = spectral.bandwidths_of_whole_order if whole else spectral.bandwidths_of_order
    found = kernel(S, sums, p, bin_width)
    expected = reference.bandwidths_of_order(S, sums, p, bin_width)
    # All power in one bin leaves the rounding of its distance from the centroid.
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11 * S.shape[1] * bin_width)


@quickly
@given(spectra(), st.floats(0.01, 0.99))
def test_rolloff_is_bit_by_bit_equal(drawn, fraction):
    S, _ = drawn
    found, expected = filled(
        len(S) * LANES,
        np.float32,
        lambda out: spectral.rolloff_bins(S, np.float32(fraction), out),
        lambda out: reference.rolloff_bins(S, np.float32(fraction), out),
    )
    np.testing.assert_array_equal(found, expected)


@quickly
@given(spectra())
def test_log_power_and_flatness(drawn):
    S, _ = drawn
    found, expected = filled(
        S.shape,
        np.float32,
        lambda out: spectral.log_power(S, AMIN, out),
        lambda out: reference.log_power(S, AMIN, out),
    )
    np.testing.assert_allclose(found, expected, rtol=2.5e-7, atol=1e-7)
    found = spectral.flatness(S, expected, AMIN)
    np.testing.assert_allclose(found, reference.flatness(S, expected, AMIN), rtol=SUM64)


@quickly
@given(spectra(), st.booleans())
def test_flux(drawn, is_first):
    S, n_frames = drawn
    totals = sums_of(*drawn)[0]
    before, total_before = np.zeros(S.shape[1], np.float32), 0.0
    if not is_first:
        before = reference.spectrum_of(S, n_frames - 1)
        total_before = float(before.sum(dtype=np.float64))
    found = spectral.flux(S, totals, before, total_before)
    expected = reference.flux(S, totals, before, total_before)
    np.testing.assert_allclose(found, expected, rtol=SUM64, atol=SUM64)


@quickly
@given(spectra(), st.data())
def test_one_spectrum(drawn, data):
    S, n_frames = drawn
    t = data.draw(st.integers(0, n_frames - 1))
    np.testing.assert_array_equal(spectral.spectrum_of(S, t), reference.spectrum_of(S, t))


@quickly
@given(spectra(), st.data())
def test_band_extremes(drawn, data):
    S, _ = drawn
    k = S.shape[1]
    edges = data.draw(st.lists(st.integers(0, k), min_size=2, max_size=6, unique=True).map(sorted))
    starts, stops = np.array(edges[:-1]), np.array(edges[1:])
    takes = np.array([data.draw(st.integers(1, n)) for n in stops - starts])
    found = contrast.band_extremes(S, starts, stops, takes)
    expected = reference.band_extremes(S, starts, stops, takes)
    np.testing.assert_allclose(found, expected, rtol=1.2e-7)  # one unit of float32


# Filters


@quickly
@given(spectra(), st.data(), SEEDS)
def test_band_levels(drawn, data, seed):
    S, n_frames = drawn
    k = S.shape[1]
    bounds = st.lists(st.integers(0, k), min_size=2, max_size=2).map(sorted)
    starts, stops = np.array(data.draw(st.lists(bounds, min_size=1, max_size=9))).T.copy()
    weights = np.random.default_rng(seed).random((len(starts), k)).astype(np.float32)
    bins = np.arange(k)
    weights *= (starts[:, None] <= bins) & (bins < stops[:, None])
    found = filters.band_levels(S, starts, stops, weights, AMIN, n_frames)
    expected = reference.band_levels(S, starts, stops, weights, AMIN, n_frames)
    assert found.dtype == expected.dtype == np.float32
    # In dB: 4.3 times the relative difference of power, and the logarithm's rounding.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=4.4 * SUM32)


@quickly
@given(
    n_frames=st.integers(1, 40),
    n_mels=st.integers(1, 64),
    share=st.floats(0, 1),
    seed=SEEDS,
)
def test_cepstra(n_frames, n_mels, share, seed):
    rng = np.random.default_rng(seed)
    levels = rng.uniform(-120, 20, (n_frames, n_mels)).astype(np.float32)
    dct = rng.uniform(-1, 1, (n_mels, max(round(share * n_mels), 1)))
    found, expected = filters.cepstra(levels, dct), reference.cepstra(levels, dct)
    np.testing.assert_allclose(found, expected, rtol=SUM64, atol=100 * SUM64)


@pytest.mark.parametrize("kernels", [filters, reference], ids=["compiled", "reference"])
def test_a_flat_spectrum_has_one_coefficient_exactly(kernels):
    n = np.arange(128)
    dct = np.cos(np.pi / 128 * np.outer(n + 0.5, np.arange(20)))
    found = kernels.cepstra(np.full((3, 128), -63.2, np.float32), dct)
    assert (found[:, 0] < 0).all()
    assert (found[:, 1:] == 0).all()


@quickly
@given(spectra(), st.integers(1, 26), SEEDS)
def test_filtered(drawn, n_filters, seed):
    S, n_frames = drawn
    bank = np.random.default_rng(seed).random((n_filters, S.shape[1])).astype(np.float32)
    found = filters.filtered(S, bank, n_frames)
    expected = reference.filtered(S, bank, n_frames)
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=SUM32, atol=1e-40)


@pytest.mark.parametrize("kernels", [filters, reference], ids=["compiled", "reference"])
def test_rows_are_relative_to_their_strongest_but_for_silence(kernels):
    x = np.array([[1.0, 4.0, 2.0], [0.0, 0.0, 0.0], [1e-40, 0.0, 1e-39]], np.float32)
    found = kernels.relative_to_strongest(x)
    np.testing.assert_array_equal(found, [x[0] / 4, x[1], x[2]])
    assert found.dtype == np.float32


# Peaks and the tuning


@quickly
@given(spectra(3), st.data())
def test_spectral_peaks_are_bit_by_bit_equal(drawn, data):
    S, n_frames = drawn
    n_bins = S.shape[1]
    low = data.draw(st.integers(1, n_bins - 1))
    high = data.draw(st.integers(low, n_bins) | st.just(n_bins))
    arguments = (low, high, np.float32(0.1), 22_050.0, 2 * n_bins - 2, n_frames)
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


# Statistics


@st.composite
def series(draw):
    rng = np.random.default_rng(draw(SEEDS))
    x = rng.standard_normal((draw(st.integers(1, 100)), draw(st.integers(1, 20))))
    x = x * 10.0 ** rng.integers(-3, 4, x.shape[1]) + rng.uniform(-5, 5, x.shape[1])
    return x.astype(draw(st.sampled_from([np.float32, np.float64])))


def assert_same_moments(found, expected, x):
    """Sums of powers, to their rounding: a share of the sum of absolute powers."""
    np.testing.assert_array_equal(found[4:], expected[4:])
    scale = np.abs(x.astype(np.float64)).max() + 1e-300
    for row, power in zip(range(4), (1, 2, 3, 4), strict=True):
        n = 1 if row == 0 else x.size
        atol = 1e-13 * n * scale**power
        np.testing.assert_allclose(found[row], expected[row], rtol=SUM64, atol=atol)


@quickly
@given(series())
def test_moments(x):
    for name, n in (("central_moments", x.shape[1]), ("cell_moments", 1)):
        found, expected = filled(
            (6, n),
            np.float64,
            lambda out, name=name: getattr(moments, name)(x, out),
            lambda out, name=name: getattr(reference, name)(x, out),
        )
        assert_same_moments(found, expected, x)


@quickly
@given(series(), st.data())
def test_moments_combine_to_those_of_all(x, data):
    if len(x) < 2:
        return
    cut = data.draw(st.integers(1, len(x) - 1))
    first, second, whole = filled(
        (6, x.shape[1]),
        np.float64,
        lambda out: reference.central_moments(x[:cut], out),
        lambda out: reference.central_moments(x[cut:], out),
        lambda out: reference.central_moments(x, out),
    )
    for kernels in (moments, reference):
        found = first.copy()
        kernels.combine(found, cut, second, len(x) - cut)
        assert_same_moments(found, whole, x)


@quickly
@given(series(), st.data())
def test_quantiles_by_digits(x, data):
    x = np.round(x.astype(np.float32), 1)
    words = np.ascontiguousarray(x).view(np.uint32)
    n, m = x.shape
    rank = data.draw(st.integers(0, n - 1))
    results = []
    for kernels in (quantiles, reference):
        prefixes, ranks = np.zeros(m, np.int64), np.full(m, rank)
        known = 0
        for width in (11, 11, 10):
            counts = np.zeros((m, 1 << width), np.int64)
            kernels.count_digits(words, prefixes, known, width, counts)
            kernels.take_digits(counts, ranks, prefixes, width)
            known += width
        n_up_to, above = np.zeros(m, np.int64), np.full(m, 1 << 32)
        kernels.least_above(words, prefixes, n_up_to, above)
        results.append((prefixes, ranks, n_up_to, above))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)
    bits = results[0][0]
    values = np.where(bits >> 31, bits & 0x7FFFFFFF, ~bits & 0xFFFFFFFF).astype(np.uint32)
    np.testing.assert_array_equal(values.view(np.float32), np.sort(x, axis=0)[rank])
