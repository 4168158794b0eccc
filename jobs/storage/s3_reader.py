"""Random reads of one object in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.storage.seekable import Seekable

if TYPE_CHECKING:
    from jobs.storage.s3 import S3Store

#: At least so much is asked for at once [bytes].
READ_AHEAD = 256 * 2**10


class RangeReader(Seekable):
    """File object for random reads of one version of an object, with a little read-ahead."""

    def __init__(self, store: S3Store, name: str, version: str, size: int, tail: bytes) -> None:
        super().__init__(size)
        self.version = version
        self._store, self._name = store, name
        self._tail = self._block = (size - len(tail), tail)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._position + size)
        if end <= self._position:
            return b""
        for start, data in (self._tail, self._block):
            if start <= self._position and end <= start + len(data):
                break
        else:
            start, until = self._position, min(self._size, max(end, self._position + READ_AHEAD))
            data = self._store.read_range(self._name, start, until, self.version)
            self._block = (start, data)
        block = data[self._position - start : end - start]
        self._position = end
        return block
