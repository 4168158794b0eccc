"""Audio sources: paths, URLs, bytes and file objects, as seekable byte streams."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import IO, Any, BinaryIO

from featurelib.errors import ParameterError

Source = str | bytes | os.PathLike[Any] | memoryview | bytearray | BinaryIO | IO[bytes]

#: Bytes of a non-seekable source that are kept in memory; more go to a temporary file.
_SPOOL_BYTES = 32 * 2**20

_CHUNK_BYTES = 2**20

#: Largest offset that is read; malformed headers can contain larger ones.
_LARGEST_OFFSET = 2**62


class ByteReader(io.RawIOBase):
    """Seekable binary stream that stores read errors.

    libsndfile reads through callbacks, which cannot raise, and takes a failed read for the
    end of the file. Call `check` after each use to raise the stored error.

    Parameters
    ----------
    stream : binary file object
        Stream to read; it must be seekable.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._error: OSError | None = None
        self._size: int | None = None
        self._beyond: int | None = None  # position, if after the end of the stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._error is not None or self._beyond is not None:
            return 0
        view = memoryview(buffer)
        try:
            data = self._stream.read(len(view))
            view[: len(data)] = data
        except Exception as error:  # noqa: BLE001  a C callback must not raise; see check
            self._error = _os_error(error, "reading failed")
            return 0
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            target = offset
            if whence != os.SEEK_SET:
                target += self.tell() if whence == os.SEEK_CUR else self.size()
            if target < 0:
                return self.tell()  # malformed files make decoders seek before the start
            # They may also seek far past the end, which not all streams support.
            self._beyond = target if target > self.size() else None
            if self._beyond is None:
                self._stream.seek(target)
        except Exception as error:  # noqa: BLE001  as in readinto
            self.failed(_os_error(error, "seeking failed"))
            return self.tell()
        return target

    def tell(self) -> int:
        return self._stream.tell() if self._beyond is None else self._beyond

    def size(self) -> int:
        """Return the size of the source [bytes], as at the first call.

        Raises
        ------
        OSError
            If the source cannot seek.
        """
        if self._size is None:
            try:
                position = self._stream.tell()
                self._size = self._stream.seek(0, os.SEEK_END)
                self._stream.seek(position)
            except Exception as error:  # a caller's own file object may raise anything
                raise _os_error(error, "seeking failed") from error
        return self._size

    def at(self, offset: int, n: int) -> bytes:
        """Return `n` bytes at an offset, fewer only at the end. The position does not change.

        Raises
        ------
        OSError
            If reading fails.
        """
        if offset >= self.size():
            return b""
        try:
            position = self._stream.tell()
            self._stream.seek(offset)
            data = self._read_fully(n)
            self._stream.seek(position)
        except Exception as error:  # as in size
            raise _os_error(error, "reading failed") from error
        return data

    def _read_fully(self, n: int) -> bytes:
        data = self._stream.read(n)
        while len(data) < n and (more := self._stream.read(n - len(data))):
            data += more
        return data

    def failed(self, error: OSError) -> None:
        """Store the error of a failed read for `check`."""
        if self._error is None:
            self._error = error

    def check(self) -> None:
        """Raise the error of the first failed read, if any.

        Raises
        ------
        OSError
            If a read failed.
        """
        if self._error is not None:
            raise self._error

    def check_content_is_to_blame(self) -> None:
        """Raise ``OSError`` if the source caused a decoder's failure, not the content."""
        self.check()


class FileReader(ByteReader):
    """Reader of a local file; libsndfile reads from its file descriptor at full speed.

    Attributes
    ----------
    fd : int
        File descriptor.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self.fd = stream.fileno()
        self._was_readable = False

    def at(self, offset: int, n: int) -> bytes:
        if offset > _LARGEST_OFFSET:
            return b""
        data = os.pread(self.fd, n, offset)
        while len(data) < n and (more := os.pread(self.fd, n - len(data), offset + len(data))):
            data += more
        return data

    def check_content_is_to_blame(self) -> None:
        # libsndfile reports the same code for a failed read and for a wrong offset in a
        # header. Reading the file again tells them apart. Once is enough for all streams.
        position = 0
        while not self._was_readable and (chunk := os.pread(self.fd, _CHUNK_BYTES, position)):
            position += len(chunk)
        self._was_readable = True


#: Part of a view: literal bytes, a range of the source (start, end), or the size of a hole.
#: A read in a hole returns no bytes, as at the end of a file.
Piece = bytes | tuple[int, int] | int


class View(io.RawIOBase):
    """Concatenation of pieces as a seekable binary stream.

    Parameters
    ----------
    reader : ByteReader
        Source of the pieces that are ranges.
    pieces : sequence of Piece
        Pieces in order.

    Attributes
    ----------
    size : int
        Sum of the sizes of the pieces [bytes].
    """

    def __init__(self, reader: ByteReader, pieces: Sequence[Piece]) -> None:
        super().__init__()
        self._reader = reader
        self._pieces = pieces
        self._ends = list(accumulate(map(_length, pieces)))
        self.size = self._ends[-1] if self._ends else 0
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.at(self._position, len(buffer))
        except OSError as error:  # a C callback must not raise; see ByteReader.check
            self._reader.failed(error)
            return 0
        memoryview(buffer)[: len(data)] = data
        self._position += len(data)
        return len(data)

    def at(self, offset: int, n: int) -> bytes:
        """Return `n` bytes at an offset, fewer only at the end or before a hole."""
        found = []
        index = bisect_right(self._ends, offset)
        while n > 0 and index < len(self._pieces):
            piece = self._pieces[index]
            begin = self._ends[index - 1] if index else 0
            skip, take = offset - begin, min(n, self._ends[index] - offset)
            if isinstance(piece, int):
                break
            if isinstance(piece, bytes):
                data = piece[skip : skip + take]
            else:
                data = self._reader.at(piece[0] + skip, take)
            found.append(data)
            if len(data) < take:
                break
            offset, n, index = offset + take, n - take, index + 1
        return found[0] if len(found) == 1 else b"".join(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset >= 0:  # malformed files make decoders seek before the start
            self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position


def _length(piece: Piece) -> int:
    if isinstance(piece, int):
        return piece
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


#: What web servers answer where there is no file.
_ABSENT = (404, 410)


def _os_error(error: Exception, what: str) -> OSError:
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
        # fsspec turns every error of a web server into this one
        status = getattr(cause, "status", None)
        if status not in _ABSENT and not isinstance(cause, FileNotFoundError):
            return OSError(f"{what}: {type(cause).__name__}: {cause}")
    if isinstance(error, OSError):
        return error
    return OSError(f"{what}: {type(error).__name__}: {error}")


@contextmanager
def open_source(source: Source) -> Iterator[ByteReader]:
    """Open a source for reading. It is closed afterwards, except for a caller's file object.

    Parameters
    ----------
    source : str, bytes, PathLike, memoryview, bytearray or binary file object
        One of:

        - local path: ``str``, or ``PathLike`` of ``str`` or ``bytes``;
        - fsspec URL: ``str`` with ``://``;
        - content of a file: ``bytes``, ``bytearray`` or ``memoryview``;
        - binary file object, read from its beginning if it is seekable.

    Yields
    ------
    ByteReader

    Raises
    ------
    OSError
        If the source cannot be opened, or is not a regular file.
    ParameterError
        If the source has another type.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield ByteReader(io.BytesIO(source))
    elif isinstance(source, str) and "://" in source:
        with _open_url(source) as stream:
            yield ByteReader(stream)
    elif isinstance(source, str | os.PathLike):
        with _open_file(os.fspath(source)) as stream:
            yield FileReader(stream)
    elif hasattr(source, "read"):
        yield from _from_stream(source)
    else:
        raise ParameterError(
            f"cannot read audio from {type(source).__name__}: give a path, a URL, bytes or a "
            "binary file object"
        )


def _open_url(url: str) -> IO[bytes]:
    import fsspec

    try:
        stream = fsspec.open(url, "rb").open()
        with contextlib.suppress(ValueError):  # raised if a web server does not support seeking
            stream.seek(0, os.SEEK_END)
            stream.seek(0)
            return stream
        return _spooled(stream)
    except Exception as error:  # the libraries of stores raise errors of their own types
        raise _os_error(error, f"cannot open {url}") from error


def _open_file(path: str | bytes) -> IO[bytes]:
    # Non-blocking, because opening a named pipe would wait for a writer.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a zero byte, or an invalid character
        raise OSError(errno.EINVAL, f"no file can have this name ({error})", path) from error
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.fdopen(fd, "rb", buffering=0)
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", path)


def _from_stream(stream: Any) -> Iterator[ByteReader]:
    seekable = getattr(stream, "seekable", None)
    if seekable is not None and seekable():
        if not isinstance(stream.read(0), bytes):
            raise ParameterError(f"{stream!r} is no binary file: open it with mode 'rb'")
        yield ByteReader(stream)
        return
    with _spooled(stream) as spooled:
        yield ByteReader(spooled)


def _spooled(stream: Any) -> IO[bytes]:
    """Copy a non-seekable stream to an unnamed seekable file."""
    spooled = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            spooled.write(chunk)
    except Exception as error:  # as in ByteReader.size
        spooled.close()
        if isinstance(error, TypeError):
            raise ParameterError(f"{stream!r} is no binary file: open it with mode 'rb'") from error
        raise _os_error(error, "reading failed") from error
    return spooled
