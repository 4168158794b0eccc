"""Statistics over frames: nodes that read a feature and reduce its frames."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featurelib import kernels
from featurelib.errors import AudioError, SpecError
from featurelib.features.base import Feature
from featurelib.graph import Block, Node, Operator
from featurelib.parameters import parameter
from featurelib.raster import RasterBuffer
from featurelib.spill import SpillBuffer

#: Frames that are collected before they are reduced to moments.
CHUNK = 4096

#: A standard deviation below this fraction of the mean is a rounding error: the values are
#: constant.
_ROUNDING = 1e-12

#: Statistics that `Moments` computes.
_MOMENTS = ("mean", "std", "var", "min", "max", "skew", "kurtosis")

#: Statistics that are stored directly, by their row in `MomentsOperator._sums`.
_ROWS = {"mean": 0, "min": 4, "max": 5}

#: Name of the statistic that keeps all frames, as a list.
SERIES = "series"

#: Statistics by their names in specs and columns, with their definitions. In addition, ``q``
#: followed by a percentage is a quantile: ``q25``, or ``q2_5`` for 2.5 %.
STATISTICS = {
    "mean": "mean",
    "std": "population standard deviation",
    "var": "population variance",
    "min": "minimum",
    "max": "maximum",
    "skew": "biased skewness (0 for a constant)",
    "kurtosis": "biased excess kurtosis (0 for a constant)",
    "median": "median",
    SERIES: "values of all frames, in order",
}

#: Most bytes that the series of one row may take: the size of a row group in a table.
MAX_SERIES_BYTES = 32 * 2**20

#: Bytes by which a series may be ahead of the other series of its row.
_SLACK_BYTES = 2**17

_QUANTILE = re.compile(r"q(\d{1,2})(?:_(\d{1,6}))?")

#: Widths [bits] of the digits by which 32-bit numbers are selected (radix selection).
_DIGITS = (11, 11, 10)


def quantile_of(statistic: str) -> float | None:
    """Return the probability of a quantile, such as 0.25 for ``"q25"``.

    None if the statistic is not a quantile.
    """
    if statistic == "median":
        return 0.5
    match = _QUANTILE.fullmatch(statistic)
    return None if match is None else float(f"{match[1]}.{match[2] or 0}") / 100


def meaning(statistic: str) -> str:
    """Return the definition of a statistic in words."""
    if statistic in STATISTICS:
        return STATISTICS[statistic]
    q = quantile_of(statistic)
    assert q is not None
    return f"quantile {q:g} (between two values: in proportion)"


def is_statistic(name: str) -> bool:
    """Return whether a statistic with this name exists."""
    return name in STATISTICS or quantile_of(name) is not None


def statistic_node(statistic: str, feature: Feature, *, pooled: bool) -> Node:
    """Return the node that computes a statistic of a feature.

    The statistic ``""`` is the single value of a feature without frames.
    """
    if not statistic:
        return Value(of=feature)
    if statistic == SERIES:
        return Series(of=feature)
    return (Moments if statistic in _MOMENTS else Quantiles)(of=feature, pooled=pooled)


@dataclass(frozen=True, kw_only=True)
class Moments(Node):
    """Mean, standard deviation, variance, extremes, skewness and kurtosis of each row.

    They are population statistics (ddof 0). Skewness and excess kurtosis are biased, and 0
    for values that are constant up to rounding errors. Without values all statistics are 0.
    """

    of: Feature
    pooled: bool = parameter(False, "all values are one population")

    def inputs(self) -> tuple[Node, ...]:
        return (self.of.cells() if self.pooled else self.of,)

    def operator(self, sr: int) -> MomentsOperator:
        return PooledMoments() if self.pooled else RowMoments(self.of.width)


class MomentsOperator(Operator):
    """Computes count, mean, central power sums and extremes of several series.

    Parameters
    ----------
    n_series : int
        Number of series.
    """

    def __init__(self, n_series: int) -> None:
        self._n_series = n_series
        self._count = 0
        #: Rows: mean, central sums of 2nd to 4th powers, minimum, maximum.
        self._sums: np.ndarray | None = None

    def _combine(self, n: int, sums: np.ndarray) -> None:
        if self._sums is None:
            self._sums = sums
        else:
            kernels.moments.combine(self._sums, self._count, sums, n)
        self._count += n

    def sums(self) -> tuple[int, np.ndarray]:
        """Return the number of values, and their sums, shape (6, n_series).

        Without values it is one value of 0.
        """
        if self._sums is None:
            return 1, np.zeros((6, self._n_series))
        return self._count, self._sums

    def statistic(self, name: str) -> np.ndarray:
        """Return one statistic of every series, shape (n_series,)."""
        count, sums = self.sums()
        return _moment(name, count, sums)


def _moment(name: str, count: int | np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return a statistic of series, given the number of their values and their sums."""
    if name in _ROWS:
        return sums[_ROWS[name]]
    var = sums[1] / count
    if name == "var":
        return var
    if name == "std":
        return np.sqrt(var)
    constant = var <= (_ROUNDING * sums[0]) ** 2
    var[constant] = 1.0
    if name == "skew":
        moment = sums[2] / count / (var * np.sqrt(var))
    else:
        moment = sums[3] / count / (var * var) - 3.0
    moment[constant] = 0.0
    return moment


def check_width(x: np.ndarray, width: int) -> None:
    """Check the shape of a feature's values, because compiled kernels do not.

    Raises
    ------
    SpecError
        If the shape is not (n_frames, width).
    """
    if x.shape[1:] != (width,):
        raise SpecError(
            f"a feature of width {width} gives values of the shape {x.shape}: make it"
            " (n_frames, width), or change its property width"
        )


class RowMoments(MomentsOperator):
    """Computes the moments of each row of a feature. Its blocks are kept without a copy.

    Parameters
    ----------
    n_rows : int
        Values per frame.
    """

    def __init__(self, n_rows: int) -> None:
        super().__init__(n_rows)
        self._waiting: list[np.ndarray] = []
        self._n_waiting = 0

    def push(self, block: Block, port: int) -> Iterable[Block]:
        check_width(block.x, self._n_series)
        if len(block.x):
            self._waiting.append(block.x)
            self._n_waiting += len(block.x)
        if self._n_waiting >= CHUNK:
            self._condense()
        return ()

    def finish(self) -> Iterable[Block]:
        self._condense()
        return ()

    def _condense(self) -> None:
        if self._waiting:
            one = len(self._waiting) == 1
            x = self._waiting[0] if one else np.concatenate(self._waiting)
            sums = np.empty((6, self._n_series))
            kernels.moments.central_moments(x, sums)
            self._combine(len(x), sums)
            self._waiting.clear()
            self._n_waiting = 0


class PooledMoments(MomentsOperator):
    """Computes the moments of all values of a feature as one population."""

    def __init__(self) -> None:
        super().__init__(1)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        if block.x.size:
            sums = np.empty((6, 1))
            # of one shape and layout, so that the kernel is compiled once
            values = np.ascontiguousarray(block.x).reshape(-1)
            kernels.moments.cell_moments(values, sums)
            self._combine(block.x.size, sums)
        return ()


class RowStatistics:
    """Reads the statistics of all features of a row from the operators of an analysis.

    The moments of all features are computed together, because NumPy's time per call is most of
    a short file's.

    Parameters
    ----------
    wanted : iterable of (int, str, range)
        Index of an operator, name of its statistic, and columns of the row for the values.
    nodes : sequence of Node
        Nodes of the plan.

    Attributes
    ----------
    n_values : int
        Number of columns.
    """

    def __init__(self, wanted: Iterable[tuple[int, str, range]], nodes: Sequence[Node]) -> None:
        self.n_values = 0
        self._others: list[tuple[int, str, slice]] = []
        starts: dict[int, int] = {}  # operators of moments, and their first series of all
        owners: list[int] = []
        places: dict[str, tuple[list[int], list[int]]] = {}
        for i, name, columns in wanted:
            self.n_values += len(columns)
            if not isinstance(nodes[i], Moments):
                self._others.append((i, name, slice(columns.start, columns.stop, columns.step)))
                continue
            if i not in starts:
                starts[i] = len(owners)
                owners += [len(starts) - 1] * len(columns)
            into, series = places.setdefault(name, ([], []))
            into += columns
            series += range(starts[i], starts[i] + len(columns))
        self._moments = list(starts)
        self._owners = np.array(owners, int)
        self._places = [
            (name, _selection(into), _selection(series)) for name, (into, series) in places.items()
        ]

    def row(self, operators: Sequence[Any]) -> np.ndarray:
        """Return the statistics as one row, shape (n_values,), after the end of the signal."""
        row = np.empty(self.n_values)
        for i, name, where in self._others:
            row[where] = operators[i].statistic(name)
        if self._moments:
            found = [operators[i].sums() for i in self._moments]
            counts = np.array([float(count) for count, _ in found])[self._owners]
            sums = np.concatenate([part for _, part in found], axis=1)
            for name, columns, series in self._places:
                row[columns] = _moment(name, counts[series], sums[:, series])
        return row


def _selection(indices: list[int]) -> slice | np.ndarray:
    """Return an index that selects elements: a slice, which copies nothing, if possible."""
    first, last = indices[0], indices[-1]
    if indices == list(range(first, last + 1)):
        return slice(first, last + 1)
    return np.array(indices)


@dataclass(frozen=True, kw_only=True)
class Quantiles(Node):
    """Median and quantiles of each row, equal to `numpy.quantile`.

    They are exact for the values as float32. Without values they are 0.
    """

    of: Feature
    pooled: bool = parameter(False, "all values are one population")

    def inputs(self) -> tuple[Node, ...]:
        return (self.of.cells() if self.pooled else self.of,)

    def spill_bytes(self) -> int:
        return 4 * self.of.width

    def operator(self, sr: int) -> QuantilesOperator:
        return QuantilesOperator(None if self.pooled else self.of.width)


class QuantilesOperator(Operator):
    """Keeps all values and selects quantiles at the end.

    Parameters
    ----------
    width : int or None
        Values per frame; None if all values are one population, in blocks of any shape.
    """

    def __init__(self, width: int | None) -> None:
        self._width = width
        self._n_series = width or 1
        self._values = SpillBuffer(self._n_series)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        if self._width is not None:
            check_width(block.x, self._width)
        self._values.append(np.asarray(block.x).reshape(-1, self._n_series))
        return ()

    def statistic(self, name: str) -> np.ndarray:
        """Return one quantile of every series, shape (n_series,)."""
        q, n = quantile_of(name), len(self._values)
        assert q is not None
        if n == 0:
            return np.zeros(self._n_series)
        place = q * (n - 1)
        rank = math.floor(place)
        if self._values.is_in_memory:
            low, high = _by_partition(next(iter(self._values.chunks())), rank)
        else:
            low, high = _by_digits(self._values, self._n_series, rank)
        return low + (high - low) * (place - rank)


def _by_partition(x: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values at a rank and at the next one, of each column."""
    # NumPy takes five times as long to put two ranks in place.
    parted = np.partition(np.ascontiguousarray(x.T), rank, axis=1)
    low = parted[:, rank]
    high = parted[:, rank + 1 :].min(axis=1) if rank + 1 < len(x) else low
    return low.astype(np.float64), high.astype(np.float64)


def _by_digits(values: SpillBuffer, n_series: int, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the same as `_by_partition` by radix selection, which reads chunk by chunk."""
    prefixes, ranks = np.zeros(n_series, np.int64), np.full(n_series, rank)
    known = 0
    for width in _DIGITS:
        counts = np.zeros((n_series, 1 << width), np.int64)
        for chunk in values.chunks():
            kernels.quantiles.count_digits(chunk.view(np.uint32), prefixes, known, width, counts)
        kernels.quantiles.take_digits(counts, ranks, prefixes, width)
        known += width
    n_up_to, above = np.zeros(n_series, np.int64), np.full(n_series, 2**32)
    for chunk in values.chunks():
        kernels.quantiles.least_above(chunk.view(np.uint32), prefixes, n_up_to, above)
    has_same_after = (n_up_to > rank + 1) | (above == 2**32)
    return _floats(prefixes), _floats(np.where(has_same_after, prefixes, above))


def _floats(ordered: np.ndarray) -> np.ndarray:
    """Convert ordered bit patterns back to numbers, as float64."""
    negative = ordered < 0x80000000
    words = np.where(negative, ~ordered & 0xFFFFFFFF, ordered ^ 0x80000000)
    return words.astype(np.uint32).view(np.float32).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Value(Node):
    """Single value of a feature without frames."""

    of: Feature

    def operator(self, sr: int) -> ValueOperator:
        return ValueOperator(self.of.width)


class ValueOperator(Operator):
    """Keeps the single value of a feature.

    Parameters
    ----------
    width : int
        Numbers in the value.
    """

    def __init__(self, width: int) -> None:
        self._value = np.zeros(width)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        self._value = block.x[0]
        return ()

    def statistic(self, name: str) -> np.ndarray:
        """Return the value, shape (width,); `name` is empty."""
        return self._value


@dataclass(frozen=True, kw_only=True)
class Series(Node):
    """Series of a feature: the values of all frames."""

    of: Feature

    def operator(self, sr: int) -> SeriesOperator:
        return SeriesOperator(self.of)


class SeriesOperator(Operator):
    """Keeps the values of all frames, up to a bound, or a grid of their means.

    Parameters
    ----------
    feature : Feature
        Feature whose values are kept.

    Attributes
    ----------
    max_row_bytes : int
        Most bytes that all series of a row may take.
    share : float
        Fraction of these bytes that belongs to this series.
    raster : RasterBuffer, optional
        Keeps a grid instead of the frames.
    """

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        self.raster: RasterBuffer | None = None
        self.max_row_bytes, self.share = MAX_SERIES_BYTES, 1.0
        self._blocks: list[np.ndarray] = []
        self._n_bytes = 0

    def push(self, block: Block, port: int) -> Iterable[Block]:
        check_width(block.x, self._feature.width)
        if self.raster is not None:
            self.raster.add(block.x)
            return ()
        values = np.array(block.x, np.float32)
        self._n_bytes += values.nbytes
        # The series of a row differ by some frames. The check of the whole row is exact.
        check_series_bytes((self._n_bytes - _SLACK_BYTES) / self.share, self.max_row_bytes)
        self._blocks.append(values)
        return ()

    def series(self) -> np.ndarray:
        """Return the values: shape (n_frames, width) if the feature has rows, else (n_frames,).

        With a raster it is the grid, shape (columns, rows).
        """
        if self.raster is not None:
            return self.raster.grid()
        width = self._feature.width
        values = np.concatenate([np.empty((0, width), np.float32), *self._blocks])
        return values if self._feature.has_rows else values[:, 0]


def check_series_bytes(n_bytes: float, max_bytes: int) -> None:
    """Check that the series of one row are not too long.

    Raises
    ------
    AudioError
        If they take more than `max_bytes`.
    """
    if n_bytes > max_bytes:
        raise AudioError(
            "too_long",
            f"its series take more than {max_bytes // 2**20} MB, too much for one row:"
            " cut it into segments (level), or leave out series",
        )


def warm_up() -> None:
    """Compile the kernels that are used for long signals only."""
    sums = np.zeros((6, 1))
    kernels.moments.combine(sums, 1, sums.copy(), 1)
    values = SpillBuffer(1)
    values.append(np.zeros((2, 1), np.float32))
    _by_digits(values, 1, 0)
