"""Zero crossings of the samples."""

from __future__ import annotations

import numpy as np

from featurelib.descriptors.base import Descriptor
from featurelib.kernels import samples
from featurelib.spec import FeatureSpec
from featurelib.spectrum import SpectrumBlock


class ZeroCrossingRate(Descriptor):
    """Share of the samples of each frame at which the sign changes."""

    family = "zero_crossing_rate"
    unit = "1/sample"

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        return (
            "share of the samples of a frame whose sign differs from the sample before "
            "(within 1e-10 of zero counts as positive; ends padded with the edge value)"
        )

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        center = "" if spec.center else ", center=False"
        return (
            "librosa.feature.zero_crossing_rate(y, "
            f"frame_length={spec.n_fft}, hop_length={spec.hop_length}{center})"
        )

    def __init__(self, spec: FeatureSpec) -> None:
        self._n_fft = spec.n_fft
        self._hop = spec.hop_length

    def update(self, block: SpectrumBlock) -> np.ndarray:
        frames = block.frames
        return samples.crossing_rates(
            frames.y, frames.low, frames.high, self._n_fft, self._hop, frames.n_frames
        )[:, None]
