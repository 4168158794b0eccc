"""Harmonic/percussive separation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from featurelib import kernels
from featurelib.graph import Block, Blockwise, Node, Operator, Samples
from featurelib.parameters import parameter
from featurelib.transforms.frames import BLOCK_FRAMES
from featurelib.transforms.stft import STFT, Spectra, stft_arguments, window_arguments

LANES = kernels.LANES

#: Medians are made in blocks of so many; it is more than the 15 frames that they reach.
REACH = 16

#: Sums of squared windows up to this one do not divide, as in `librosa.istft`.
_TINY = np.finfo(np.float32).tiny

_NONE = np.empty(0, np.intp)

#: Ways to end the components.
LENGTHS = ("signal", "frames")


@dataclass(frozen=True, kw_only=True)
class HPSS(Node):
    """Harmonic and percussive components of the signal (Fitzgerald, 2010).

    Equal to `librosa.decompose.hpss` of the STFT, with its default arguments, and
    `librosa.istft` of each component. Medians of 31 magnitudes along time and along frequency
    make soft masks, which add up to 1. So the harmonic component is what the percussive one leaves
    of the signal. Rounding errors then are relative to the signal in the harmonic component
    only, which has its steady part, such as a constant offset. SciPy's medians of exactly two
    frames are wrong, and so are librosa's components of signals that have two.

    Blocks: samples of both components, shape (2, n), float32. The memory is reused.
    """

    stft: STFT = STFT()
    length: str = parameter(
        "signal",
        "end of the components: with the signal, or at the centre of the last frame (then zeros)",
        choices=LENGTHS,
    )

    def inputs(self) -> tuple[Node, ...]:
        frames = self.stft.frames
        return (self.stft, Spectra(stft=self.stft), frames, frames.signal)

    def operator(self, sr: int) -> Operator:
        return _Separation(self)

    def librosa(self, component: int) -> str:
        """Return the librosa call that gives a component of the signal `y`."""
        stft, frames = self.stft, self.stft.frames
        inverse = f"hop_length={frames.hop_length}{window_arguments(stft)}"
        if not frames.center:
            inverse += ", center=False"
        spectrum = f"librosa.stft(y, {stft_arguments(stft)})"
        masked = f"librosa.decompose.hpss({spectrum})[{component}]"
        if self.length == "signal":
            return f"librosa.istft({masked}, {inverse}, length=len(y))"
        return f"librosa.util.fix_length(librosa.istft({masked}, {inverse}), size=len(y))"


class _Separation(Operator):
    """Separates block after block, at least 15 frames behind the samples that arrive."""

    def __init__(self, node: HPSS) -> None:
        frames = node.stft.frames
        n_fft, hop_length, n_bins = frames.n_fft, frames.hop_length, node.stft.n_bins
        self._hop = hop_length
        self._overlap = n_fft - hop_length
        self._pad = n_fft // 2 if frames.center else 0
        self._ends_with_frames = frames.center and node.length == "frames"
        window = node.stft.window_values()
        self._add_up = kernels.fft.overlap_add_transform(window, hop_length)
        self._stft = node.stft

        most = BLOCK_FRAMES + REACH  # frames that wait
        n_batches, n_groups = most // LANES, -(-n_bins // LANES)
        # spectra of the frames that wait, and medians of their magnitudes along frequency
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        shape = (BLOCK_FRAMES // LANES, -(-n_bins // REACH) * REACH, LANES)
        self._this, self._next = (kernels.aligned(shape, np.float32) for _ in range(2))
        self._percussive = kernels.aligned((n_batches, 2, n_bins, LANES), np.float32)
        # magnitudes with bins as lanes: the first frame that waits is row REACH
        self._turned = kernels.aligned((n_groups, most + 2 * REACH, LANES), np.float32)
        self._n_waiting = self._n_frames = self._n_samples = 0

        # steps of hop_length samples, padding included: what the last frame begins, and reaches
        self._n_tail = -(-(n_fft // hop_length) // LANES) * LANES
        most = max(most, self._n_tail)
        self._sums = np.empty((most, hop_length), np.float32)
        self._out = np.empty((2, most * hop_length), np.float32)
        self._y = np.empty(0, np.float32)  # of the steps that are not separated yet
        self._n_steps = self._n_out = 0  # steps and samples that are

    def push(self, block: Block, port: int) -> Iterable[Block]:
        if port == 0:
            self._add_magnitudes(block.x)
        elif port == 1:  # after the magnitudes, which are made of these spectra
            self._waiting.append((block.x, self._medians))
            self._n_waiting += block.n_frames
            self._n_frames += block.n_frames
        elif port == 2:  # after the spectra, which are made of these frames
            new = block.x.y[self._overlap if self._n_frames > block.n_frames else 0 :]
            self._y = np.concatenate((self._y, new))
            n = (self._n_waiting // REACH - 1) * REACH
            if n > 0:
                return self._samples(self._separated(n), None)
        else:
            self._n_samples += block.n_frames
        return ()

    def _add_magnitudes(self, S: np.ndarray) -> None:
        self._medians = self._this[: len(S)]
        self._this, self._next = self._next, self._this
        kernels.medians.percussive_medians(S, REACH + self._n_waiting, self._turned, self._medians)

    def finish(self) -> Iterator[Block]:
        n_frames = self._n_frames
        self._mirror(range(n_frames, n_frames + REACH))
        yield from self._samples(self._separated(self._n_waiting), n_frames)
        tail = self._sums[: self._n_tail]
        self._add_up(self._percussive[:0], tail)
        yield from self._samples(tail, n_frames)
        n_missing = self._n_samples - self._n_out
        if n_missing > 0:
            yield Block(np.zeros((2, n_missing), np.float32), n_missing)

    def _separated(self, n: int) -> np.ndarray:
        """Return sums of windowed percussive frames, of the first n frames that wait.

        One row per step: later frames add nothing to it, unless n is no multiple of `LANES`.
        """
        if self._n_waiting == self._n_frames:
            self._mirror(range(-REACH, 0))
        n_batches = -(-n // LANES)
        D, sums = self._percussive[:n_batches], self._sums[: n_batches * LANES]
        waiting, self._waiting = self._waiting, []
        first = 0
        for spectra, P in waiting:
            m = min(len(spectra), n_batches - first)
            out = D[first : first + m]
            kernels.medians.percussive_spectra(self._turned, first * LANES, P[:m], spectra[:m], out)
            if m < len(spectra):
                self._waiting.append((spectra[m:], P[m:]))
            first += m
        if n % LANES:
            D[-1, :, :, n % LANES :] = 0
        self._add_up(D, sums)
        kernels.medians.copy_rows(self._turned, 0, np.arange(n, REACH + self._n_waiting))
        self._n_waiting -= n
        return sums

    def _mirror(self, frames: range) -> None:
        """Fill the rows of frames outside of the signal, by SciPy's mode "reflect"."""
        n, before = self._n_frames, REACH - (self._n_frames - self._n_waiting)
        k = np.asarray(frames) % (2 * n)
        rows = before + np.minimum(k, 2 * n - 1 - k)
        kernels.medians.copy_rows(self._turned, before + frames.start, rows)

    def _samples(self, sums: np.ndarray, n_frames: int | None) -> Iterator[Block]:
        """Yield the samples of both components, given sums of windowed percussive frames.

        The number of frames is given when the signal has ended.
        """
        factors, gaps = _factors(self._stft, self._n_steps, len(sums), n_frames)
        start = self._n_steps * self._hop
        y, self._y = self._y[: sums.size], self._y[sums.size :]
        self._n_steps += len(sums)
        harmonic, percussive = self._out[:, : len(y)]
        kernels.samples.components(sums, factors, y, harmonic, percussive)
        harmonic[gaps[: np.searchsorted(gaps, len(y))]] = 0
        stop = start + len(y)
        if n_frames is not None:
            stop = min(stop, self._pad + self._n_samples)
            if self._ends_with_frames:
                stop = min(stop, self._pad + (n_frames - 1) * self._hop)
        first = max(start, self._pad)
        if first < stop:
            self._n_out += stop - first
            yield Block(self._out[:, first - start : stop - start], stop - first)


def _factors(
    stft: STFT, first: int, n_steps: int, n_frames: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what sums of windowed frames are multiplied by, and samples outside of all frames.

    The factors have the shape (n_steps, hop_length), or (1, hop_length) if all steps are alike.
    The samples are numbered from the first step on, in order.
    """
    n_reached = -(-stft.frames.n_fft // stft.frames.hop_length)  # steps that a frame reaches
    n = n_reached if n_frames is None else min(n_frames, n_reached)
    # all steps lie in the middle, where as many frames as possible cover each
    if first >= n - 1 and (n_frames is None or first + n_steps <= n_frames >= n_reached):
        factors, is_covered = _factors_of_frames(stft, n)
        if is_covered[n - 1].all():
            return factors[n - 1 : n], _NONE
    return _factors_of_steps(stft, first, n_steps, n_frames)


@lru_cache(maxsize=16)  # segments of equal length have the same steps
def _factors_of_steps(
    stft: STFT, first: int, n_steps: int, n_frames: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return `_factors` of any steps."""
    n_reached = -(-stft.frames.n_fft // stft.frames.hop_length)
    n = n_reached if n_frames is None else min(n_frames, n_reached)
    factors, is_covered = _factors_of_frames(stft, n)
    # with more frames than a frame reaches steps, those in the middle are alike
    steps = np.arange(first, first + n_steps)
    from_end = np.full(n_steps, n - 1) if n_frames is None else steps - n_frames + n
    places = np.where(steps < n, steps, np.clip(from_end, n - 1, len(factors) - 1))
    return factors[places], np.flatnonzero(~is_covered[places])


@lru_cache(maxsize=16)
def _factors_of_frames(stft: STFT, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return factors of all steps of n_frames frames, and whether frames cover them.

    The last step is not covered.
    """
    n_fft, hop_length = stft.frames.n_fft, stft.frames.hop_length
    n_reached = -(-n_fft // hop_length)
    squares = np.zeros(n_reached * hop_length)
    squares[:n_fft] = stft.window_values() ** 2
    sums = np.zeros((n_frames + n_reached, hop_length))
    for t in range(n_frames):
        sums[t : t + n_reached] += squares.reshape(n_reached, hop_length)
    is_covered = sums > _TINY
    return (1 / np.where(is_covered, sums, 1)).astype(np.float32), is_covered


@dataclass(frozen=True, kw_only=True)
class Harmonic(Samples):
    """Harmonic component of the signal, as `librosa.effects.harmonic`."""

    hpss: HPSS = HPSS()

    def definition(self) -> str:
        return "the harmonic component"

    def librosa(self) -> str:
        return self.hpss.librosa(0)

    def operator(self, sr: int) -> Operator:
        return _component(0)


@dataclass(frozen=True, kw_only=True)
class Percussive(Samples):
    """Percussive component of the signal, as `librosa.effects.percussive`."""

    hpss: HPSS = HPSS()

    def definition(self) -> str:
        return "the percussive component"

    def librosa(self) -> str:
        return self.hpss.librosa(1)

    def operator(self, sr: int) -> Operator:
        return _component(1)


def _component(number: int) -> Operator:
    return Blockwise(lambda block: Block(block.x[number], block.n_frames))


#: Components by their names in specs.
COMPONENTS: dict[str, type[Harmonic | Percussive]] = {
    "harmonic": Harmonic,
    "percussive": Percussive,
}
