"""Random reads of one object in S3."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.storage.s3 import S3Store

#: At least so much is asked for at once [bytes].
READ_AHEAD = 256 * 2**10


class RangeReader(io.RawIOBase):
    """File object for random reads of one version of an object, with a little read-ahead."""

    def __init__(self, store: S3Store, name: str, version: str, size: int, tail: bytes) -> None:
        self.version = version
        self._store, self._name, self._size = store, name, size
        self._position = 0
        self._tail = self._block = (size - len(tail), tail)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

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
