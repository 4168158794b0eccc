"""Decoding of one file or stream with libsndfile."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import nullcontext, suppress

import numpy as np
import soundfile

from featurelib.audio.tag_values import MAX_TEXT_BYTES, decoded
from featurelib.errors import DecoderError

#: Oldest accepted version; older ones decode some files to different samples.
OLDEST = (1, 2, 2)

#: Formats that need optional libraries of libsndfile, and their subtypes.
_NEEDED = {"FLAC": "PCM_16", "OGG": "VORBIS OPUS", "MP3": "MPEG_LAYER_III"}

#: Bits of a NaN that no decoder writes.
_UNWRITTEN = np.uint32(0x7FC0BEEF)

#: Integer type of the samples of some subtypes, and the value of its unit. libsndfile reads them
#: four times as fast as it converts them to floating point.
_INTEGERS = {"PCM_16": ("int16", 2.0**-15), "PCM_32": ("int32", 2.0**-31)}

#: Formats that are read as floating point: it is no slower, or integers lose bits (SDS).
_AS_FLOATS = {"FLAC", "SDS"}

#: Most samples per channel that any codec of libsndfile stores in one byte.
MAX_FRAMES_PER_BYTE = 8192

#: libsndfile's numbers of tags (``SF_STR_ARTIST``, …).
_TAG_CODES = {"artist": 4, "album": 7, "title": 1, "date": 6, "genre": 16, "track": 9}


class RefusedError(Exception):
    """A decoder cannot open the content; the message gives the reason."""


class _SoundFile(soundfile.SoundFile):
    """SoundFile for sequential reading.

    After each read of a seekable file, soundfile seeks to its current position. That is slow,
    and an MP3 decoder loses its state. soundfile also holds a lock while it opens a file, to
    get the text of an error. A thread that hangs there would block all others.
    """

    _sf_error_lock = nullcontext()

    def seekable(self) -> bool:
        return False


class LibsndfileDecoder:
    """Decoder that uses libsndfile.

    Parameters
    ----------
    file : int or io.RawIOBase
        File descriptor or file object.
    size : int
        Size of the file [bytes].

    Attributes
    ----------
    name : str
        Name of the decoder.
    sr, channels : int
        Sampling rate [Hz] and number of channels.
    format, subtype : str
        Container and encoding.
    n_samples : int or None
        Samples per channel by the header; None if the number is absent or impossible.

    Raises
    ------
    RefusedError
        If libsndfile cannot decode the content.
    """

    name = "libsndfile"

    def __init__(self, file: int | io.RawIOBase, size: int) -> None:
        self._file = file
        try:
            self._decoder = _SoundFile(file, closefd=False)
            self.subtype: str = self._decoder.subtype
            if self.subtype == "OPUS":
                # If the first granule position is not 0, only a seek finds the beginning.
                self._decoder.seek(0)
        except soundfile.LibsndfileError as error:
            raise RefusedError(_reason(error)) from error
        self.sr: int = self._decoder.samplerate
        self.channels: int = self._decoder.channels
        self.format: str = self._decoder.format
        self._integers: np.ndarray | None = None  # memory for samples as integers
        self._unit = np.float32(1)
        if self.format not in _AS_FLOATS and self.subtype in _INTEGERS:
            kind, unit = _INTEGERS[self.subtype]
            self._integers, self._unit = np.empty((0, self.channels), kind), np.float32(unit)
        self._n_read = 0
        self._left = n_samples = self._decoder.frames
        plausible = 0 < n_samples <= size * MAX_FRAMES_PER_BYTE
        self.n_samples: int | None = n_samples if plausible else None

    def read(self, out: np.ndarray) -> tuple[int, str | None]:
        """Decode the next samples into an array.

        Parameters
        ----------
        out : np.ndarray [shape=(n, channels), dtype=float32]
            Array that receives the samples.

        Returns
        -------
        n : int
            Number of rows of `out` that are filled; 0 at the end of the file.
        error : str or None
            Error that ended the decoding before the end of the file, if any.
        """
        if self._integers is not None:
            n = self._read_integers(out)
            if n is not None:
                self._n_read += n
                return n, None
        # A failed read does not report how many samples it decoded, and the position is not
        # reliable with some codecs. Therefore a mark shows what was not written.
        words = out.view(np.uint32)
        words.fill(_UNWRITTEN)
        reason = None
        try:
            n = self._decoder.buffer_read_into(out, "float32")
        except soundfile.LibsndfileError as error:
            reason = _reason(error)
            written = np.flatnonzero(words.ravel() != _UNWRITTEN)
            n = (int(written[-1]) + 1) // self.channels if len(written) else 0
            # libsndfile overwrites samples beyond the length in the header with zeros.
            n = max(0, min(n, self._left))
        self._left -= n
        return n, reason

    def _read_integers(self, out: np.ndarray) -> int | None:
        """Read samples as integers and scale them; return None if `read` must repeat it.

        After an error, any integer may be a sample, so it is unknown how many are valid.
        """
        assert self._integers is not None
        if len(self._integers) < len(out):
            self._integers = np.empty(out.shape, self._integers.dtype)
        integers = self._integers[: len(out)]
        try:
            n: int = self._decoder.buffer_read_into(integers, integers.dtype.name)
        except soundfile.LibsndfileError:
            self._integers = None
            with suppress(soundfile.LibsndfileError):
                self._decoder.seek(self._n_read)
            return None
        np.multiply(integers[:n], self._unit, out=out[:n], casting="unsafe")
        return n

    @property
    def position(self) -> int:
        """Offset in the file up to which libsndfile has read."""
        if isinstance(self._file, int):
            return os.lseek(self._file, 0, os.SEEK_CUR)
        return self._file.tell()

    def tags(self) -> Iterator[tuple[str, str]]:
        """Yield the tags that libsndfile has read with the header, and their texts."""
        for name, code in _TAG_CODES.items():
            text = soundfile._snd.sf_get_string(self._decoder._file, code)
            if text != soundfile._ffi.NULL:
                yield name, decoded(soundfile._ffi.string(text, MAX_TEXT_BYTES))

    def close(self) -> None:
        """Close the decoder, but not its file."""
        self._decoder.close()


def _reason(error: soundfile.LibsndfileError) -> str:
    reason = " ".join(error.error_string.split()).rstrip(".")
    if "possibly a pipe" in reason:  # libsndfile's misleading text for unknown content
        return "format not recognised"
    return reason


def check_library() -> None:
    """Check that the installed libsndfile decodes the same samples as on other machines.

    Raises
    ------
    DecoderError
        If it is too old, or built without a codec.
    """
    version = soundfile.__libsndfile_version__
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:3] if part.isdigit())
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise DecoderError(
            f"libsndfile is {version} here, and {oldest} or newer is needed for the same values"
            " everywhere: install soundfile from a wheel, which brings its own"
        )
    for container, subtypes in _NEEDED.items():
        for subtype in subtypes.split():
            if subtype not in soundfile.available_subtypes(container):
                raise DecoderError(
                    f"libsndfile {version} was built without {subtype} in {container}: install"
                    " soundfile from a wheel, which brings its own"
                )
