"""Root mean square of the samples."""

from __future__ import annotations

import numpy as np

from featurelib.descriptors.base import Descriptor
from featurelib.kernels import samples
from featurelib.spec import FeatureSpec
from featurelib.spectrum import SpectrumBlock


class Rms(Descriptor):
    """Root mean square of each frame of samples, not windowed."""

    family = "rms"
    unit = "1"

    @classmethod
    def definition(cls, spec: FeatureSpec, row: int | None) -> str:
        return "root mean square of the samples of a frame"

    @classmethod
    def librosa(cls, spec: FeatureSpec) -> str:
        arguments = f"frame_length={spec.n_fft}, hop_length={spec.hop_length}"
        if not spec.center:
            arguments += ", center=False"
        elif spec.pad_mode != "constant":
            arguments += f", pad_mode={spec.pad_mode!r}"
        return f"librosa.feature.rms(y=y, {arguments})"

    def __init__(self, spec: FeatureSpec) -> None:
        self._n_fft = spec.n_fft
        self._hop = spec.hop_length

    def update(self, block: SpectrumBlock) -> np.ndarray:
        frames = block.frames
        return samples.frame_rms(frames.y, self._n_fft, self._hop, frames.n_frames)[:, None]
