"""Constant-Q transform, computed octave by octave."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from featurelib import filters, kernels
from featurelib.audio import Resampler, resample
from featurelib.errors import AudioError, SpecError
from featurelib.graph import Block, Blockwise, Node, Operator, Samples, Signal
from featurelib.parameters import parameter
from featurelib.spill import SpillBuffer
from featurelib.transforms.frames import PAD_MODES, FrameBlock, FrameGrid, Framer, Frames
from featurelib.transforms.stft import STFT
from featurelib.transforms.tuning import EstimatedTuning

#: Number of pitch classes.
N_CLASSES = 12

#: Frequency of the lowest bin without a deviation of the tuning: C1 [Hz].
_C1 = 440.0 * 2.0 ** (-45 / 12)

#: Most bytes of samples, and of all frames, of a signal that is transformed as a whole: samples
#: of 95 s at 44.1 kHz.
_WHOLE_BYTES = 2**24

#: Most samples that hold nothing but 0 Hz, a quarter and half of the rate when they are padded.
#: Transforms of a power of two tell these from others exactly.
_FEW = {"constant": 0, "edge": 1, "reflect": 3}

#: Values below this, relative to the largest sample of a few, are rounding errors.
_ROUNDING = 1e-6

#: Most frames per block; it does not change values.
_BLOCK_FRAMES = 256


@dataclass(frozen=True, kw_only=True)
class CQT(FrameGrid):
    """Magnitudes of the constant-Q transform, equal to those of `librosa.cqt`.

    The lowest bin is C1. All bins follow the tuning, which is known only at the end of the
    signal, so the samples are kept until then. The tuning is that of `librosa.estimate_tuning`
    with the same padding.

    As in librosa, the filters of an octave are the same in all octaves, and the signal is
    resampled to half its rate from one octave to the next lower one. High rates are reduced before
    the first octave. Rates at which the highest bin of a signal in the highest tuning exceeds
    the Nyquist frequency are refused for all signals.

    Blocks: shape (n_frames, n_bins), float32. There may be one frame more than `STFT` has, as
    in librosa.
    """

    realigns: ClassVar[bool] = True

    signal: Samples = Signal()
    hop_length: int = parameter(512, "from one frame to the next [samples]", ge=1, le=65_536)
    pad_mode: str = parameter("constant", "how the ends are padded", choices=PAD_MODES)
    bins_per_octave: int = parameter(12, "bins per octave, a multiple of 12", ge=12, le=120)
    n_octaves: int = parameter(7, "octaves, from C1", ge=1, le=10)

    @property
    def center(self) -> bool:  # type: ignore[override]
        """Frame t is centred on sample t · hop_length."""
        return True

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return self.n_octaves * self.bins_per_octave

    def inputs(self) -> tuple[Node, ...]:
        stft = STFT(frames=Frames(signal=self.signal, pad_mode=self.pad_mode))
        return (
            self.signal,
            EstimatedTuning(stft=stft, bins_per_octave=self.bins_per_octave, power=1),
        )

    def frequency(self, i: int, tuning: float) -> float:
        """Return the frequency of bin `i` at a tuning [Hz]."""
        return _C1 * 2.0 ** ((i + tuning) / self.bins_per_octave)

    def cutoff(self, tuning: float) -> float:
        """Return the highest frequency that a filter passes at a tuning [Hz]."""
        highest = self.frequency(self.n_bins - 1, tuning)
        return filters.constant_q_cutoff(highest, self.bins_per_octave)

    def check(self, sr: int | None) -> None:
        if self.bins_per_octave % N_CLASSES:
            raise SpecError(f"bins_per_octave={self.bins_per_octave} must be a multiple of 12")
        if sr is not None and self.cutoff(0.5) > sr / 2:
            raise SpecError(
                f"n_octaves={self.n_octaves} from C1 reach up to {self.cutoff(0.5):.0f} Hz, above"
                f" half of sr={sr}: use fewer octaves, or a rate of at least"
                f" {math.ceil(2 * self.cutoff(0.5))} Hz"
            )

    def spill_bytes(self) -> int:
        return 4 * self.hop_length

    def operator(self, sr: int) -> Operator:
        return _CQT(self, sr)


class _CQT(Operator):
    """Keeps samples (port 0) until the tuning (port 1) is known, then transforms them."""

    def __init__(self, node: CQT, sr: int) -> None:
        self._node, self._sr = node, sr
        self._samples = SpillBuffer(1, _WHOLE_BYTES)
        self._tuning = 0.0
        self.n_frames = 0

    def push(self, block: Block, port: int) -> Iterable[Block]:
        if port == 1:
            self._tuning = block.x
        else:
            self._samples.append(block.x[:, None])
        return ()

    def finish(self) -> Iterable[Block]:
        node, n = self._node, len(self._samples)
        octaves = _octaves(node, self._sr, self._tuning, n)
        n_bytes = 4 * node.n_bins * (n // node.hop_length)
        if self._samples.is_in_memory and n_bytes <= _WHOLE_BYTES:
            [y] = self._samples.chunks()
            yield self._counted(_whole(node, octaves, y[:, 0]))
            return
        transform = _Transform(node, octaves)
        piece = _BLOCK_FRAMES * node.hop_length
        for y in self._samples.chunks():
            for start in range(0, len(y), piece):
                transform.push(y[start : start + piece, 0])
                yield self._counted(transform.ready())
        transform.finish()
        yield self._counted(transform.ready())

    def _counted(self, C: np.ndarray) -> Block:
        self.n_frames += len(C)
        return Block(C, len(C))


class _Octave(NamedTuple):
    """One octave of a transform.

    Attributes
    ----------
    factor : int
        Rate of the samples of the octave above, over its own.
    hop_length : int
        Distance between frames [samples].
    weights : np.ndarray
        Filters, from `filters.constant_q`.
    columns : slice
        Bins of the octave.
    """

    factor: int
    hop_length: int
    weights: np.ndarray
    columns: slice

    def scale(self, y: np.ndarray) -> None:
        """Give resampled samples the energy that they had.

        The rounding is librosa's. Silence after a sound holds nothing but rounding errors of the
        resampling, and chroma makes them large.
        """
        if self.factor > 1:
            kernels.constantq.scale(y, math.sqrt(self.factor))

    def framer(self, pad_mode: str, block_frames: int) -> Framer:
        """Make what cuts the samples into frames."""
        length = self.weights.shape[1]
        return Framer(
            n_fft=length,
            hop_length=self.hop_length,
            pad=length // 2,
            pad_mode=pad_mode,
            block_frames=block_frames,
            pads_apart=True,
        )

    def fill(self, frames: FrameBlock, out: np.ndarray) -> None:
        """Fill the octave's columns of `out`, shape (n_frames, n_bins)."""
        kernels.constantq.responses(frames.y, self.hop_length, self.weights, out[:, self.columns])


def _octaves(node: CQT, sr: int, tuning: float, n_samples: int) -> list[_Octave]:
    """Return the octaves from the highest to the lowest."""
    rate, hop = float(sr), node.hop_length
    n_twos = (hop & -hop).bit_length() - 1
    spare = math.ceil(math.log2(rate / 2 / node.cutoff(tuning))) - 2
    early = max(min(spare, n_twos - node.n_octaves + 1), 0)
    factor = 2**early
    if n_samples < factor:
        raise AudioError("too_short", f"{n_samples} samples, too few for a constant-Q transform")
    octaves = []
    for octave in reversed(range(node.n_octaves)):
        rate, hop = rate / factor, hop // factor
        # A power of two times the same number, so that all octaves share their filters.
        lowest = node.frequency(0, tuning) * 2.0**octave
        weights = filters.constant_q(lowest / rate, node.bins_per_octave)
        start = octave * node.bins_per_octave
        columns = slice(start, start + node.bins_per_octave)
        octaves.append(_Octave(factor, hop, weights, columns))
        factor = 1 if hop % 2 else 2
    return octaves


def _whole(node: CQT, octaves: list[_Octave], y: np.ndarray) -> np.ndarray:
    """Transform a whole signal, which is faster than in pieces and gives the same values."""
    n_frames = 0
    for octave in octaves:
        y = resample(y, octave.factor, 1)
        octave.scale(y)
        if not n_frames:
            n_frames = 1 + len(y) // octave.hop_length
            C = np.empty((n_frames, node.n_bins), np.float32)
        framer = octave.framer(node.pad_mode, min(n_frames, _BLOCK_FRAMES))
        start = 0
        for frames in itertools.chain(framer.push(y), framer.finish()):
            # Lengths are rounded up, so lower octaves can have more frames.
            octave.fill(frames, C[start : start + frames.n_frames])
            start += frames.n_frames
        if len(y) < octave.weights.shape[1] and _is_bare(y, node.pad_mode):
            # zero in librosa, and chroma would make it large
            few = C[:, octave.columns]
            few[few <= _ROUNDING * np.abs(y).max()] = 0
    return C


def _is_bare(y: np.ndarray, pad_mode: str) -> bool:
    """Whether padded samples hold nothing but 0 Hz, a quarter and half of the rate."""
    if len(y) <= _FEW[pad_mode]:
        return True
    return pad_mode != "constant" and bool(y[0] == y[-1] and y.min() == y.max())


class _Transform:
    """Transform of a signal that arrives in pieces."""

    def __init__(self, node: CQT, octaves: list[_Octave]) -> None:
        self._octaves = octaves
        self._resamplers = [Resampler(octave.factor, 1) for octave in octaves]
        self._framers = [octave.framer(node.pad_mode, _BLOCK_FRAMES) for octave in octaves]
        self._rows = np.empty((2 * _BLOCK_FRAMES, node.n_bins), np.float32)
        self._n_frames = [0] * len(octaves)  # in the rows, of each octave

    def push(self, y: np.ndarray) -> None:
        """Process samples of shape (n,)."""
        for i, octave in enumerate(self._octaves):
            y = self._resamplers[i].push(y)
            octave.scale(y)
            self._add(i, self._framers[i].push(y))

    def finish(self) -> None:
        """End the signal."""
        y = np.empty(0, np.float32)
        for i, octave in enumerate(self._octaves):
            y = np.concatenate((self._resamplers[i].push(y), self._resamplers[i].finish()))
            octave.scale(y)
            self._add(i, self._framers[i].push(y))
            self._add(i, self._framers[i].finish())
        # Lengths are rounded up, so lower octaves can have more frames.
        self._n_frames = [self._n_frames[0]] * len(self._octaves)

    def _add(self, i: int, blocks: Iterable[FrameBlock]) -> None:
        for frames in blocks:
            start = self._n_frames[i]
            stop = self._n_frames[i] = start + frames.n_frames
            if stop > len(self._rows):
                more = np.empty((stop, self._rows.shape[1]), np.float32)
                self._rows = np.concatenate((self._rows, more))
            self._octaves[i].fill(frames, self._rows[start:stop])

    def ready(self) -> np.ndarray:
        """Return the frames that have all octaves, and forget them."""
        n, last = min(self._n_frames), max(self._n_frames)
        done = self._rows[:n].copy()
        self._rows[: last - n] = self._rows[n:last].copy()
        self._n_frames = [one - n for one in self._n_frames]
        return done


@dataclass(frozen=True, kw_only=True)
class PitchClasses(Node):
    """Magnitudes of a constant-Q transform, added up over octaves.

    Blocks: shape (n_frames, 12), float32. The first class is C.
    """

    cqt: CQT = CQT()

    def operator(self, sr: int) -> Operator:
        per_octave = self.cqt.bins_per_octave
        n_merged = per_octave // N_CLASSES

        def classes(block: Block) -> Block:
            sums = block.x[:, :per_octave].copy()
            for start in range(per_octave, self.cqt.n_bins, per_octave):
                sums += block.x[:, start : start + per_octave]
            if n_merged > 1:  # a class is the bins around its pitch
                sums = np.roll(sums, n_merged // 2, axis=1)
                sums = sums.reshape(block.n_frames, N_CLASSES, n_merged).sum(axis=2)
            return Block(sums, block.n_frames)

        return Blockwise(classes)
