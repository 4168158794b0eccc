"""Unnamed temporary files. Their errors name the folder and the remedy."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from jobs.errors import ScratchError

_PREFIX = "featurelib-"


class _Device(io.FileIO):
    """A temporary file on disk."""

    def write(self, data: Any, /) -> int:
        with _named_errors():
            return super().write(data)


class _Spooled(tempfile.SpooledTemporaryFile[bytes]):
    """A temporary file that is in memory while it is small."""

    def rollover(self) -> None:
        in_memory = self._file
        if isinstance(in_memory, io.BytesIO):
            position = in_memory.tell()
            on_disk = temporary_file()
            on_disk.write(in_memory.getbuffer())
            on_disk.seek(position)
            self._file, self._rolled = cast(Any, on_disk), True


def temporary_file() -> BinaryIO:
    """Open a temporary file, which vanishes with the process.

    Raises
    ------
    ScratchError
        If it cannot be made. Its methods raise the same error if the disk is full.
    """
    with _named_errors(), tempfile.TemporaryFile(prefix=_PREFIX, buffering=0) as file:
        return io.BufferedRandom(_Device(os.dup(file.fileno()), "rb+"))


def spooled_file(n_bytes: int) -> BinaryIO:
    """Open a temporary file that is in memory until it has more than `n_bytes` bytes.

    Raises
    ------
    ScratchError
        Never here; its methods raise it if the disk is full.
    """
    return cast(BinaryIO, _Spooled(n_bytes))


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # without a folder that can be written, there is no tempdir, and the error lists those tried
        where = f" in {tempfile.tempdir}" if tempfile.tempdir else ""
        raise ScratchError(
            f"temporary files cannot be written{where}: {error.strerror or error}; make room there,"
            " or set TMPDIR to a folder that has some"
        ) from error
