"""Facts of the decoded samples: peaks before and after mixing down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.audio import SignalFacts, SignalMeter, mix_down
from tests.featurelib.signals import noise


def measured(parts: list[tuple[int, np.ndarray]]) -> SignalFacts:
    meter = SignalMeter()
    for sr, block in parts:
        meter.add(block, sr, mix_down(block))
    return meter.facts()


def channels(n: int, seed: int = 0) -> np.ndarray:
    return np.stack([noise(0.05, seed=seed + i) for i in range(n)], axis=1)


@given(st.integers(1, 5), st.lists(st.integers(1, 1101), max_size=6))
def test_peaks_are_those_of_all_samples_however_they_are_cut(n_channels, cuts):
    y = channels(n_channels)
    blocks = [block for block in np.split(y, sorted(cuts)) if len(block)]
    facts = measured([(22_050, block) for block in blocks])
    assert facts.peak == np.abs(y).max()
    assert facts.mix_peak == pytest.approx(np.abs(y.mean(axis=1)).max(), rel=1e-6)
    assert facts == measured([(22_050, y)])


def test_channels_that_cancel_out_have_a_peak_and_no_mix():
    left = noise(0.1)
    facts = measured([(22_050, np.stack([left, -left], axis=1))])
    assert facts.mix_peak == 0.0
    assert facts.peak == np.abs(left).max()
    assert not facts.is_silent


def test_the_mix_peak_of_mono_is_the_peak():
    facts = measured([(22_050, -np.abs(channels(1)))])
    assert facts.mix_peak == facts.peak > 0


def test_negative_peaks_count():
    y = np.zeros((100, 2), np.float32)
    y[50] = -0.5, -0.25
    facts = measured([(22_050, y)])
    assert (facts.peak, facts.mix_peak) == (0.5, 0.375)


def test_streams_of_other_forms_count_together():
    one, two = 0.1 * channels(1), channels(2, seed=9)
    facts = measured([(22_050, one), (8_000, two), (22_050, one)])
    assert (facts.sample_rate_hz, facts.channels) == (22_050, 1)
    assert facts.duration_s == pytest.approx(2 * len(one) / 22_050 + len(two) / 8_000)
    assert facts.peak == np.abs(two).max()
    assert facts.mix_peak == np.abs(mix_down(two)).max()
    assert facts.audio_hash != measured([(22_050, one), (22_050, two)]).audio_hash
