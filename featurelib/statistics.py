"""Statistics over frames: nodes that read a feature, and whose operators say the result."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from featurelib import kernels
from featurelib.errors import AudioError, SpecError
from featurelib.features.base import Feature
from featurelib.graph import Block, Node, Operator
from featurelib.parameters import parameter
from featurelib.spill import SpillBuffer

#: Frames that are collected before they are condensed into moments.
CHUNK = 4096

#: A spread of less than this, relative to the mean, is rounding of the mean of a constant.
_ROUNDING = 1e-12

#: Statistics that moments give.
_MOMENTS = ("mean", "std", "var", "min", "max", "skew", "kurtosis")

#: Rows of the moments' sums that are statistics by themselves.
_ROWS = {"mean": 0, "min": 4, "max": 5}

#: The frames themselves, as a list.
SERIES = "series"

#: The names that statistics have in specs and columns, and what they are. Beside these,
#: ``q`` with a percentage is that quantile: ``q25``, or ``q2_5`` for 2.5 %.
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

#: Most bytes that the series of one row may take: those of a group of rows in a table.
MAX_SERIES_BYTES = 32 * 2**20

#: Bytes that a series may be ahead of the others.
_SLACK_BYTES = 2**17

_QUANTILE = re.compile(r"q(\d{1,2})(?:_(\d{1,6}))?")

#: Digits in which numbers of 32 bits are sorted out.
_DIGITS = (11, 11, 10)


def quantile_of(statistic: str) -> float | None:
    """The share of values that a statistic lies above, None if it is no quantile."""
    if statistic == "median":
        return 0.5
    match = _QUANTILE.fullmatch(statistic)
    return None if match is None else float(f"{match[1]}.{match[2] or 0}") / 100


def meaning(statistic: str) -> str:
    """What a statistic is, in words."""
    if statistic in STATISTICS:
        return STATISTICS[statistic]
    q = quantile_of(statistic)
    assert q is not None
    return f"quantile {q:g} (between two values: in proportion)"


def is_statistic(name: str) -> bool:
    """Whether there is a statistic of that name."""
    return name in STATISTICS or quantile_of(name) is not None


def statistic_node(statistic: str, feature: Feature, *, pooled: bool) -> Node:
    """The node that gives a statistic of a feature; ``""`` stands for the value itself."""
    if not statistic:
        return Value(of=feature)
    if statistic == SERIES:
        return Series(of=feature)
    return (Moments if statistic in _MOMENTS else Quantiles)(of=feature, pooled=pooled)


@dataclass(frozen=True, kw_only=True)
class Moments(Node):
    """Mean, standard deviation, variance, extremes, skewness and kurtosis of each row.

    Populations' statistics (ddof 0); skewness is biased, kurtosis biased and in excess of
    the normal distribution's. Both are 0 for a constant, which includes a spread that
    rounding explains. All are 0 where there was no value.
    """

    of: Feature
    pooled: bool = parameter(False, "all values are one population")

    def inputs(self) -> tuple[Node, ...]:
        return (self.of.cells() if self.pooled else self.of,)

    def operator(self, sr: int) -> MomentsOperator:
        return PooledMoments() if self.pooled else RowMoments(self.of.width)


class MomentsOperator(Operator):
    """Count, mean, central power sums and extremes of several series at once."""

    def __init__(self, n_series: int) -> None:
        self._n_series = n_series
        self._count = 0
        #: Rows of mean, central sums of 2nd to 4th powers, minimum and maximum.
        self._sums: np.ndarray | None = None

    def _combine(self, n: int, sums: np.ndarray) -> None:
        if self._sums is None:
            self._sums = sums
        else:
            kernels.moments.combine(self._sums, self._count, sums, n)
        self._count += n

    def statistic(self, name: str) -> np.ndarray:
        """One statistic of every series, shape (n_series,)."""
        if self._sums is None:
            return np.zeros(self._n_series)
        if name in _ROWS:
            return self._sums[_ROWS[name]]
        mean, m2, m3, m4, _, _ = self._sums
        count = self._count
        var = m2 / count
        if name == "var":
            return var
        if name == "std":
            return np.sqrt(var)
        constant = var <= (_ROUNDING * mean) ** 2
        safe = np.where(constant, 1.0, var)
        if name == "skew":
            return np.where(constant, 0.0, m3 / count / (safe * np.sqrt(safe)))
        return np.where(constant, 0.0, m4 / count / safe**2 - 3.0)


def check_width(x: np.ndarray, width: int) -> None:
    """Refuse values of another shape than their feature says: kernels do not look.

    Raises
    ------
    SpecError
        If they are not of the shape (n_frames, width).
    """
    if x.shape[1:] != (width,):
        raise SpecError(
            f"a feature of width {width} gives values of the shape {x.shape}: make it"
            " (n_frames, width), or change its property width"
        )


class RowMoments(MomentsOperator):
    """Moments of each row of a feature. Its blocks are kept, not copied."""

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
    """Moments of a feature's whole matrix, every value counting alike."""

    def __init__(self) -> None:
        super().__init__(1)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        if block.x.size:
            sums = np.empty((6, 1))
            kernels.moments.cell_moments(block.x, sums)
            self._combine(block.x.size, sums)
        return ()


@dataclass(frozen=True, kw_only=True)
class Quantiles(Node):
    """Order statistics of each row: the median, or any quantile, as `numpy.quantile`.

    Exact, of the values as float32; 0 where there was no value.
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
    """Keeps all values; finds those at some ranks at the end.

    Parameters
    ----------
    width : int or None
        Values a frame; None if all values are one population, in blocks of any shape.
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
        """One quantile of every series, shape (n_series,)."""
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
    """The values at a rank and the one after it, of each column."""
    last = len(x) - 1
    after = min(rank + 1, last)
    ordered = np.partition(np.ascontiguousarray(x.T), (rank, after), axis=1).astype(np.float64)
    return ordered[:, rank], ordered[:, after]


def _by_digits(values: SpillBuffer, n_series: int, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, digit by digit, so that the values need not be in memory together."""
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
    """The numbers that ordered bits stand for."""
    negative = ordered < 0x80000000
    words = np.where(negative, ~ordered & 0xFFFFFFFF, ordered ^ 0x80000000)
    return words.astype(np.uint32).view(np.float32).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Value(Node):
    """The one value of a feature that has no series."""

    of: Feature

    def operator(self, sr: int) -> ValueOperator:
        return ValueOperator(self.of.width)


class ValueOperator(Operator):
    """Keeps the value."""

    def __init__(self, width: int) -> None:
        self._value = np.zeros(width)

    def push(self, block: Block, port: int) -> Iterable[Block]:
        self._value = block.x[0]
        return ()

    def statistic(self, name: str) -> np.ndarray:
        """The value, shape (width,); `name` is empty."""
        return self._value


@dataclass(frozen=True, kw_only=True)
class Series(Node):
    """The frames themselves."""

    of: Feature

    def operator(self, sr: int) -> SeriesOperator:
        return SeriesOperator(self.of)


class SeriesOperator(Operator):
    """Keeps all values, up to a bound."""

    def __init__(self, feature: Feature) -> None:
        self._feature = feature
        #: Most bytes that the series of a row may take, and the share of this one.
        self.max_row_bytes, self.share = MAX_SERIES_BYTES, 1.0
        self._blocks: list[np.ndarray] = []
        self._n_bytes = 0

    def push(self, block: Block, port: int) -> Iterable[Block]:
        check_width(block.x, self._feature.width)
        values = np.array(block.x, np.float32)
        self._n_bytes += values.nbytes
        # Series differ by some frames, of which the last check, of all together, is exact.
        check_series_bytes((self._n_bytes - _SLACK_BYTES) / self.share, self.max_row_bytes)
        self._blocks.append(values)
        return ()

    def series(self) -> np.ndarray:
        """The values, shape (n_frames,), or (n_frames, width) of a feature with rows."""
        width = self._feature.width
        values = np.concatenate([np.empty((0, width), np.float32), *self._blocks])
        return values if self._feature.has_rows else values[:, 0]


def check_series_bytes(n_bytes: float, max_bytes: int) -> None:
    """Refuse series that are too long for one row.

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
    """Compile the kernels that only long signals need."""
    sums = np.zeros((6, 1))
    kernels.moments.combine(sums, 1, sums.copy(), 1)
    values = SpillBuffer(1)
    values.append(np.zeros((2, 1), np.float32))
    _by_digits(values, 1, 0)
