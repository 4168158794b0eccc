"""What must be kept of every frame until the whole signal has been seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class FrameStore:
    """Compact state of frames, appended block by block and read back in order.

    The one place where the extractor's memory grows with the length of a signal.

    Parameters
    ----------
    width : int
        Values a frame.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._parts: list[np.ndarray] = []

    def append(self, rows: np.ndarray) -> None:
        """Keep rows of shape (n, width), as float32; they are copied if they are not."""
        self._parts.append(np.ascontiguousarray(rows, np.float32))

    def chunks(self) -> Iterator[np.ndarray]:
        """Give the rows back in their order, as arrays of shape (n, width)."""
        yield from self._parts

    def whole(self) -> np.ndarray:
        """All rows as one array of shape (n, width)."""
        if not self._parts:
            return np.empty((0, self._width), np.float32)
        return np.concatenate(self._parts)
