"""Facts about decoded samples: peaks before and after mixing down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.audio import SignalMeter, mix_down
from featurelib.audio.meter import CLIP_LEVEL, PeakFacts, PeakMeter, SignalFacts
from tests.featurelib.support.signals import noise


def measured(parts: list[tuple[int, np.ndarray]]) -> tuple[SignalFacts, PeakFacts]:
    """Facts about the signal and about its only row."""
    signal, row = SignalMeter(), PeakMeter()
    for sr, block in parts:
        peak = signal.add(block, sr)
        assert peak == np.abs(block).max()
        row.add(block, mix_down(block), peak)
    return signal.facts(), row.facts()


def channels(n: int, seed: int = 0) -> np.ndarray:
    return np.stack([noise(0.05, seed=seed + i) for i in range(n)], axis=1)


@given(st.integers(1, 5), st.lists(st.integers(1, 1101), max_size=6))
def test_peaks_are_those_of_all_samples_however_they_are_cut(n_channels, cuts):
    y = channels(n_channels)
    blocks = [block for block in np.split(y, sorted(cuts)) if len(block)]
    facts, peaks = measured([(22_050, block) for block in blocks])
    assert peaks.peak == np.abs(y).max()
    assert peaks.mix_peak == pytest.approx(np.abs(y.mean(axis=1)).max(), rel=1e-6)
    assert (facts, peaks) == measured([(22_050, y)])


def test_channels_that_cancel_out_have_a_peak_and_no_mix():
    left = noise(0.1)
    _, peaks = measured([(22_050, np.stack([left, -left], axis=1))])
    assert peaks.mix_peak == 0.0
    assert peaks.peak == np.abs(left).max()
    assert not peaks.is_silent


def test_the_mix_peak_of_mono_is_the_peak():
    _, peaks = measured([(22_050, -np.abs(channels(1)))])
    assert peaks.mix_peak == peaks.peak > 0


def test_negative_peaks_count():
    y = np.zeros((100, 2), np.float32)
    y[50] = -0.5, -0.25
    _, peaks = measured([(22_050, y)])
    assert (peaks.peak, peaks.mix_peak) == (0.5, 0.375)


def test_streams_of_other_forms_count_together():
    one, two = 0.1 * channels(1), channels(2, seed=9)
    facts, peaks = measured([(22_050, one), (8_000, two), (22_050, one)])
    assert (facts.sample_rate_hz, facts.channels) == (22_050, 1)
    assert facts.duration_s == pytest.approx(2 * len(one) / 22_050 + len(two) / 8_000)
    assert peaks.peak == np.abs(two).max()
    assert peaks.mix_peak == np.abs(mix_down(two)).max()
    others, _ = measured([(22_050, one), (22_050, two)])
    assert facts.audio_hash != others.audio_hash


def test_a_row_measures_its_own_peak_where_none_is_given():
    y = channels(2)
    row = PeakMeter()
    row.add(y, mix_down(y))
    assert row.facts().peak == np.abs(y).max()


def test_clipping_is_counted_from_its_level_on_and_a_row_of_no_samples_is_silent():
    y = np.array([[CLIP_LEVEL], [-CLIP_LEVEL], [np.nextafter(CLIP_LEVEL, np.float32(0))], [0]])
    _, peaks = measured([(22_050, y.astype(np.float32))])
    assert peaks.clipped_fraction == 0.5
    assert PeakMeter().facts() == PeakFacts(0.0, 0.0, 0.0, is_silent=True)
