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
        self.mean = np.zeros(n_series)
        self.m2 = np.zeros(n_series)
        self.m3 = np.zeros(n_series)
        self.m4 = np.zeros(n_series)
        self.min = np.full(n_series, np.inf)
        self.max = np.full(n_series, -np.inf)

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
            self._combine(x.size, kernels.cell_moments(x.reshape(-1)))

    def _combine(self, nb: int, moments: np.ndarray) -> None:
        mean, m2, m3, m4, low, high = moments
        if self.count == 0:
            self.count, self.min, self.max = nb, low, high
            self.mean, self.m2, self.m3, self.m4 = mean, m2, m3, m4
            return
        na, n = self.count, self.count + nb
        # Pairwise combination of central moments (Chan et al. 1983, Pébay 2008).
        d = mean - self.mean
        dn = d / n
        self.m4 += (
            m4
            + d * dn**3 * na * nb * (na * na - na * nb + nb * nb)
            + 6 * dn**2 * (na * na * m2 + nb * nb * self.m2)
            + 4 * dn * (na * m3 - nb * self.m3)
        )
        self.m3 += m3 + d * dn**2 * na * nb * (na - nb) + 3 * dn * (na * m2 - nb * self.m2)
        self.m2 += m2 + d * dn * na * nb
        self.mean += dn * nb
        self.count = n
        np.minimum(self.min, low, out=self.min)
        np.maximum(self.max, high, out=self.max)

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
        if self.count == 0:
            return np.zeros(len(self.mean))
        if name in ("mean", "min", "max"):
            return getattr(self, name)
        var = self.m2 / self.count
        if name == "var":
            return var
        if name == "std":
            return np.sqrt(var)
        constant = var <= (_ROUNDING * self.mean) ** 2
        safe = np.where(constant, 1.0, var)
        if name == "skew":
            return np.where(constant, 0.0, self.m3 / self.count / (safe * np.sqrt(safe)))
        return np.where(constant, 0.0, self.m4 / self.count / safe**2 - 3.0)


class RowSeries:
    """Statistics of each row of a family over frames."""

    def __init__(self, n_rows: int) -> None:
        self._moments = Moments(n_rows)
        self._buffer = np.empty((CHUNK, n_rows))
        self._fill = 0

    def append(self, values: np.ndarray) -> None:
        """Take in frames of values, shape (frames, rows)."""
        while len(values):
            part = values[: CHUNK - self._fill]
            self._buffer[self._fill : self._fill + len(part)] = part
            self._fill += len(part)
            values = values[len(part) :]
            if self._fill == CHUNK:
                self._condense()

    def _condense(self) -> None:
        self._moments.update(self._buffer[: self._fill])
        self._fill = 0

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
