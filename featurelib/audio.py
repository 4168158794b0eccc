"""An audio file → blocks of decoded samples, one channel at the spec's rate, and facts.

Files are untrusted. Memory never follows what a header claims, a block has a fixed number
of samples whatever the number of channels, and content that cannot be used is always an
`AudioError`. Decoding ends at the first error in mid-stream: what came before is kept, as
of a file cut short there, and nothing before is `undecodable`. `header_duration_s` against
`duration_s` tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import xxhash

from featurelib.errors import AudioError
from featurelib.sources import ByteReader, FileReader, Source, open_source
from featurelib.spec import SR_LIMITS

#: Samples, all channels together, that are decoded at once.
BLOCK_SAMPLES = 65_536

#: Samples of this size count as clipped: the largest of 16 bits.
CLIP_LEVEL = np.float32(1.0 - 2.0**-15)

#: Peaks below this count as silence: -80 dBFS.
SILENCE_LEVEL = 1e-4

#: Beyond this the power spectrum of the largest n_fft would leave float32.
MAX_SAMPLE = 1e12

#: No codec that libsndfile reads packs more frames than this into a byte.
_MAX_FRAMES_PER_BYTE = 8192

#: Bits of a NaN that no decoder makes.
_UNWRITTEN = np.uint32(0x7FC0BEEF)

_MAGIC_BYTES = 16

_UNSUPPORTED = "is not decoded by libsndfile; convert it to FLAC or WAV"


@dataclass(frozen=True)
class SignalFacts:
    """What is known of a decoded signal beside its features; see the schema's columns."""

    duration_s: float
    sample_rate_hz: int
    channels: int
    peak: float
    clipped_fraction: float
    is_silent: bool
    audio_hash: str


class SignalMeter:
    """Gathers the facts of a signal from its decoded samples, before mixing down."""

    def __init__(self, sr: int, channels: int) -> None:
        self._sr = sr
        self._channels = channels
        self._samples = 0
        self._clipped = 0
        self._peak = 0.0
        self._hash = xxhash.xxh3_128(f"{sr} {channels} ".encode())

    def add(self, block: np.ndarray) -> None:
        """Take in samples of shape (n, channels).

        Raises
        ------
        AudioError
            If a sample is NaN, infinite, or too large for its spectrum to be finite.
        """
        peak = max(float(block.max()), -float(block.min()))
        if not peak <= MAX_SAMPLE:  # NaN compares false
            bad = int(np.argmin(np.abs(block).ravel() <= MAX_SAMPLE))
            second = (self._samples + bad) // self._channels / self._sr
            raise AudioError(
                "not_finite",
                f"a sample that is NaN, infinite or beyond ±{MAX_SAMPLE:g} at {second:.6g} s",
            )
        if peak >= CLIP_LEVEL:
            self._clipped += int(np.count_nonzero(np.abs(block) >= CLIP_LEVEL))
        self._peak = max(self._peak, peak)
        self._samples += block.size
        self._hash.update(block.data)

    def facts(self) -> SignalFacts:
        """The facts of all samples so far.

        Raises
        ------
        AudioError
            If there were none.
        """
        if not self._samples:
            raise AudioError("empty", "no samples")
        return SignalFacts(
            duration_s=self._samples // self._channels / self._sr,
            sample_rate_hz=self._sr,
            channels=self._channels,
            peak=self._peak,
            clipped_fraction=self._clipped / self._samples,
            is_silent=self._peak < SILENCE_LEVEL,
            audio_hash=self._hash.hexdigest(),
        )


class _Decoder(soundfile.SoundFile):
    """A SoundFile that only reads ahead.

    soundfile seeks to where it already is after every read of a seekable file, which is
    slow and, with MP3, decodes again from a cold start. It also has one thread at a time
    open files, for the sake of the error's text: one that hangs would hang them all.
    """

    _sf_error_lock = nullcontext()

    def seekable(self) -> bool:
        return False


class AudioFile:
    """An opened audio file, decoded from its beginning.

    Attributes
    ----------
    sr, channels : int
        Sampling rate [Hz] and number of channels.
    format, subtype : str
        Container and encoding, by libsndfile's names.
    header_duration_s : float or None
        Length by the header; None if it says none or an impossible one.
    """

    def __init__(self, decoder: _Decoder, reader: ByteReader, size: int) -> None:
        self._decoder = decoder
        self._reader = reader
        self.sr = check_rate(decoder.samplerate)
        self.channels: int = decoder.channels
        self.format: str = decoder.format
        self.subtype: str = decoder.subtype
        plausible = 0 < decoder.frames <= size * _MAX_FRAMES_PER_BYTE
        self.header_duration_s = decoder.frames / self.sr if plausible else None
        self._likely_frames: int | None = decoder.frames if plausible else None

    def blocks(self, duration: float | None, block_samples: int) -> Iterator[np.ndarray]:
        """Decode the samples, in arrays of shape (n, channels) that are reused.

        Parameters
        ----------
        duration : float or None
            Stop after so many seconds.
        block_samples : int
            Most samples in an array, all channels together, but at least one frame.
        """
        left = None if duration is None else int(duration * self.sr)
        block_frames = max(block_samples // self.channels, 1)
        if self._likely_frames is not None:  # short files are quick to read into little memory
            block_frames = min(block_frames, self._likely_frames + 1)
        buffer = np.empty((block_frames, self.channels), np.float32)
        good = 0
        while left is None or left > 0:
            wanted = len(buffer) if left is None else min(left, len(buffer))
            n, error = self._read(buffer[:wanted])
            if n:
                yield buffer[:n]
            good += n
            self._reader.check()
            if error is not None:
                self._reader.check_content_is_to_blame()
                if not good:
                    raise AudioError("undecodable", _undecodable(self._reader, error)) from error
            if error is not None or n == 0:
                return
            if left is not None:
                left -= n

    def _read(self, out: np.ndarray) -> tuple[int, soundfile.LibsndfileError | None]:
        """Fill `out`; the number of good frames, and the error that ended them."""
        # A failed read does not say how many frames it decoded before, and with some codecs
        # the position does not either; so mark what is not written.
        words = out.view(np.uint32)
        words.fill(_UNWRITTEN)
        try:
            return self._decoder.buffer_read_into(out, "float32"), None
        except soundfile.LibsndfileError as error:
            written = np.flatnonzero(words.ravel() != _UNWRITTEN)
            n = (int(written[-1]) + 1) // self.channels if len(written) else 0
            return n, error


@contextmanager
def open_audio(source: Source) -> Iterator[AudioFile]:
    """Open an audio file for decoding.

    The format is told by the content alone, never by the name.

    Parameters
    ----------
    source : str, bytes, PathLike, memoryview, bytearray or binary file object
        See `featurelib.sources.open_source`.

    Raises
    ------
    AudioError
        If it is empty or no audio that can be decoded.
    OSError
        If it cannot be opened or read.
    """
    with open_source(source) as reader:
        size = reader.size()
        if size == 0:
            raise AudioError("empty", "no bytes")
        try:
            decoder = _Decoder(
                reader.fd if isinstance(reader, FileReader) else reader, closefd=False
            )
        except soundfile.LibsndfileError as error:
            reader.check()
            reader.check_content_is_to_blame()
            raise AudioError("undecodable", _undecodable(reader, error)) from error
        with decoder:
            reader.check()
            yield AudioFile(decoder, reader, size)


def check_rate(sr: Any) -> int:
    """Return a sampling rate as an integer.

    Raises
    ------
    AudioError
        If it lies outside of what real signals have: resampling from 1 Hz would turn each
        sample into thousands.
    """
    low, high = SR_LIMITS
    if not low <= sr <= high:
        raise AudioError("undecodable", f"sampling rate of {sr} Hz, outside of {low} to {high} Hz")
    return int(sr)


def mix_down(block: np.ndarray) -> np.ndarray:
    """Mean of the channels.

    Parameters
    ----------
    block : np.ndarray [shape=(n, channels), dtype=float32]

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
        For one channel a view of `block`.
    """
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0]
    if channels == 2:
        # The same numbers as the mean's, ten times as fast.
        return (block[:, 0] + block[:, 1]) / np.float32(2)
    return block.mean(axis=1)


def _undecodable(reader: ByteReader, error: soundfile.LibsndfileError) -> str:
    magic = reader.first(_MAGIC_BYTES)
    if magic[4:8] == b"ftyp":
        return f"MP4 container (M4A, AAC or ALAC), which {_UNSUPPORTED}"
    for start, what in (
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF container (WMA)"),
        (b"\x1a\x45\xdf\xa3", "Matroska container (MKA or WebM)"),
        (b"ADIF", "AAC stream"),
        (b"\xff\xf1", "AAC stream"),
        (b"\xff\xf9", "AAC stream"),
        (b"wvpk", "WavPack file"),
        (b"MAC ", "Monkey's Audio file"),
    ):
        if magic.startswith(start):
            return f"{what}, which {_UNSUPPORTED}"
    reason = " ".join(error.error_string.split()).rstrip(".")
    if "possibly a pipe" in reason:  # said of content that it takes for nothing; misleading
        return "no audio that libsndfile can decode"
    return f"no audio that libsndfile can decode ({reason})"
