"""Buffer for per-frame data that is needed until the end of the signal."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

#: Bytes that a buffer keeps in memory. Further data goes to a temporary file.
MEMORY_BYTES = 4 * 2**20


class SpillBuffer:
    """Rows of numbers that are appended in blocks and read back in order.

    All data that grows with the length of a signal is kept in such buffers. They use a bounded
    amount of memory, and a temporary file beyond it. The file has no name, so the system
    deletes it even if the process is killed.

    Parameters
    ----------
    width : int
        Values per row.
    memory_bytes : int, optional
        Most bytes in memory; by default `MEMORY_BYTES`.
    dtype : dtype
        Type of the values.
    """

    def __init__(
        self, width: int, memory_bytes: int | None = None, *, dtype: Any = np.float32
    ) -> None:
        bound = MEMORY_BYTES if memory_bytes is None else memory_bytes
        self._most = max(bound // (np.dtype(dtype).itemsize * width), 1)
        self._rows = np.empty((0, width), dtype)
        self._n = 0
        self._n_spilled = 0
        self._file: IO[bytes] | None = None

    def append(self, rows: np.ndarray) -> None:
        """Append a copy of rows.

        Parameters
        ----------
        rows : np.ndarray [shape=(n, width)]
            Rows to keep.

        Raises
        ------
        OSError
            If the temporary file cannot be written.
        """
        while len(rows):
            if self._n == len(self._rows):
                self._make_room(len(rows))
            part = rows[: len(self._rows) - self._n]
            self._rows[self._n : self._n + len(part)] = part
            self._n += len(part)
            rows = rows[len(part) :]

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._n_spilled + self._n

    @property
    def is_in_memory(self) -> bool:
        """Whether all rows are in memory; then there is at most one chunk."""
        return self._file is None

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the rows in order, as arrays of shape (n, width).

        Raises
        ------
        OSError
            If the temporary file cannot be read.
        """
        if self._file is not None:
            length = self._file.seek(0, os.SEEK_END)
            for start in range(0, length, self._rows.nbytes):
                chunk = np.empty_like(self._rows)
                self._file.seek(start)
                if self._file.readinto(chunk.data) != chunk.nbytes:  # type: ignore[attr-defined]
                    raise OSError("the temporary file of a long signal has become shorter")
                yield chunk
        if self._n:
            yield self._rows[: self._n]

    def reader(self) -> Callable[[int], np.ndarray]:
        """Return a function that takes a number `n` and returns the next `n` rows."""
        chunks = self.chunks()
        rest = self._rows[:0]

        def read(n: int) -> np.ndarray:
            nonlocal rest
            parts = []
            while n > len(rest):
                parts.append(rest)
                n -= len(rest)
                rest = next(chunks)
            parts.append(rest[:n])
            rest = rest[n:]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)

        return read

    def _make_room(self, n: int) -> None:
        size, width = self._rows.shape
        if size < self._most:
            larger = np.empty((min(max(4 * size, size + n), self._most), width), self._rows.dtype)
            larger[: self._n] = self._rows[: self._n]
            self._rows = larger
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="featurelib-")  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            self._file.seek(0, os.SEEK_END)
            self._file.write(self._rows.data)
            self._file.flush()
        except OSError as error:
            raise OSError(
                error.errno,
                f"cannot keep the state of a long signal in {tempfile.gettempdir()}: "
                f"{error.strerror}; make room there, or set TMPDIR to a folder that has some",
            ) from error
        self._n_spilled += self._n
        self._n = 0
