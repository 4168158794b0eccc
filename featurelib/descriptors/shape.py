"""The shape of the magnitude spectrum: where it lies, how wide, how flat, how steady."""

from __future__ import annotations

import numpy as np

from featurelib.descriptors.base import Descriptor, stft_arguments
from featurelib.kernels import shape
from featurelib.spec import FeatureSpec
from featurelib.spectrum import AMIN, SpectrumBlock


class SpectralCentroid(Descriptor):
    """Mean frequency, weighted by magnitude."""

    family = "spectral_centroid"
    unit = "Hz"

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        return "mean frequency of a frame, weighted by magnitude; 0 for silence"

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        return f"librosa.feature.spectral_centroid(y=y, sr={spec.sr}, {stft_arguments(spec)})"

    def __init__(self, spec: FeatureSpec) -> None:
        pass

    def update(self, block: SpectrumBlock) -> np.ndarray:
        return shape.centroids(block.power_sums, block.bin_width)[:, None]


class SpectralBandwidth(Descriptor):
    """Standard deviation of frequency, weighted by magnitude."""

    family = "spectral_bandwidth"
    unit = "Hz"

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        return (
            "root of a frame's mean squared distance from its spectral centroid, "
            "weighted by magnitude; 0 for silence"
        )

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        return f"librosa.feature.spectral_bandwidth(y=y, sr={spec.sr}, {stft_arguments(spec)})"

    def __init__(self, spec: FeatureSpec) -> None:
        pass

    def update(self, block: SpectrumBlock) -> np.ndarray:
        return shape.bandwidths(block.power_sums, block.bin_width)[:, None]


class SpectralRolloff(Descriptor):
    """Frequency below which a share of the magnitude lies."""

    family = "spectral_rolloff"
    unit = "Hz"

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        return (
            "frequency of the first bin of a frame up to which the magnitudes sum to at least "
            f"{spec.roll_percent:g} of their total; 0 for silence"
        )

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        return (
            f"librosa.feature.spectral_rolloff(y=y, sr={spec.sr}, {stft_arguments(spec)}, "
            f"roll_percent={spec.roll_percent:g})"
        )

    def __init__(self, spec: FeatureSpec) -> None:
        self._fraction = np.float32(spec.roll_percent)

    def update(self, block: SpectrumBlock) -> np.ndarray:
        bins = shape.rolloff_bins(block.S, self._fraction)[: block.n_frames, None]
        return bins * np.float64(block.bin_width)


class SpectralFlatness(Descriptor):
    """Geometric over arithmetic mean of the power spectrum."""

    family = "spectral_flatness"
    unit = "1"

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        return (
            "geometric over arithmetic mean of a frame's power spectrum, each bin at least "
            "1e-10; 1 for silence"
        )

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        return f"librosa.feature.spectral_flatness(y=y, {stft_arguments(spec)})"

    def __init__(self, spec: FeatureSpec) -> None:
        pass

    def update(self, block: SpectrumBlock) -> np.ndarray:
        return shape.flatness(block.S, block.log_power, AMIN)[: block.n_frames, None]


class SpectralFlux(Descriptor):
    """Distance between successive normalized spectra."""

    family = "spectral_flux"
    unit = "1"

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        return (
            "Euclidean length of the difference between the magnitude spectra of a frame and "
            "the one before, each divided by its sum (a silent frame's stays all zero); the "
            "first frame is left out; 0 for a single frame"
        )

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        return "none"

    def __init__(self, spec: FeatureSpec) -> None:
        self._before: np.ndarray | None = None
        self._total_before = 0.0

    def update(self, block: SpectrumBlock) -> np.ndarray:
        totals = block.power_sums[0]
        before = self._before
        first = before is None
        if before is None:
            before = np.zeros(block.S.shape[1], np.float32)
        values = shape.flux(block.S, totals, before, self._total_before)[int(first) :]
        self._before = shape.spectrum_of(block.S, block.n_frames - 1)
        self._total_before = float(totals[-1])
        return values[:, None]
