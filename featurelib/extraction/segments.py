"""Cuts one channel's signal into segments, each of which is a signal of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from featurelib.audio.meter import PeakFacts, PeakMeter
from featurelib.errors import AudioError
from featurelib.graph import Analysis
from featurelib.specs.level import Level

#: Samples of zeros that pad a short end at once.
_ZEROS = 65_536


class Segment(NamedTuple):
    """A finished segment: samples [start, stop) of the resampled signal."""

    number: int
    start: int
    stop: int
    analysis: Analysis


class Segmenter:
    """Analyses each segment of a signal that arrives in pieces, in bounded memory.

    Parameters
    ----------
    level : Level
        How it is cut.
    sr : int
        Rate of the signal [Hz].
    begin : callable
        Makes the analysis of a segment.
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
        """Take in more samples; give the segments that are finished."""
        if self._is_track:
            self._open[0].analysis.push(y)
            self._n += len(y)
            return
        # In steps of a hop, so that no more segments are open than overlap.
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
        """Whether a segment is there, however the signal goes on."""
        if self._last == "strict" and self._n <= (segment.number + 1) * self._hop:
            return False
        return segment.stop <= self._n

    def finish(self) -> Iterator[Segment]:
        """End the signal; give the segments that are left."""
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
                    continue  # an end too short for a feature: it is left out
                yield segment._replace(stop=min(segment.stop, self._n))
        self._open.clear()

    def _is_kept(self, segment: Segment) -> bool:
        if self._last in ("drop", "strict"):  # those that are whole were given before
            return False
        # The segments before reach the end already.
        return segment.number == 0 or segment.stop - self._hop < self._n

    def _pad(self, segment: Segment) -> None:
        missing = segment.stop - self._n if self._last == "pad" else 0
        while missing > 0:
            segment.analysis.push(np.zeros(min(missing, _ZEROS), np.float32))
            missing -= _ZEROS


class SegmentPeaks:
    """Peaks of each segment, from the samples before they are resampled.

    Parameters
    ----------
    level : Level
        How the signal is cut.
    sr : int
        Rate of the resampled signal [Hz].
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
        self._base = 0  # place of the current stream in the resampled signal
        self._n = 0  # samples of the current stream

    def push(self, block: np.ndarray, y: np.ndarray, sr: int, peak: float | None) -> None:
        """Take in samples, as `PeakMeter.add` does, and their rate [Hz]."""
        if self._is_track:
            self._meters[0].add(block, y, peak)
            return
        self._last = (block[-1:].copy(), y[-1:].copy())
        if sr != self._form:
            if self._form is not None:
                self._base += math.ceil(self._n * (self._sr / self._form))
            self._form, self._n = sr, 0
        first, self._n = self._n, self._n + len(y)
        # The first segment that reaches beyond the block's first sample.
        number = max((self._place(first) - self._length) // self._hop + 1, 0)
        while self._sample(number * self._hop) < self._n:
            start = number * self._hop
            a = max(self._sample(start) - first, 0)
            b = max(self._sample(start + self._length) - first, 0)
            meter = self._meters.setdefault(number, PeakMeter())
            meter.add(block[a:b], y[a:b])
            number += 1

    def _place(self, sample: int) -> int:
        """Where a sample of the current stream is in the resampled signal, rounded down."""
        assert self._form is not None
        return self._base + sample * self._sr // self._form

    def _sample(self, place: int) -> int:
        """The first sample of the current stream at or behind a place in the resampled signal."""
        assert self._form is not None
        return -(-(place - self._base) * self._form // self._sr)

    def pop(self, number: int) -> PeakFacts:
        """The peaks of a segment; it and those before it are forgotten."""
        meter = self._meters.get(number, PeakMeter())
        if not meter.n_samples and self._last is not None:
            meter.add(*self._last)  # an end so short that no decoded sample begins in it
        if not self._is_track:
            for other in [n for n in self._meters if n <= number]:
                del self._meters[other]
        return meter.facts()
