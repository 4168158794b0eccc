"""Buffer for the rows of a file until the file is finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from featurelib.rows import Rows
from featurelib.spill import SpillBuffer

#: Rows that are collected in memory before they go to the spill buffers.
_CHUNK_ROWS = 256

#: Bytes of series after which the rows go there even if they are fewer.
_CHUNK_BYTES = 8 * 2**20


class RowBuffer:
    """Rows of one channel until the end of the file.

    Facts about the file, such as its hash, are known only at its end. A few rows are kept in
    memory, further rows in a temporary file.

    Parameters
    ----------
    own : mapping of str to type
        Numeric columns that differ between rows, and their types.
    series_widths : mapping of str to (int or None)
        Values per frame of each series, by column; None if its feature has no rows.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    """

    def __init__(self, own: Mapping[str, type], series_widths: Mapping[str, int | None]) -> None:
        self._own = own
        self._widths = series_widths
        self._waiting: list[tuple[tuple[float, ...], np.ndarray, list[np.ndarray]]] = []
        self._waiting_bytes = 0
        self._away: tuple[SpillBuffer, SpillBuffer, dict[str, SpillBuffer]] | None = None
        self._n_values = 0
        self.n_rows = 0

    def append(self, own: tuple[float, ...], values: np.ndarray, series: list[np.ndarray]) -> None:
        """Append a row.

        Parameters
        ----------
        own : tuple of float
            Values of the columns `own` of the constructor.
        values : np.ndarray [shape=(n_values,), dtype=float32]
            Features with one number per row.
        series : list of np.ndarray [shape=(n_frames,) or (n_frames, width), dtype=float32]
            One array per series.
        """
        self._waiting.append((own, values, series))
        self._waiting_bytes += sum(array.nbytes for array in series)
        self.n_rows += 1
        if len(self._waiting) >= _CHUNK_ROWS or self._waiting_bytes >= _CHUNK_BYTES:
            self._put_away()

    def _put_away(self) -> None:
        own, values, lengths = self._stacked()
        if self._away is None:
            self._n_values = values.shape[1]
            self._away = (
                SpillBuffer(own.shape[1] + lengths.shape[1], dtype=np.float64),
                SpillBuffer(max(values.shape[1], 1)),
                {name: SpillBuffer(width or 1) for name, width in self._widths.items()},
            )
        self._away[0].append(np.concatenate((own, lengths), axis=1))
        self._away[1].append(values if values.shape[1] else np.zeros((len(own), 1), np.float32))
        for i, (name, buffer) in enumerate(self._away[2].items()):
            width = self._widths[name] or 1
            for _, _, series in self._waiting:
                buffer.append(series[i].reshape(len(series[i]), width))
        self._waiting.clear()
        self._waiting_bytes = 0

    def _stacked(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own = np.array([row[0] for row in self._waiting], np.float64)
        values = np.stack([row[1] for row in self._waiting])
        lengths = np.array([[len(one) for one in row[2]] for row in self._waiting], np.float64)
        return own, values, lengths.reshape(len(own), -1)

    def rows(self, facts: Mapping[str, Any]) -> Iterator[Rows]:
        """Yield all rows in order, with the facts about their file."""
        if self.n_rows == 1 and self._waiting:  # the usual case; faster for short files
            own, values, series = self._waiting[0]
            columns: dict[str, Any] = {
                name: [value] for name, value in zip(self._own, own, strict=True)
            }
            columns |= {name: [one] for name, one in zip(self._widths, series, strict=True)}
            yield Rows(1, facts, columns, values[np.newaxis])
            return
        if self._away is not None:
            yield from self._rows_put_away(facts)
        if self._waiting:
            owns, values, _ = self._stacked()
            waiting = {
                name: [row[2][i] for row in self._waiting] for i, name in enumerate(self._widths)
            }
            yield self._made(facts, owns, values, waiting)

    def _rows_put_away(self, facts: Mapping[str, Any]) -> Iterator[Rows]:
        assert self._away is not None
        n_own = len(self._own)
        owns, values, series = self._away
        read_values = values.reader()
        readers = {name: buffer.reader() for name, buffer in series.items()}
        for chunk in owns.chunks():
            for start in range(0, len(chunk), _CHUNK_ROWS):
                part = chunk[start : start + _CHUNK_ROWS]
                lengths = part[:, n_own:].astype(int)
                for rows in _groups(lengths, list(self._widths.values())):
                    yield self._made(
                        facts,
                        part[rows, :n_own],
                        read_values(rows.stop - rows.start)[:, : self._n_values],
                        {
                            name: [self._shaped(name, read(n)) for n in lengths[rows, i]]
                            for i, (name, read) in enumerate(readers.items())
                        },
                    )

    def _shaped(self, name: str, frames: np.ndarray) -> np.ndarray:
        return frames[:, 0] if self._widths[name] is None else frames

    def _made(
        self,
        facts: Mapping[str, Any],
        own: np.ndarray,
        values: np.ndarray,
        series: dict[str, list[np.ndarray]],
    ) -> Rows:
        columns: dict[str, Any] = {
            name: values.astype(kind)
            for (name, kind), values in zip(self._own.items(), own.T, strict=True)
        }
        return Rows(len(own), facts, {**columns, **series}, values)


def _groups(lengths: np.ndarray, widths: list[int | None]) -> Iterator[slice]:
    """Yield groups of rows whose series together take at most `_CHUNK_BYTES`.

    A single row may take more.
    """
    sizes = 4 * (lengths * np.array([width or 1 for width in widths], int)).sum(axis=1)
    start = total = 0
    for i, size in enumerate(sizes):
        if i > start and total + size > _CHUNK_BYTES:
            yield slice(start, i)
            start = i
            total = 0
        total += size
    yield slice(start, len(sizes))
