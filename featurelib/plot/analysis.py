"""One pass over a signal, block by block, for all that is drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from featurelib import audio
from featurelib.errors import AudioError, ParameterError, SpecError
from featurelib.extraction.loading import check_part
from featurelib.extraction.signals import signal_blocks
from featurelib.extraction.stretch import cut, stretch
from featurelib.graph import Analysis, Node, Plan

if TYPE_CHECKING:
    from featurelib.audio.sources import Source

#: Returns the nodes to compute at a sampling rate [Hz].
Wanted = Callable[[int], Iterable[Node]]


@dataclass(frozen=True)
class Measured:
    """Signal that has been analysed.

    Attributes
    ----------
    sr : int
        Sampling rate of the analysis [Hz].
    n_samples : int
        Number of samples at this rate.
    offset : float
        Time of the first sample in the file [s].
    facts : SignalFacts
        Duration, rate and channels before the analysis.
    peaks : PeakFacts
        Level before the analysis.
    """

    sr: int
    n_samples: int
    offset: float
    facts: audio.SignalFacts
    peaks: audio.PeakFacts
    _plan: Plan
    _analysis: Analysis

    @property
    def duration(self) -> float:
        """Duration of what was analysed [s]."""
        return self.n_samples / self.sr

    def __getitem__(self, node: Node) -> Any:
        """Return the result of a node that was wanted."""
        return self._analysis.operators[self._plan.index[node]].result()


def measure(
    source: Source | np.ndarray,
    wanted: Wanted,
    *,
    sr: int | None,
    offset: float = 0.0,
    duration: float | None = None,
) -> Measured:
    """Analyse a file or samples in one pass.

    Parameters
    ----------
    source : Source or np.ndarray
        As for `featurelib.load`; or samples with the rate `sr`, shape (n,) or (channels, n).
    wanted : callable
        Returns the nodes to compute at a sampling rate [Hz]. Their operators have a method
        `result`.
    sr : int or None
        Sampling rate to which the samples of a file are resampled [Hz]; None for its own rate.
    offset : float
        Duration to skip at the beginning [s].
    duration : float or None
        Duration to analyse after the offset [s]; None for all.

    Raises
    ------
    AudioError
        If the content cannot be used.
    OSError
        If the source cannot be opened or read.
    ParameterError
        If an argument is invalid.
    """
    check_part(sr, offset, duration)
    if isinstance(source, np.ndarray):
        if sr is None:
            raise ParameterError("sr=None is for files: give the sampling rate of the samples")
        blocks = cut(signal_blocks(source, sr), offset, duration)
        return _measured(blocks, wanted, sr, offset)
    with stretch(source, offset, duration) as file:
        while True:
            try:
                return _measured(file.blocks(), wanted, sr, offset)
            except audio.MoreAudioError:
                continue


def _measured(blocks: audio.Blocks, wanted: Wanted, sr: int | None, offset: float) -> Measured:
    meter, peaks = audio.SignalMeter(), audio.PeakMeter()
    run: _Run | None = None
    for block_sr, block in blocks:
        peak = meter.add(block, block_sr)
        y = audio.mix_down(block)
        peaks.add(block, y, peak)
        run = run or _Run(wanted, sr or block_sr)
        run.push(run.resampler.push(y, block_sr))
    facts = meter.facts()
    assert run is not None  # without samples there are no facts
    run.finish()
    return Measured(
        run.plan.sr, run.n_samples, offset, facts, peaks.facts(), run.plan, run.analysis
    )


class _Run:
    """Analysis of one signal, which is resampled to the rate of the plan."""

    def __init__(self, wanted: Wanted, sr: int) -> None:
        try:
            self.plan = Plan(wanted(sr), sr)
        except SpecError as error:
            raise AudioError("unsuitable", f"at the rate of {sr} Hz: {error}") from error
        self.analysis = Analysis(self.plan)
        self.resampler = audio.JoiningResampler(sr)
        self.n_samples = 0

    def push(self, y: np.ndarray) -> None:
        self.n_samples += len(y)
        self.analysis.push(y)

    def finish(self) -> None:
        self.push(self.resampler.finish())
        if not self.n_samples:
            raise AudioError("too_short", f"less than one sample at {self.plan.sr} Hz")
        self.analysis.finish()
