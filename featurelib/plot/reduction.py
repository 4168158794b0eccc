"""Reduction of the frames of a signal of any length to the columns of a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from featurelib.graph import Block, Node, Operator, Samples, Signal
from featurelib.parameters import parameter

#: How the frames of one column are taken together.
_UFUNCS = {"max": np.maximum, "min": np.minimum, "mean": np.add}


class Reduced(NamedTuple):
    """Frames of a signal, taken together in columns.

    Attributes
    ----------
    values : np.ndarray [shape=(n_columns, width), dtype=float32]
        One row per column of the picture.
    per_column : int
        Frames in each column, a power of two; the last column may have fewer.
    n_frames : int
        Number of frames of the signal.
    """

    values: np.ndarray
    per_column: int
    n_frames: int

    def centers(self) -> np.ndarray:
        """Return the frame number at the middle of each column."""
        edges = self.edges()
        return (edges[:-1] + edges[1:] - 1) / 2

    def edges(self) -> np.ndarray:
        """Return the number of the first frame of each column, and the number of frames."""
        first = np.arange(len(self.values)) * self.per_column
        return np.append(first, self.n_frames)


@dataclass(frozen=True, kw_only=True)
class Columns(Node):
    """Largest, smallest or mean values of consecutive frames.

    The number of frames per column is 1 as long as all fit, and is doubled whenever they do not.
    So memory does not depend on the length of the signal, which need not be known.
    """

    of: Node
    how: str = parameter(doc="how frames are taken together", choices=tuple(_UFUNCS))
    most: int = parameter(2048, "most columns", ge=2, even=True)

    def operator(self, sr: int) -> ColumnsOperator:
        return ColumnsOperator(self.how, self.most)


class ColumnsOperator(Operator):
    """Takes frames together in at most `most` columns; see `Columns`.

    Parameters
    ----------
    how : {"max", "min", "mean"}
        How frames are taken together.
    most : int
        Most columns, an even number.
    """

    def __init__(self, how: str, most: int) -> None:
        self._is_mean = how == "mean"
        self._join = _UFUNCS[how]
        self._most = most
        self._table = np.empty((0, 0), np.float32)
        self._n = self._n_frames = 0  # columns, the last of which may be incomplete; frames
        self._per = 1

    def push(self, block: Block, port: int) -> Iterable[Block]:
        if not block.n_frames:
            return ()
        rows = block.x.reshape(block.n_frames, -1)
        while len(rows):
            taken = self._complete(rows) or self._append(rows)
            self._n_frames += taken
            rows = rows[taken:]
        return ()

    def _complete(self, rows: np.ndarray) -> int:
        """Add frames to the last column if it is incomplete, and return their number."""
        n_missing = -self._n_frames % self._per
        part = rows[:n_missing]
        if len(part):
            last = self._table[self._n - 1]
            self._join(last, self._join.reduce(part, axis=0, dtype=last.dtype), out=last)
        return len(part)

    def _append(self, rows: np.ndarray) -> int:
        """Begin new columns and return the number of frames that are in them."""
        if self._n == self._most:
            self._merge()
        self._make_room(rows)
        part = rows[: (self._most - self._n) * self._per]
        starts = np.arange(0, len(part), self._per)
        stop = self._n + len(starts)
        self._table[self._n : stop] = self._join.reduceat(
            part, starts, axis=0, dtype=self._table.dtype
        )
        self._n = stop
        return len(part)

    def _make_room(self, rows: np.ndarray) -> None:
        n = min(self._n + len(rows), self._most)
        if n <= len(self._table):
            return
        # Of a mean, the sums are kept.
        dtype = np.float64 if self._is_mean else np.float32
        larger = np.empty((min(max(n, 2 * len(self._table)), self._most), rows.shape[1]), dtype)
        if self._n:
            larger[: self._n] = self._table[: self._n]
        self._table = larger

    def _merge(self) -> None:
        """Take pairs of columns together."""
        half = self._most // 2
        self._table[:half] = self._join(self._table[0::2], self._table[1::2])
        self._n = half
        self._per *= 2

    def result(self) -> Reduced:
        """Return the columns, after the end of the signal."""
        values = self._table[: self._n]
        if self._is_mean:
            counts = np.full((self._n, 1), self._per)
            counts[-1:] -= -self._n_frames % self._per
            values = values / counts
        return Reduced(values.astype(np.float32), self._per, self._n_frames)


@dataclass(frozen=True, kw_only=True)
class MeanPower(Node):
    """Mean of the squared values of all frames, shape (width,), float64."""

    of: Node

    def operator(self, sr: int) -> _MeanPower:
        return _MeanPower()


class _MeanPower(Operator):
    def __init__(self) -> None:
        self._sum: np.ndarray | float = 0.0
        self._n_frames = 0

    def push(self, block: Block, port: int) -> Iterable[Block]:
        self._sum = self._sum + np.square(block.x, dtype=np.float64).sum(axis=0)
        self._n_frames += block.n_frames
        return ()

    def result(self) -> np.ndarray:
        """Return the means, after the end of the signal."""
        return np.asarray(self._sum / self._n_frames)


@dataclass(frozen=True, kw_only=True)
class Last(Node):
    """Last block of a node: the value of one that has a single block."""

    of: Node

    def operator(self, sr: int) -> _Last:
        return _Last()


class _Last(Operator):
    def push(self, block: Block, port: int) -> Iterable[Block]:
        self._x = block.x
        return ()

    def result(self) -> float:
        """Return the value, after the end of the signal."""
        return float(np.ravel(self._x)[0])


class Stretch(NamedTuple):
    """Consecutive samples.

    Attributes
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        The samples.
    start : int
        Number of the first one in the signal.
    """

    y: np.ndarray
    start: int


@dataclass(frozen=True, kw_only=True)
class Loudest(Node):
    """Loudest stretch of samples: that with the largest mean square, of those side by side."""

    signal: Samples = Signal()
    length: int = parameter(441, "samples of a stretch", ge=2)

    def inputs(self) -> tuple[Node, ...]:
        return (self.signal,)

    def operator(self, sr: int) -> _Loudest:
        return _Loudest(self.length)


class _Loudest(Operator):
    def __init__(self, length: int) -> None:
        self._length = length
        self._rest = np.empty(0, np.float32)
        self._start = 0  # of the rest
        self._found = Stretch(self._rest, 0)
        self._power = -1.0

    def push(self, block: Block, port: int) -> Iterable[Block]:
        y = np.concatenate((self._rest, block.x))
        n = len(y) // self._length
        whole = y[: n * self._length].reshape(n, self._length)
        power = np.square(whole, dtype=np.float64).sum(axis=1)
        if n and power.max() > self._power:
            i = int(power.argmax())
            self._power = float(power[i])
            self._found = Stretch(whole[i].copy(), self._start + i * self._length)
        self._rest = y[whole.size :]
        self._start += whole.size
        return ()

    def result(self) -> Stretch:
        """Return the stretch; all samples of a signal that is shorter than one."""
        return Stretch(self._rest, 0) if self._power < 0 else self._found
