"""Statistics over frames, gathered as the frames come by."""

from __future__ import annotations

import numpy as np

from featurelib.kernels import moments as kernels

#: Frames that are collected before they are condensed into moments.
CHUNK = 4096

#: A spread of less than this, relative to the mean, is rounding of the mean of a constant.
_ROUNDING = 1e-12


class Moments:
    """Count, mean, central power sums and extremes of several series at once.

    Parameters
    ----------
    n_series : int
        Number of series.
    """

    def __init__(self, n_series: int) -> None:
        self.count = 0
        #: Rows of mean, central sums of 2nd to 4th powers, minimum and maximum.
        self._sums = np.zeros((6, n_series))

    def update(self, x: np.ndarray) -> None:
        """Take in more values.

        Parameters
        ----------
        x : np.ndarray [shape=(n, n_series)]
            Further values of each series.
        """
        if len(x):
            self._combine(len(x), kernels.central_moments(x))

    def update_cells(self, x: np.ndarray) -> None:
        """Take in an array whose values, of any shape, all belong to the only series."""
        if x.size:
            self._combine(x.size, kernels.cell_moments(x))

    def _combine(self, n: int, sums: np.ndarray) -> None:
        if self.count:
            kernels.combine(self._sums, self.count, sums, n)
        else:
            self._sums = sums
        self.count += n

    def statistic(self, name: str) -> np.ndarray:
        """One statistic of every series; 0 where there was no value.

        Parameters
        ----------
        name : {"mean", "std", "var", "min", "max", "skew", "kurtosis"}
            Populations' statistics (ddof 0); skew is biased, kurtosis biased and in
            excess of the normal distribution's. Both are 0 for a constant, which includes
            a spread that rounding explains.

        Returns
        -------
        np.ndarray [shape=(n_series,)]
        """
        mean, m2, m3, m4, low, high = self._sums
        if name == "mean":
            return mean
        if name == "min":
            return low
        if name == "max":
            return high
        count = max(self.count, 1)
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


class RowSeries:
    """Statistics of each row of a family over frames."""

    def __init__(self, n_rows: int) -> None:
        self._moments = Moments(n_rows)
        self._waiting: list[np.ndarray] = []
        self._n_waiting = 0

    def append(self, values: np.ndarray) -> None:
        """Take in frames of values, shape (frames, rows); they are kept, not copied."""
        if len(values):
            self._waiting.append(values)
            self._n_waiting += len(values)
        if self._n_waiting >= CHUNK:
            self._condense()

    def _condense(self) -> None:
        if self._waiting:
            one = len(self._waiting) == 1
            self._moments.update(self._waiting[0] if one else np.concatenate(self._waiting))
            self._waiting.clear()
            self._n_waiting = 0

    def statistic(self, name: str) -> np.ndarray:
        """One statistic of each row, shape (rows,)."""
        self._condense()
        return self._moments.statistic(name)


class CellSeries:
    """Statistics of a family's whole matrix, every cell counting alike."""

    def __init__(self) -> None:
        self._moments = Moments(1)

    def append(self, values: np.ndarray) -> None:
        """Take in frames of values, shape (frames, rows)."""
        self._moments.update_cells(values)

    def statistic(self, name: str) -> np.ndarray:
        """One statistic, shape (1,)."""
        return self._moments.statistic(name)
