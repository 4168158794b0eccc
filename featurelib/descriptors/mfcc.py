"""Mel-frequency cepstral coefficients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from featurelib import banks
from featurelib.descriptors.base import Descriptor, stft_arguments
from featurelib.kernels import filters
from featurelib.spec import FeatureSpec
from featurelib.spectrum import AMIN, SpectrumBlock
from featurelib.store import FrameStore


class Mfcc(Descriptor):
    """Cosine transform of the mel spectrum in dB.

    The dB are limited to `top_db` below their maximum in the whole signal, so the mel
    spectra are kept until its end.
    """

    family = "mfcc"
    unit = "dB"

    @classmethod
    def n_rows(cls, spec: FeatureSpec) -> int:
        return spec.n_mfcc

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        which = "each coefficient" if row is None else f"coefficient {row}"
        return (
            f"{which} of the orthonormal DCT-II of a frame's power in {spec.n_mels} mel "
            f"bands (Slaney), in dB, within {spec.top_db:g} dB of its maximum in the file"
        )

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        call = (
            f"librosa.feature.mfcc(y=y, sr={spec.sr}, {stft_arguments(spec)}, "
            f"n_mels={spec.n_mels}, n_mfcc={spec.n_mfcc})"
        )
        return call if spec.top_db == 80 else f"{call} with top_db={spec.top_db:g} in its dB"

    def __init__(self, spec: FeatureSpec) -> None:
        self._top_db = np.float32(spec.top_db)
        self._bank = banks.mel_bank(spec.sr, spec.n_fft, spec.n_mels)
        self._dct = banks.dct_matrix(spec.n_mels, spec.n_mfcc)
        self._store = FrameStore(spec.n_mels)
        self._maximum = np.float32(-np.inf)

    def update(self, block: SpectrumBlock) -> np.ndarray:
        levels = filters.band_levels(block.S, *self._bank, AMIN, block.n_frames)
        self._maximum = max(self._maximum, levels.max())
        self._store.append(levels)
        return np.empty((0, self._dct.shape[1]))

    def finish(self) -> Iterator[np.ndarray]:
        floor = self._maximum - self._top_db
        for chunk in self._store.chunks():
            yield filters.cepstra(chunk, floor, self._dct)
