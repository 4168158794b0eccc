"""A series as a grid of fixed size, for pictures: means over equal shares of time and rows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from featurelib.parameters import checked, parameter

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: Most columns and rows of a grid.
MAX_CELLS_A_SIDE = 4096

#: While a signal is longer, its frames are averaged in groups: at most this many a column.
_GROUPS_A_COLUMN = 16


@dataclass(frozen=True, kw_only=True)
class Raster:
    """Size and values of the grid to which a series is reduced.

    The rectangle of T frames by n rows is divided into `columns` by `rows` equal cells. A cell is
    the mean of x ** `power` over its area, where x is constant within a frame and a row. So a
    cell of a short signal may lie within one frame.

    Memory does not grow with the length of the signal. If T is larger than 16 · `columns`,
    frames are averaged in groups of 2^k first, with the least k for which there are at most
    16 · `columns` groups, and x ** `power` is constant within a group.

    Parameters
    ----------
    columns, rows : int
        Size of the grid, in time and in rows of the feature.
    power : int
        Power of the values that is averaged: 2 for magnitudes gives their mean power.
    one_sided : bool
        Weight the first and the last row by half, which gives the power spectral density of a
        real signal (up to a factor) from the power of its STFT's bins.

    Raises
    ------
    SpecError
        If a value is out of bounds.

    Examples
    --------
    >>> import featurelib
    >>> raster = featurelib.Raster(columns=64, rows=32)
    >>> entry = featurelib.Entry(
    ...     feature=featurelib.feature("melspectrogram"), statistics=["series"]
    ... )
    >>> spec = featurelib.FeatureSpec(name="mel", features=[entry])
    >>> [rows] = featurelib.Extractor(spec, raster=raster).file("song.wav")
    >>> rows.columns["melspectrogram_series"][0].shape
    (64, 32)
    """

    columns: int = parameter(ge=1, le=MAX_CELLS_A_SIDE)
    rows: int = parameter(ge=1, le=MAX_CELLS_A_SIDE)
    power: int = parameter(1, ge=1, le=2)
    one_sided: bool = parameter(False)

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, checked(field, getattr(self, field.name)))


class RasterBuffer:
    """The grid of a series that arrives in blocks.

    Parameters
    ----------
    raster : Raster
        Size of the grid.
    width : int
        Values per frame of the series.
    """

    def __init__(self, raster: Raster, width: int) -> None:
        self._raster = raster
        self._shares = shares(np.arange(width + 1), np.linspace(0, width, raster.rows + 1))
        # Few rows are repeated at the end, many are averaged at once.
        self._is_reduced = raster.rows < width
        self._edges = np.ones(width, np.float32)
        if raster.one_sided:
            self._edges[[0, -1]] = 0.5
        self._most = _GROUPS_A_COLUMN * raster.columns
        width = min(raster.rows, width)
        self._means = np.empty((self._most, width), np.float32)
        self._n = 0
        self._length = 1  # frames of a group
        self._sum = np.zeros(width)  # of the group that is not complete
        self._n_summed = 0

    def add(self, x: np.ndarray) -> None:
        """Add frames, shape (n, width)."""
        x = x**self._raster.power * self._edges
        if self._is_reduced:
            x = (self._shares @ x.T).T
        while len(x):
            if self._n == self._most:
                self._join_pairs()
            n_groups = min(len(x) // self._length, self._most - self._n)
            if n_groups and not self._n_summed:
                groups = x[: n_groups * self._length].reshape(n_groups, self._length, -1)
                self._means[self._n : self._n + n_groups] = groups.mean(axis=1, dtype=np.float64)
                self._n += n_groups
                x = x[n_groups * self._length :]
                continue
            part = x[: self._length - self._n_summed]
            x = x[len(part) :]
            self._sum += part.sum(axis=0, dtype=np.float64)
            self._n_summed += len(part)
            if self._n_summed == self._length:
                self._means[self._n] = self._sum / self._length
                self._n += 1
                self._sum[:], self._n_summed = 0.0, 0

    def _join_pairs(self) -> None:
        n = self._most // 2
        self._means[:n] = (self._means[0::2] + self._means[1::2]) / 2
        self._n, self._length = n, 2 * self._length

    def grid(self) -> np.ndarray:
        """Return the grid, shape (columns, rows), float32; call it after the last frame."""
        groups, n_frames = self._means[: self._n], self._n * self._length
        if self._n_summed:
            groups = np.concatenate((groups, self._sum[np.newaxis] / self._n_summed))
            n_frames += self._n_summed
        group_edges = np.append(np.arange(len(groups)) * self._length, n_frames)
        edges = np.linspace(0, n_frames, self._raster.columns + 1)
        grid = (shares(group_edges, edges) @ groups).astype(np.float32)
        return grid if self._is_reduced else (self._shares @ grid.T).T


def shares(parts: np.ndarray, cells: np.ndarray) -> csr_array:
    """Return the share of each part in the mean of each cell, by the edges of both.

    Parameters
    ----------
    parts, cells : np.ndarray [shape=(n_parts + 1,) and (n_cells + 1,)]
        Edges that rise. The first and the last one are the same.

    Returns
    -------
    scipy.sparse.csr_array [shape=(n_cells, n_parts), dtype=float32]
        Each row has the sum 1.
    """
    from scipy.sparse import csr_array

    points = np.unique(np.concatenate((parts, cells)))
    middles = (points[1:] + points[:-1]) / 2  # each stretch is of one part and one cell
    cell, part = (np.searchsorted(edges, middles) - 1 for edges in (cells, parts))
    weights = np.diff(points) / np.diff(cells)[cell]
    shape = (len(cells) - 1, len(parts) - 1)
    return csr_array((weights.astype(np.float32), (cell, part)), shape=shape)
