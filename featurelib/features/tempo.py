"""Tempo of the whole signal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from featurelib import kernels
from featurelib.errors import SpecError
from featurelib.features.base import Feature, rate
from featurelib.features.onset_strength import AGGREGATES, OnsetStrength
from featurelib.graph import Block, Node, Operator
from featurelib.parameters import parameter
from featurelib.spill import SpillBuffer
from featurelib.transforms.mel import MelDb

#: So many autocorrelations are added up at once, which bounds the memory.
_FRAMES_AT_ONCE = 16_384


@dataclass(frozen=True, kw_only=True)
class Tempo(Feature):
    """Tempo of the signal, without a search for beats: one value for the whole signal.

    The period of the strongest mean autocorrelation of the onset strength, weighted by a
    log-normal distribution of tempi. With the median of the mel bands, it is the tempo of
    `librosa.beat.beat_track`, which is 0 if no median rises; with their mean, it is
    `librosa.feature.tempo`, which is then the most probable tempo.
    """

    family: ClassVar[str] = "tempo"
    unit: ClassVar[str] = "BPM"
    is_single: ClassVar[bool] = True

    mel: MelDb = MelDb()
    aggregate: str = parameter(
        "median", "how the mel bands of the onset strength are taken together", choices=AGGREGATES
    )
    start_bpm: float = parameter(120.0, "most probable tempo [BPM]", gt=0)
    std_bpm: float = parameter(1.0, "standard deviation of the tempo [octaves]", gt=0)
    max_tempo: float = parameter(320.0, "tempi are below it [BPM]", gt=0)
    ac_size: float = parameter(8.0, "length of the autocorrelation window [s]", gt=0, le=60)

    @property
    def onset_strength(self) -> OnsetStrength:
        """Onset strength whose period is the tempo."""
        return OnsetStrength(mel=self.mel, aggregate=self.aggregate)

    def inputs(self) -> tuple[Node, ...]:
        return (self.onset_strength,)

    def spill_bytes(self) -> int:
        return 4

    def check(self, sr: int | None) -> None:
        if sr is not None and self.win_length(sr) < 2:
            raise SpecError(
                f"ac_size={self.ac_size:g} s is less than two frames of"
                f" hop_length={self.frames.hop_length} at {sr} Hz"
            )

    def win_length(self, sr: int) -> int:
        """Return the length of the autocorrelation window [frames]."""
        return int(self.ac_size * sr) // self.frames.hop_length

    def definition(self, row: int | None, sr: int | None) -> str:
        silent = "; 0 if it is all zero" if self.aggregate == "median" else ""
        return (
            f"tempo below {self.max_tempo:g} BPM with the largest mean autocorrelation of the"
            f" onset strength ({self.aggregate} of the mel bands) in windows of {self.ac_size:g} s,"
            f" weighted by a normal distribution of octaves from {self.start_bpm:g} BPM with"
            f" standard deviation {self.std_bpm:g}{silent}"
        )

    def librosa(self, sr: int | None) -> str:
        arguments = (
            f"onset_envelope={self.onset_strength.librosa_envelope(sr)}, sr={rate(sr)}, "
            f"hop_length={self.frames.hop_length}, start_bpm={self.start_bpm:.12g}"
        )
        # beat_track has no parameters for these
        others = (
            f"std_bpm={self.std_bpm:.12g}, ac_size={self.ac_size:.12g}, "
            f"max_tempo={self.max_tempo:.12g}"
        )
        if self.aggregate == "median" and others == "std_bpm=1, ac_size=8, max_tempo=320":
            return f"librosa.beat.beat_track({arguments})[0]"
        return f"librosa.feature.tempo({arguments}, {others})"

    def operator(self, sr: int) -> Operator:
        return _Tempo(self, sr)


class _Tempo(Operator):
    def __init__(self, node: Tempo, sr: int) -> None:
        self._node, self._sr = node, sr
        self._envelope = SpillBuffer(1)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        self._envelope.append(block.x)
        return ()

    def finish(self) -> Iterable[Block]:
        yield Block(np.array([[self._tempo()]]), 1)

    def _tempo(self) -> float:
        node = self._node
        if node.aggregate == "median" and not any(x.any() for x in self._envelope.chunks()):
            return 0.0
        tempogram = mean_tempogram(self._envelope, node.win_length(self._sr))
        periods = np.arange(1, len(tempogram))
        bpm = 60.0 * self._sr / (node.frames.hop_length * periods)
        octaves = np.log2(bpm) - np.log2(node.start_bpm)
        score = np.log1p(1e6 * tempogram[1:]) - 0.5 * (octaves / node.std_bpm) ** 2
        # as in librosa, a limit below all tempi does not limit
        allowed = bpm < node.max_tempo if (bpm < node.max_tempo).any() else bpm > 0
        return float(bpm[np.argmax(np.where(allowed, score, -np.inf))])


def mean_tempogram(envelope: SpillBuffer, win_length: int) -> np.ndarray:
    """Return the mean of `librosa.feature.tempogram` over frames.

    Parameters
    ----------
    envelope : SpillBuffer
        Rows of one value: the onset strength of each frame.
    win_length : int
        Length of the windows [frames], which is the number of lags.

    Returns
    -------
    np.ndarray [shape=(win_length,), dtype=float64]
    """
    sums = np.zeros(win_length)
    y = np.empty(0, np.float32)
    n_left = len(envelope)
    for piece in _with_ramps(envelope, win_length // 2):
        y = np.concatenate((y, piece))
        while (n := min(len(y) - win_length + 1, n_left, _FRAMES_AT_ONCE)) > 0:
            kernels.rhythm.add_autocorrelations(y[: n + win_length - 1], n, sums)
            y = y[n:]
            n_left -= n
    return sums / len(envelope)


def _with_ramps(envelope: SpillBuffer, width: int) -> Iterator[np.ndarray]:
    """Yield an envelope in pieces, with a ramp from zero before it and one to zero after it."""
    edge = None
    for chunk in envelope.chunks():
        if edge is None:
            yield _ramp(chunk[0, 0], width)
        edge = chunk[-1, 0]
        yield chunk[:, 0]
    if edge is not None:
        yield _ramp(edge, width)[::-1]


def _ramp(edge: np.float32, width: int) -> np.ndarray:
    """Return a ramp from zero to a value, without the value, as `numpy.pad` makes it."""
    return (np.arange(width) * (float(edge) / width)).astype(np.float32)
