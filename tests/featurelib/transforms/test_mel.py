"""Mel spectra of frames that differ in their padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.graph import Node, Plan
from featurelib.transforms.frames import Frames
from featurelib.transforms.hpss import HPSS
from featurelib.transforms.mel import Mel
from featurelib.transforms.stft import STFT
from tests.featurelib.support.collecting import collected, pieces_of
from tests.featurelib.support.signals import noise

SR = 22_050


def levels(y: np.ndarray, mel: Mel, *beside: Node, step: int = 5000) -> np.ndarray:
    """Levels of a signal, shape (frames, bands), computed beside other nodes."""
    blocks = collected(mel, pieces_of(y, step), *beside, sr=SR)
    return np.concatenate([block.x for block in blocks])


def mel(pad_mode: str, **parameters) -> Mel:
    return Mel(stft=STFT(frames=Frames(pad_mode=pad_mode, **parameters)))


@pytest.mark.parametrize("mode", ["reflect", "edge"])
@pytest.mark.parametrize("is_first", [False, True])
@given(
    n=st.one_of(st.integers(1, 3000), st.integers(30_000, 100_000)),
    step=st.integers(100, 50_000),
    hop_length=st.sampled_from([512, 300, 1024]),
)
def test_other_padding_changes_the_ends_only_and_nothing_else(mode, is_first, n, step, hop_length):
    y = noise(n / SR)[:n]
    own, other = mel("constant", hop_length=hop_length), mel(mode, hop_length=hop_length)
    beside = [Frames(hop_length=hop_length)] if is_first else []
    expected = levels(y, own)
    assert np.array_equal(levels(y, own, *beside, other, step=step), expected)


def test_other_padding_transforms_few_frames():
    own, other = mel("constant"), mel("reflect")
    plan = Plan([other, own], SR)
    assert [type(node).__name__ for node in plan.computed].count("_Repadded") == 1
    assert own.stft not in plan.nodes
    # Frames that are not centred have no padding.
    apart = Plan([mel("reflect", center=False), mel("constant", center=False)], SR).computed
    assert "_Repadded" not in [type(node).__name__ for node in apart]


def test_other_padding_beside_the_separation():
    y = noise(4.0)
    other = mel("reflect")
    found = levels(y, mel("constant"), HPSS(stft=other.stft), other)
    assert np.array_equal(found, levels(y, mel("constant")))
