"""The engine: samples in, statistics of every descriptor out."""

from __future__ import annotations

import itertools

import numpy as np

from featurelib.descriptors import DESCRIPTORS
from featurelib.errors import AudioError
from featurelib.frames import FrameBlock, Framer
from featurelib.spec import CELL_FAMILIES, FeatureSpec
from featurelib.spectrum import Transform
from featurelib.statistics import CellSeries, RowSeries

#: Frames that are transformed at once.
BLOCK_FRAMES = 64


class Analysis:
    """Computes a spec's feature columns from one signal that arrives in pieces.

    Parameters
    ----------
    spec : FeatureSpec
        What to compute.
    block_frames : int
        Frames that are transformed at once; defines no value.
    """

    def __init__(self, spec: FeatureSpec, *, block_frames: int = BLOCK_FRAMES) -> None:
        self._spec = spec
        self._framer = Framer(
            n_fft=spec.n_fft,
            hop_length=spec.hop_length,
            pad=spec.n_fft // 2 if spec.center else 0,
            pad_mode=spec.pad_mode,
            block_frames=block_frames,
        )
        self._transform = Transform(spec)
        self._n_frames = 0
        self._families = []
        for family, _ in spec.features:
            descriptor = DESCRIPTORS[family]
            pooled = family in CELL_FAMILIES or family in spec.pooled
            series = CellSeries() if pooled else RowSeries(descriptor.n_rows(spec))
            self._families.append((descriptor(spec), series))

    def push(self, y: np.ndarray) -> None:
        """Take in more of the signal: finite float32 samples at the spec's rate."""
        for block in self._framer.push(y):
            self._take(block)

    def finish(self) -> tuple[int, list[float]]:
        """Number of frames, and the values of the feature columns in their order.

        Raises
        ------
        AudioError
            If the signal is too short for a single frame, which only happens with specs
            that do not pad.
        """
        for block in self._framer.finish():
            self._take(block)
        if self._n_frames == 0:
            raise AudioError(
                "too_short",
                f"shorter than one frame of {self._spec.n_fft} samples, without padding",
            )
        values: list[float] = []
        for (descriptor, series), (_, statistics) in zip(
            self._families, self._spec.features, strict=True
        ):
            for chunk in descriptor.finish():
                series.append(chunk)
            # Rows first: all statistics of one row stand together.
            columns = [series.statistic(name).tolist() for name in statistics]
            values += itertools.chain.from_iterable(zip(*columns, strict=True))
        return self._n_frames, values

    def _take(self, frames: FrameBlock) -> None:
        self._n_frames += frames.n_frames
        block = self._transform(frames)
        for descriptor, series in self._families:
            series.append(descriptor.update(block))
