"""Rows that wait until their file is finished, in memory or beyond."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from featurelib.rows import Rows
from featurelib.spill import SpillBuffer

#: Rows that wait in memory, one by one, before they are put away together.
_CHUNK_ROWS = 256

#: Bytes of series that wait likewise.
_CHUNK_BYTES = 8 * 2**20


class RowBuffer:
    """Rows of one channel that wait until the file is finished.

    What a row says of its file (its hash, how it was decoded) is known at the file's end
    only. Few rows wait in memory, more of them in a temporary file.

    Parameters
    ----------
    own : mapping of str to type
        The columns of numbers of the rows' own, and their types.
    series_widths : mapping of str to int or None
        For each column of series, values a frame; None for one that has no rows.
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
        """Take in a row: its own columns, its features, its series."""
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
        """Give all rows back in their order, with what they say of their file."""
        if self.n_rows == 1 and self._waiting:  # the common case, which short files feel
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
    """Rows in groups whose series take no more than some MB together."""
    sizes = 4 * (lengths * np.array([width or 1 for width in widths], int)).sum(axis=1)
    start = total = 0
    for i, size in enumerate(sizes):
        if i > start and total + size > _CHUNK_BYTES:
            yield slice(start, i)
            start = i
            total = 0
        total += size
    yield slice(start, len(sizes))
