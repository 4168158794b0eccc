"""Beats, against the times at which clicks were put, and against librosa's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

import featurelib
from featurelib.plot.beats import beats
from tests.featurelib.support.signals import SR, noise, time


def click_track(bpm: float, seconds: float = 12.0) -> np.ndarray:
    y = noise(seconds, level=1e-3)
    for start in np.arange(0.5, seconds - 0.5, 60 / bpm):
        n = round(start * SR)
        y[n : n + 400] += 0.8 * np.sin(2 * np.pi * 1000 * time(400 / SR)[:400])
    return y.astype(np.float32)


@pytest.mark.parametrize("bpm", [80.0, 117.0, 150.0])
def test_beats_are_at_the_clicks(bpm):
    y = click_track(bpm)
    ax = featurelib.plot.onset_strength(y, SR)
    [lines] = [one for one in ax.collections if hasattr(one, "get_segments")]
    found = np.array([segment[0, 0] for segment in lines.get_segments()])
    clicks = np.arange(0.5, 11.5, 60 / bpm)
    assert abs(len(found) - len(clicks)) <= 1
    assert max(np.abs(clicks - one).min() for one in found) < 0.05


@pytest.mark.slow  # librosa compiles its own
@pytest.mark.parametrize("bpm", [80.0, 150.0])
def test_beats_are_those_of_librosa(bpm):
    envelope = librosa.onset.onset_strength(y=click_track(bpm), sr=SR, aggregate=np.median)
    tempo, expected = librosa.beat.beat_track(onset_envelope=envelope, sr=SR)
    found = beats(envelope, 60 * SR / (512 * float(tempo[0])))
    assert len(found) - len(expected) in (0, 1)  # how weak ends are told differs
    assert max(np.abs(found - one).min() for one in expected) <= 1


@pytest.mark.parametrize("strength", [np.zeros(50), np.zeros(0), np.ones(1), np.ones(40)])
def test_there_may_be_no_beats(strength):
    assert len(beats(strength, 20.0)) == 0
