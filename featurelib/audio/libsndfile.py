"""One file, or one stream of a file, through libsndfile."""

from __future__ import annotations

import io
import os
from contextlib import nullcontext

import numpy as np
import soundfile

from featurelib.errors import DecoderError

#: Older ones give other samples for some files.
OLDEST = (1, 2, 2)

#: Formats that need libraries which a libsndfile can be built without.
_NEEDED = {"FLAC": "PCM_16", "OGG": "VORBIS OPUS", "MP3": "MPEG_LAYER_III"}

#: Bits of a NaN that no decoder makes.
_UNWRITTEN = np.uint32(0x7FC0BEEF)

#: No codec that libsndfile reads packs more frames than this into a byte.
_MAX_FRAMES_PER_BYTE = 8192


class RefusedError(Exception):
    """A decoder does not open this content; the message says why."""


class _SoundFile(soundfile.SoundFile):
    """A SoundFile that only reads ahead.

    soundfile seeks to where it already is after every read of a seekable file, which is
    slow and, with MP3, decodes again from a cold start. It also has one thread at a time
    open files, for the sake of the error's text: one that hangs would hang them all.
    """

    _sf_error_lock = nullcontext()

    def seekable(self) -> bool:
        return False


class LibsndfileDecoder:
    """Decodes with libsndfile.

    Parameters
    ----------
    file : int or io.RawIOBase
        A descriptor, or a file object.
    size : int
        Bytes of the file.

    Attributes
    ----------
    sr, channels : int
        Sampling rate [Hz] and number of channels.
    format, subtype : str
        Container and encoding.
    n_samples : int or None
        Samples per channel by the header; None if it says none or an impossible number.

    Raises
    ------
    RefusedError
        If it is nothing that libsndfile decodes.
    """

    name = "libsndfile"

    def __init__(self, file: int | io.RawIOBase, size: int) -> None:
        self._file = file
        try:
            self._decoder = _SoundFile(file, closefd=False)
            self.subtype: str = self._decoder.subtype
            if self.subtype == "OPUS":
                # Only a seek sets the beginning where the first granule position is not 0.
                self._decoder.seek(0)
        except soundfile.LibsndfileError as error:
            raise RefusedError(_reason(error)) from error
        self.sr: int = self._decoder.samplerate
        self.channels: int = self._decoder.channels
        self.format: str = self._decoder.format
        self._left = n_samples = self._decoder.frames
        plausible = 0 < n_samples <= size * _MAX_FRAMES_PER_BYTE
        self.n_samples: int | None = n_samples if plausible else None

    def read(self, out: np.ndarray) -> tuple[int, str | None]:
        """Decode into an array of shape (n, channels).

        Returns
        -------
        n : int
            Number of good frames: rows of `out` that are filled.
        error : str or None
            What ended the decoding before the end of the file, if anything did.
        """
        # A failed read does not say how many frames it decoded before, and with some codecs
        # the position does not either; so mark what is not written.
        words = out.view(np.uint32)
        words.fill(_UNWRITTEN)
        reason = None
        try:
            n = self._decoder.buffer_read_into(out, "float32")
        except soundfile.LibsndfileError as error:
            reason = _reason(error)
            written = np.flatnonzero(words.ravel() != _UNWRITTEN)
            n = (int(written[-1]) + 1) // self.channels if len(written) else 0
            # What libsndfile decodes beyond the header's length it overwrites with zeros.
            n = max(0, min(n, self._left))
        self._left -= n
        return n, reason

    @property
    def position(self) -> int:
        """Where in the file it has read to."""
        if isinstance(self._file, int):
            return os.lseek(self._file, 0, os.SEEK_CUR)
        return self._file.tell()

    def close(self) -> None:
        self._decoder.close()


def _reason(error: soundfile.LibsndfileError) -> str:
    reason = " ".join(error.error_string.split()).rstrip(".")
    if "possibly a pipe" in reason:  # said of content that it takes for nothing; misleading
        return "format not recognised"
    return reason


def check_library() -> None:
    """Make sure that this libsndfile gives the samples that others do.

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
