"""Segmentation of one channel; each segment is analysed as a separate signal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from featurelib.audio.meter import PeakFacts, PeakMeter
from featurelib.errors import AudioError
from featurelib.graph import Analysis
from featurelib.specs.level import Level

#: Zeros that are appended at once to pad a short segment [samples].
_ZEROS = 65_536


class Segment(NamedTuple):
    """Segment of a signal.

    Attributes
    ----------
    number : int
        Number of the segment, from 0.
    start, stop : int
        The segment is samples [start, stop) of the resampled signal.
    analysis : Analysis
        Analysis of the segment.
    """

    number: int
    start: int
    stop: int
    analysis: Analysis


class Segmenter:
    """Analyses each segment of a signal that arrives in pieces, in bounded memory.

    Parameters
    ----------
    level : Level
        Track or segments.
    sr : int
        Sampling rate of the signal [Hz].
    begin : callable
        Function that starts the analysis of a segment.
    """

    def __init__(self, level: Level, sr: int, begin: Callable[[], Analysis]) -> None:
        self._begin = begin
        self._last = level.last
        self._is_track = level.kind == "track"
        self._length, self._hop = (0, 0) if self._is_track else level.samples(sr)
        self._n = 0
        self._next = 0
        self._open: list[Segment] = []
        if self._is_track:
            self._open.append(Segment(0, 0, 0, begin()))

    def push(self, y: np.ndarray) -> Iterator[Segment]:
        """Process samples of shape (n,) and yield the segments that are finished."""
        if self._is_track:
            self._open[0].analysis.push(y)
            self._n += len(y)
            return
        # In steps of a hop, so that only overlapping segments are open at the same time.
        for start in range(0, len(y), self._hop):
            yield from self._step(y[start : start + self._hop])

    def _step(self, y: np.ndarray) -> Iterator[Segment]:
        before = self._n
        self._n += len(y)
        while self._next * self._hop < self._n:
            start = self._next * self._hop
            self._open.append(Segment(self._next, start, start + self._length, self._begin()))
            self._next += 1
        for segment in self._open:
            part = y[max(segment.start - before, 0) : max(segment.stop - before, 0)]
            if len(part):
                segment.analysis.push(part)
        while self._open and self._is_certain(self._open[0]):
            segment = self._open.pop(0)
            segment.analysis.finish()
            yield segment

    def _is_certain(self, segment: Segment) -> bool:
        """Return whether a segment is complete, whatever samples follow."""
        if self._last == "strict" and self._n <= (segment.number + 1) * self._hop:
            return False
        return segment.stop <= self._n

    def finish(self) -> Iterator[Segment]:
        """End the signal and yield the remaining segments."""
        for segment in self._open:
            if self._is_track:
                segment.analysis.finish()
                yield segment._replace(stop=self._n)
            elif self._is_kept(segment):
                try:
                    self._pad(segment)
                    segment.analysis.finish()
                except AudioError as error:
                    if error.kind != "too_short" or segment.number == 0:
                        raise
                    continue  # the last segment is too short for a feature: drop it
                yield segment._replace(stop=min(segment.stop, self._n))
        self._open.clear()

    def _is_kept(self, segment: Segment) -> bool:
        if self._last in ("drop", "strict"):  # complete segments were yielded before
            return False
        # Drop a segment if the one before it reaches the end of the signal.
        return segment.number == 0 or segment.stop - self._hop < self._n

    def _pad(self, segment: Segment) -> None:
        missing = segment.stop - self._n if self._last == "pad" else 0
        while missing > 0:
            segment.analysis.push(np.zeros(min(missing, _ZEROS), np.float32))
            missing -= _ZEROS


class SegmentPeaks:
    """Measures the peaks of each segment from samples before resampling.

    Parameters
    ----------
    level : Level
        Track or segments.
    sr : int
        Sampling rate of the resampled signal [Hz].
    """

    def __init__(self, level: Level, sr: int) -> None:
        self._sr = sr
        self._is_track = level.kind == "track"
        self._length, self._hop = (0, 0) if self._is_track else level.samples(sr)
        self._meters: dict[int, PeakMeter] = {}
        if self._is_track:
            self._meters[0] = PeakMeter()
        self._form: int | None = None
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._base = 0  # index in the resampled signal where the current stream starts
        self._n = 0  # samples of the current stream so far

    def push(self, block: np.ndarray, y: np.ndarray, sr: int, peak: float | None) -> None:
        """Add samples with sampling rate `sr` [Hz], as `PeakMeter.add`."""
        if self._is_track:
            self._meters[0].add(block, y, peak)
            return
        self._last = (block[-1:].copy(), y[-1:].copy())
        if sr != self._form:
            if self._form is not None:
                self._base += math.ceil(self._n * (self._sr / self._form))
            self._form, self._n = sr, 0
        first, self._n = self._n, self._n + len(y)
        # The first segment that ends after the first sample of the block.
        number = max((self._place(first) - self._length) // self._hop + 1, 0)
        while self._sample(number * self._hop) < self._n:
            start = number * self._hop
            a = max(self._sample(start) - first, 0)
            b = max(self._sample(start + self._length) - first, 0)
            meter = self._meters.setdefault(number, PeakMeter())
            meter.add(block[a:b], y[a:b])
            number += 1

    def _place(self, sample: int) -> int:
        """Return the index in the resampled signal of a sample of the stream, rounded down."""
        assert self._form is not None
        return self._base + sample * self._sr // self._form

    def _sample(self, place: int) -> int:
        """Return the first sample of the stream at or after an index in the resampled signal."""
        assert self._form is not None
        return -(-(place - self._base) * self._form // self._sr)

    def pop(self, number: int) -> PeakFacts:
        """Return the peaks of a segment, and forget this segment and all earlier ones."""
        meter = self._meters.get(number, PeakMeter())
        if not meter.n_samples and self._last is not None:
            meter.add(*self._last)  # the segment is so short that no decoded sample is in it
        if not self._is_track:
            for other in [n for n in self._meters if n <= number]:
                del self._meters[other]
        return meter.facts()
