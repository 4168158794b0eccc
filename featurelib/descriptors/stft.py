"""Statistics of the whole short-time Fourier transform."""

from __future__ import annotations

import numpy as np

from featurelib.descriptors.base import Descriptor, stft_arguments
from featurelib.spec import FeatureSpec
from featurelib.spectrum import SpectrumBlock

_DB_PER_NEPER = np.float32(10.0 / np.log(10.0))


class Stft(Descriptor):
    """Magnitudes of all frames and bins."""

    family = "stft"
    unit = "1"

    @classmethod
    def n_rows(cls, spec: FeatureSpec) -> int:
        return 1 + spec.n_fft // 2

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        return "magnitude of the short-time Fourier transform"

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        return f"np.abs(librosa.stft(y, {stft_arguments(spec)}))"

    def __init__(self, spec: FeatureSpec) -> None:
        pass

    def update(self, block: SpectrumBlock) -> np.ndarray:
        return block.cells(block.S)


class StftDb(Descriptor):
    """Magnitudes of all frames and bins, in dB."""

    family = "stft_db"
    unit = "dB"

    @classmethod
    def n_rows(cls, spec: FeatureSpec) -> int:
        return 1 + spec.n_fft // 2

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        return (
            "20 times the decimal logarithm of the magnitude of the short-time Fourier "
            "transform, at least 1e-5 (-100 dB)"
        )

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        return (
            f"librosa.amplitude_to_db(np.abs(librosa.stft(y, {stft_arguments(spec)})), "
            "amin=1e-5, top_db=None)"
        )

    def __init__(self, spec: FeatureSpec) -> None:
        pass

    def update(self, block: SpectrumBlock) -> np.ndarray:
        return block.cells(block.log_power) * _DB_PER_NEPER
