"""Spectra that several nodes share."""

from __future__ import annotations

import numpy as np

from featurelib.graph import Node
from featurelib.transforms.frames import Frames
from featurelib.transforms.hpss import HPSS
from featurelib.transforms.stft import STFT, rows
from tests.featurelib.support.collecting import collected, pieces_of
from tests.featurelib.support.signals import noise

SR = 22_050


def spectra(y: np.ndarray, stft: STFT, *beside: Node) -> np.ndarray:
    """Magnitudes of a signal, shape (frames, bins), computed beside other nodes."""
    blocks = collected(stft, pieces_of(y, 5000), *beside, sr=SR)
    return np.concatenate([rows(block.x, block.n_frames) for block in blocks])


def stft(pad_mode: str, **parameters) -> STFT:
    return STFT(frames=Frames(pad_mode=pad_mode, **parameters))


def test_magnitudes_beside_the_separation_are_the_same():
    y = noise(2.0)
    assert np.array_equal(spectra(y, STFT(), HPSS()), spectra(y, STFT()))
    both = spectra(y, STFT(), HPSS(stft=stft("reflect")), stft("reflect"))
    assert np.array_equal(both, spectra(y, STFT()))
