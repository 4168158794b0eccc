"""Extraction of one audio source: decode, resample, cut, analyse, collect rows."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from featurelib import audio
from featurelib.errors import AudioError, ParameterError, SpecError
from featurelib.extraction.row_buffer import RowBuffer
from featurelib.extraction.segments import Segment, Segmenter, SegmentPeaks
from featurelib.extraction.signals import signal_blocks
from featurelib.extraction.stretch import cut, stretch
from featurelib.graph import Analysis, Plan
from featurelib.parameters import did_you_mean
from featurelib.raster import Raster, RasterBuffer
from featurelib.rows import Rows
from featurelib.specs.feature_spec import FeatureSpec
from featurelib.specs.presets import get_spec
from featurelib.statistics import (
    MAX_SERIES_BYTES,
    SERIES,
    RowStatistics,
    check_series_bytes,
)
from featurelib.transforms.frames import frames_of

if TYPE_CHECKING:
    from featurelib.audio.sources import Source

Columns = dict[str, list[Any]]

#: Columns that differ between rows, in the order of `_Channel._add`.
_OWN = {
    "segment": int,
    "start_s": float,
    "end_s": float,
    "n_frames": int,
    "peak": float,
    "mix_peak": float,
    "clipped_fraction": float,
    "is_silent": bool,
}

#: Largest number in a table, which holds float32.
_LARGEST = float(np.finfo(np.float32).max)

#: Most channels of a file with separate rows per channel.
_MAX_CHANNELS = 32

#: Most sampling rates for which the plan of a spec is cached.
_MAX_RATES = 16


class Extractor:
    """Extracts the features of a spec from any number of files and signals.

    Parameters
    ----------
    spec : FeatureSpec or str, optional
        A spec, or the name of a preset; ``genre-v1`` by default.
    preset : str, optional
        Name of a preset, instead of `spec`.
    max_series_bytes : int
        Most bytes that the series of one row may take.
    tags : collection of str
        Names from `featurelib.TAGS`. They become facts of the rows of a file: one line of
        text, or None.
    raster : Raster, optional
        Reduce each series to a grid of this size, whatever the length of the signal.

    Attributes
    ----------
    spec : FeatureSpec
        The spec.

    Raises
    ------
    SpecError
        If the spec is unknown.
    ParameterError
        If there is no such tag, or a series has no rows to reduce.
    """

    def __init__(
        self,
        spec: str | FeatureSpec | None = None,
        *,
        preset: str | None = None,
        max_series_bytes: int = MAX_SERIES_BYTES,
        tags: Collection[str] = (),
        raster: Raster | None = None,
    ) -> None:
        self.spec = get_spec(spec, preset=preset)
        if raster is not None:  # which bounds the size itself
            n_series = sum(SERIES in entry.statistics for entry in self.spec.features)
            max_series_bytes = 4 * n_series * raster.columns * raster.rows
        self._keeping = _Keeping(max_series_bytes, raster)
        for entry in self.spec.features if raster is not None else ():
            if SERIES in entry.statistics and not entry.feature.has_rows:
                raise ParameterError(
                    f"{entry.name}: its series has one value per frame: a raster needs a feature"
                    " with rows, such as melspectrogram"
                )
        for name in tags:
            if name not in audio.TAGS:
                raise ParameterError(
                    f"unknown tag {name!r}{did_you_mean(name, audio.TAGS)} (there are"
                    f" {', '.join(audio.TAGS)})"
                )
        self._tags = tuple(tags)

    def file(self, source: Source, *, block_samples: int = audio.BLOCK_SAMPLES) -> Iterator[Rows]:
        """Compute the rows of one file.

        The whole file is analysed before the first rows are yielded.

        Parameters
        ----------
        source, block_samples
            As for `featurelib.extract_columns`.

        Returns
        -------
        iterator of Rows
            Rows in order of channel and segment.

        Raises
        ------
        AudioError
            If the content cannot be used.
        OSError
            If the source cannot be opened or read.
        ParameterError
            If the source has an unknown type.
        """
        spec = self.spec
        with_tags = bool(self._tags)
        with stretch(source, spec.offset, spec.duration, with_tags=with_tags) as file:
            while True:
                run = _Run(spec, self._keeping)
                try:
                    run.take(file.blocks(block_samples))
                except audio.MoreAudioError:
                    continue
                facts = file.facts()._asdict()
                if self._tags:
                    found = file.tags()
                    facts |= {name: found.get(name) for name in self._tags}
                return run.rows(facts)

    def signal(self, y: np.ndarray, sr: int) -> Iterator[Rows]:
        """Compute the rows of samples in memory.

        Parameters
        ----------
        y, sr
            As for `featurelib.extract_signal`.

        Returns
        -------
        iterator of Rows
            Rows in order of channel and segment.

        Raises
        ------
        AudioError, ParameterError
            As for `featurelib.extract_signal`.
        """
        blocks = signal_blocks(y, sr)
        run = _Run(self.spec, self._keeping)
        run.take(cut(blocks, self.spec.offset, self.spec.duration))
        return run.rows({})


class _Keeping(NamedTuple):
    """How series are kept: the most bytes of a row's series, and the size of their grid."""

    max_series_bytes: int
    raster: Raster | None


class Outputs(NamedTuple):
    """Map from the operators of an analysis to the columns of a row.

    Attributes
    ----------
    plan : Plan
        Plan of the analysis.
    statistics : RowStatistics
        Statistics with one number per row.
    series : list of int
        Index of the operator of each series.
    series_widths : dict of str to (int or None)
        Values per frame of each series, by column; None if its feature has no rows.
    series_shares : list of float
        Fraction of the bytes of all series that each series takes.
    frames : int or None
        Index of the operator that counts the frames of the first feature that has frames.
    """

    plan: Plan
    statistics: RowStatistics
    series: list[int]
    series_widths: dict[str, int | None]
    series_shares: list[float]
    frames: int | None


def outputs_of(spec: FeatureSpec, sr: int) -> Outputs:
    """Return the outputs of a spec at a sampling rate [Hz], cached for `_MAX_RATES` rates."""
    kept: dict[int, Outputs] = spec.__dict__.setdefault("_outputs", {})
    outputs = kept.get(sr)
    if outputs is None:
        outputs = _make_outputs(spec, sr)
        for other in list(kept)[: max(0, len(kept) + 1 - _MAX_RATES)]:
            kept.pop(other, None)  # with sr="native" each file may have another rate
        kept[sr] = outputs
    return outputs


def _make_outputs(spec: FeatureSpec, sr: int) -> Outputs:
    plan = spec.plan(sr)
    wanted: list[tuple[int, str, range]] = []
    series = []
    start = 0
    for entry in spec.features:
        names = entry.statistics or ("",)
        sinks = list(zip(names, (plan.index[sink] for sink in entry.sinks()), strict=False))
        series += [i for name, i in sinks if name == SERIES]
        scalars = [(i, name) for name, i in sinks if name != SERIES]
        n = sum(statistic != SERIES for _, statistic in entry.slots())
        step = len(scalars)  # columns are ordered by row, then by statistic
        wanted += [
            (i, name, range(start + j, start + n, step)) for j, (i, name) in enumerate(scalars)
        ]
        start += n
    grids = (frames_of(entry.feature) for entry in spec.features)
    first = next((plan.index[grid] for grid in grids if grid is not None), None)
    widths = {
        name: entry.feature.width if entry.feature.has_rows else None
        for entry in spec.features
        for name, (_, statistic) in zip(entry.column_names(), entry.slots(), strict=True)
        if statistic == SERIES
    }
    features = [entry.feature for entry in spec.features if SERIES in entry.statistics]
    sizes = [feature.width / feature.hop_length for feature in features]
    shares = [size / sum(sizes) for size in sizes]
    statistics = RowStatistics(wanted, plan.nodes)
    return Outputs(plan, statistics, series, widths, shares, first)


class _Run:
    """Extraction of one signal."""

    def __init__(self, spec: FeatureSpec, keeping: _Keeping) -> None:
        self._spec = spec
        self._keeping = keeping
        self._meter = audio.SignalMeter()
        self._cutoff = audio.CutoffMeter()
        self._channels: list[_Channel] = []

    def take(self, blocks: audio.Blocks) -> None:
        """Process the whole signal."""
        spec = self._spec
        mixed = spec.channels == "mix"
        for sr, block in blocks:
            peak = self._meter.add(block, sr)
            self._cutoff.add(block, sr)
            if not self._channels:
                self._begin(sr, block.shape[1])
            if mixed:
                self._channels[0].push(block, audio.mix_down(block), sr, peak)
                continue
            if spec.channels == "each" and block.shape[1] != len(self._channels):
                raise AudioError(
                    "unsuitable",
                    f"{len(self._channels)} channels at first, {block.shape[1]} later: they cannot"
                    " have rows of their own; use channels = 'mix'",
                )
            for i, channel in enumerate(self._channels):
                y = np.ascontiguousarray(block[:, i])
                channel.push(y[:, None], y, sr, None)
        duration_s = self._meter.facts().duration_s
        for channel in self._channels:
            channel.finish(duration_s)

    def _begin(self, sr: int, n_channels: int) -> None:
        spec = self._spec
        n = n_channels if spec.channels == "each" else 1
        if n > _MAX_CHANNELS:
            raise AudioError(
                "unsuitable", f"{n} channels, more than {_MAX_CHANNELS} that get rows of their own"
            )
        target = spec.fixed_sr or sr
        try:
            outputs = outputs_of(spec, target)
            self._channels = [_Channel(spec, outputs, self._keeping) for _ in range(n)]
        except SpecError as error:  # only at a native rate; a fixed one is checked by the spec
            raise AudioError("unsuitable", f"at its own rate of {sr} Hz: {error}") from error

    def rows(self, file: dict[str, Any]) -> Iterator[Rows]:
        """Return the rows, with the facts about their file."""
        facts = {**self._meter.facts()._asdict(), "cutoff_hz": self._cutoff.cutoff_hz(), **file}
        if self._spec.channels != "each":
            return self._channels[0].rows(facts)
        numbered = enumerate(self._channels)
        return itertools.chain.from_iterable(
            channel.rows({**facts, "channel": number}) for number, channel in numbered
        )


def _begin_analysis(outputs: Outputs, keeping: _Keeping) -> Analysis:
    analysis = Analysis(outputs.plan)
    widths = outputs.series_widths.values()
    for i, share, width in zip(outputs.series, outputs.series_shares, widths, strict=True):
        analysis.operators[i].max_row_bytes = keeping.max_series_bytes
        analysis.operators[i].share = share
        if keeping.raster is not None:
            assert width is not None
            analysis.operators[i].raster = RasterBuffer(keeping.raster, width)
    return analysis


class _Channel:
    """Extraction of one channel, or of the mix of all channels."""

    def __init__(self, spec: FeatureSpec, outputs: Outputs, keeping: _Keeping) -> None:
        sr = outputs.plan.sr
        self._max_series_bytes = keeping.max_series_bytes
        self._spec = spec
        self._outputs = outputs
        self._resampler = audio.JoiningResampler(sr)
        # Not a bound method: a reference cycle would delay the release of memory.
        begin = functools.partial(_begin_analysis, outputs, keeping)
        self._segmenter = Segmenter(spec.level, sr, begin)
        self._peaks = SegmentPeaks(spec.level, sr)
        widths = outputs.series_widths
        if keeping.raster is not None:
            widths = dict.fromkeys(widths, keeping.raster.rows)
        self._rows = RowBuffer(_OWN, widths)
        self._is_track = spec.level.kind == "track"
        self._duration_s = 0.0
        self._n = 0

    def push(self, block: np.ndarray, y: np.ndarray, sr: int, peak: float | None) -> None:
        """Process decoded samples and the same samples as one channel."""
        self._peaks.push(block, y, sr, peak)
        self._feed(self._resampler.push(y, sr))

    def _feed(self, y: np.ndarray) -> None:
        self._n += len(y)
        for segment in self._segmenter.push(y):
            self._add(segment)

    def finish(self, duration_s: float) -> None:
        """End the signal; `duration_s` is its duration [s]."""
        self._duration_s = duration_s
        self._feed(self._resampler.finish())
        for segment in self._segmenter.finish():
            self._add(segment)
        if not self._rows.n_rows:
            raise AudioError(
                "too_short",
                f"{self._n / self._outputs.plan.sr:.6g} s are shorter than a segment:"
                ' last = "pad" or "keep" gives such a file a row',
            )

    def _add(self, segment: Segment) -> None:
        analysis, outputs = segment.analysis, self._outputs
        operators = analysis.operators
        row = outputs.statistics.row(operators)
        series = [operators[i].series() for i in outputs.series]
        if series:
            check_series_bytes(sum(one.nbytes for one in series), self._max_series_bytes)
        for numbers in (row, *series):
            # NaN compares false.
            if numbers.size and not max(numbers.max(), -numbers.min()) <= _LARGEST:
                raise AudioError("not_finite", "samples whose features are not finite")
        values = row.astype(np.float32)
        sr, offset = outputs.plan.sr, self._spec.offset
        own = (
            segment.number,
            offset + segment.start / sr,
            offset + (self._duration_s if self._is_track else segment.stop / sr),
            0 if outputs.frames is None else operators[outputs.frames].n_frames,
            *self._peaks.pop(segment.number),
        )
        self._rows.append(own, values, series)

    def rows(self, facts: dict[str, Any]) -> Iterator[Rows]:
        """Return the rows, with the facts about their file."""
        return self._rows.rows(facts)
