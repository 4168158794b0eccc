"""Decoding of one file or stream with FFmpeg (PyAV), for content that libsndfile cannot read.

FFmpeg reads far more than audio files, so it is restricted. It receives bytes, but no file
name and no protocol. Only containers that cannot open other files, and only audio decoders,
are allowed. A packet that cannot be decoded is skipped.
"""

from __future__ import annotations

import errno
import functools
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from featurelib.audio.libsndfile import RefusedError
from featurelib.audio.resample import Resampler
from featurelib.audio.tag_values import from_keys

if TYPE_CHECKING:
    import av
    import av.container

#: Allowed containers: audio files, and video files with audio. Playlists, image sequences and
#: other formats that open further files or addresses are excluded.
CONTAINERS = (
    *("aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "avi", "caf"),
    *("dsf", "dts", "dtshd", "eac3", "flac", "flv", "gsm", "iff", "loas", "matroska", "mlp"),
    *("mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "nistsphere", "ogg", "rm", "shn"),
    *("tak", "truehd", "tta", "voc", "w64", "wav", "wsd", "wv", "xwma"),
)

#: Allowed audio decoders, in addition to those for PCM and ADPCM.
_DECODERS = (
    *("aac", "aac_latm", "ac3", "alac", "als", "amrnb", "amrwb", "ape", "atrac1", "atrac3"),
    *("atrac3plus", "cook", "dca", "dsd_lsbf", "dsd_lsbf_planar", "dsd_msbf", "dsd_msbf_planar"),
    *("dst", "eac3", "flac", "g722", "g723_1", "g726", "g726le", "g729", "gsm", "gsm_ms"),
    *("mlp", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "mpc7", "mpc8"),
    *("nellymoser", "opus", "qcelp", "qdm2", "ralf", "real_144", "real_288", "shorten", "sipr"),
    *("speex", "tak", "truehd", "truespeech", "tta", "vorbis", "wavpack", "wmalossless"),
    *("wmapro", "wmav1", "wmav2", "wmavoice"),
)

#: Containers without a length in the header; FFmpeg guesses it from the bit rate.
_GUESSED_LENGTHS = {"aac", "ac3", "amr", "dts", "eac3", "gsm", "loas", "mlp", "mp3", "truehd"}

#: Sampling rates of Opus [Hz]. libsndfile uses the lowest that is not below the encoder's.
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)

#: Containers whose length is unreliable: guessed lengths, and Ogg, whose clock may not begin
#: at 0.
_UNSURE_LENGTHS = {*_GUESSED_LENGTHS, "ogg"}

#: Error checks of FFmpeg by codec. By default FFmpeg decodes frames with a wrong checksum, and
#: MP3 frames whose data begin in a lost frame. Both would be noise.
_CHECKS = {
    **dict.fromkeys(("ac3", "eac3", "flac", "tta", "wavpack"), "crccheck+explode"),
    **dict.fromkeys(("mp1float", "mp2float", "mp3float"), "crccheck+bitstream+buffer+explode"),
}

#: Most samples of a decoded frame, summed over channels.
_MAX_FRAME_SAMPLES = 2**25

#: Smallest number of channels by which that limit is divided.
_FEW_CHANNELS = 8

#: Bytes that FFmpeg reads to detect the streams. It keeps all packets of them, and a packet of
#: one byte takes half a kB.
_PROBED_BYTES = 2**20

#: Read errors in a row after which reading ends.
_MAX_FAILURES = 100

#: Smaller gaps between frames are rounding errors of the container's clock.
_SMALLEST_GAP_S = 0.015

#: Tolerance for a decoded duration below that of the container: seconds, or for short files
#: a fraction of the duration.
_LENGTH_SLACK_S = 0.2
_LENGTH_SLACK = 0.25

#: Scale factors to ±1, by sample format.
_SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "s64": 2.0**-63}


class FFmpegDecoder:
    """Decoder that uses FFmpeg.

    Parameters
    ----------
    file : io.RawIOBase
        Seekable file, read from its current position.
    container : str, optional
        FFmpeg's name of the container; by default FFmpeg detects it.

    Attributes
    ----------
    name : str
        Name of the decoder.
    sr, channels : int
        Sampling rate [Hz] and number of channels at the beginning.
    format, subtype : str
        Container and codec.
    n_samples : int or None
        Samples per channel by the container; None if unknown.
    gaps_s : float
        Sum of the gaps between frames so far [s].
    lost_s : float or None
        Sum of all gaps between frames [s], valid after the last block. None if data is
        missing without a gap, or the container has no clock.
    damaged : bool
        Whether data before the last frame was skipped, valid after the last block.
    cut : bool
        Whether data after the last frame is missing or could not be decoded, valid after the
        last block.

    Raises
    ------
    RefusedError
        If FFmpeg cannot decode the content, or is not allowed to.
    """

    name = "ffmpeg"

    def __init__(self, file: io.RawIOBase, container: str | None = None) -> None:
        import av

        self.lost_s: float | None = 0.0
        self.damaged, self.cut = False, False
        self.gaps_s = 0.0
        self._n_failures = 0
        self._is_corrupt = False
        self._at_end = False
        try:
            self._container = av.open(
                file,
                mode="r",
                format=container,
                container_options={
                    "format_whitelist": ",".join(CONTAINERS),
                    "codec_whitelist": _decoders(),
                    "protocol_whitelist": "none",
                    "fflags": "+bitexact",
                    "probesize": str(_PROBED_BYTES),
                },
                metadata_errors="surrogateescape",
                io_open=_refuse,
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise RefusedError(_say(error)) from error
        try:
            self._open_stream()
        except (av.error.FFmpegError, ValueError) as error:
            self._container.close()
            raise RefusedError(_say(error)) from error
        except RefusedError:
            self._container.close()
            raise

    def _open_stream(self) -> None:
        import av

        streams = self._container.streams.audio
        allowed = frozenset(_decoders().split(","))
        usable = [s for s in streams if s.codec_context and s.codec_context.name in allowed]
        if not usable:
            raise RefusedError("no audio stream that may be decoded")
        self._stream = usable[0]
        for stream in self._container.streams:
            if stream is not self._stream:
                stream.discard = av.stream.Discard.all
        context = self._stream.codec_context
        context.thread_count = 1
        context.thread_type = "NONE"
        options = {"flags": "+bitexact"}
        if context.name != "ape":  # for APE the option is the number decoded at once
            channels = max(context.layout.nb_channels, _FEW_CHANNELS)
            options["max_samples"] = str(_MAX_FRAME_SAMPLES // channels)
        if context.name in _CHECKS:
            options["err_detect"] = _CHECKS[context.name]
        context.options = options
        context.open(strict=False)
        self.format = self._container.format.name.split(",")[0].upper()
        self.subtype = context.name.upper()
        self._clock_rate = context.sample_rate
        self._has_clock = self.format.lower() not in _GUESSED_LENGTHS
        self.sr, self.channels = context.sample_rate, context.layout.nb_channels
        self._rate = _opus_rate(context) if context.codec.canonical_name == "opus" else None
        if self._rate is not None:
            self.sr = self._rate
        self.n_samples = self._claimed()

    def _claimed(self) -> int | None:
        if self.format.lower() in _GUESSED_LENGTHS:
            return None
        if self._stream.duration and self._stream.time_base:
            seconds = float(self._stream.duration * self._stream.time_base)
        elif self._container.duration:
            seconds = self._container.duration / 1e6
        else:
            return None
        return round(seconds * self.sr) if 0 < seconds < 1e9 else None

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Decode to the end.

        Yields
        ------
        sr : int
            Sampling rate [Hz].
        samples : np.ndarray [shape=(n, channels), dtype=float32]
            Samples in memory of their own.
        """
        resamplers: dict[int, _Channels] = {}
        n_samples = 0
        for rate, samples in self._frames():
            if self._rate is not None and rate != self._rate:
                resampler = resamplers.setdefault(
                    samples.shape[1], _Channels(samples.shape[1], rate, self._rate)
                )
                samples, rate = resampler.push(samples), self._rate
            n_samples += len(samples)
            if len(samples):
                yield rate, samples
        for resampler in resamplers.values():
            rest = resampler.finish()
            n_samples += len(rest)
            if len(rest):
                assert self._rate is not None
                yield self._rate, rest
        self._judge(n_samples / self.sr)

    def _judge(self, seconds: float) -> None:
        self.cut = bool(self._n_failures) or self._is_corrupt  # after the last frame
        container = self.format.lower()
        if self.n_samples is not None and container not in _UNSURE_LENGTHS:
            missing = self.n_samples / self.sr - seconds - self.gaps_s
            slack = min(_LENGTH_SLACK_S, self.n_samples / self.sr * _LENGTH_SLACK)
            self.cut = self.cut or missing > slack
        knows = self._has_clock and self.gaps_s and not self.cut
        self.lost_s = self.gaps_s if knows else None
        if not (self.damaged or self.cut):
            self.lost_s = 0.0

    def _frames(self) -> Iterator[tuple[int, np.ndarray]]:
        expected: float | None = None
        for frame in self._decoded():
            if not frame.samples:
                continue
            if self._n_failures and not self._at_end:
                self.damaged, self._n_failures = True, 0
                # Damage before the first frame: the start of the clock is unknown.
                self._has_clock = self._has_clock and expected is not None
            length = frame.samples / frame.sample_rate
            if frame.sample_rate != self._clock_rate:
                # The clock counts samples of the first rate.
                self._has_clock, expected = False, None
            elif frame.pts is not None and frame.time_base and self._has_clock:
                begin = float(frame.pts * frame.time_base)
                least = max(2 * float(frame.time_base), length / 2, _SMALLEST_GAP_S)
                if expected is not None and begin - expected > least:
                    self.gaps_s += begin - expected
                    self.damaged = True
                expected = begin + length
            elif expected is not None:
                expected += length
            yield frame.sample_rate, _samples(frame)

    def _decoded(self) -> Iterator[av.AudioFrame]:
        import av

        for packet in self._packets():
            self._at_end = packet is None  # further frames come from earlier packets
            try:
                yield from self._stream.codec_context.decode(packet)
            except (av.error.FFmpegError, ValueError):
                self._n_failures += 1

    def _packets(self) -> Iterator[Any]:
        import av

        n_failures = 0
        while n_failures < _MAX_FAILURES:
            try:
                for packet in self._container.demux(self._stream):
                    n_failures = 0
                    if not packet.size:  # a decoder would take it for the end
                        continue
                    if not self.subtype.startswith("PCM"):
                        self._is_corrupt = packet.is_corrupt
                    yield packet
            except (av.error.FFmpegError, ValueError):
                n_failures += 1
                self._n_failures += 1
            else:
                break
        yield None

    def tags(self) -> Iterator[tuple[str, str]]:
        """Yield the tags of the stream and of the container, and their texts."""
        yield from from_keys(self._stream.metadata)
        yield from from_keys(self._container.metadata)

    def close(self) -> None:
        """Close the container."""
        self._container.close()


class _Channels:
    """Resampler for several channels, shape (n, channels)."""

    def __init__(self, channels: int, orig_sr: int, target_sr: int) -> None:
        self._resamplers = [Resampler(orig_sr, target_sr) for _ in range(channels)]

    def push(self, block: np.ndarray) -> np.ndarray:
        pairs = zip(self._resamplers, block.T, strict=True)
        return np.stack([resampler.push(y) for resampler, y in pairs], axis=1)

    def finish(self) -> np.ndarray:
        return np.stack([resampler.finish() for resampler in self._resamplers], axis=1)


def _samples(frame: av.AudioFrame) -> np.ndarray:
    """Return a frame's samples as float32, shape (n, channels), scaled as by libsndfile."""
    kind = frame.format.name
    raw: np.ndarray
    if kind == "s64":  # PyAV cannot convert it
        raw = np.frombuffer(bytes(frame.planes[0]), np.int64)[
            : frame.samples * frame.layout.nb_channels
        ]
    else:
        raw = frame.to_ndarray()
    if frame.format.is_planar:
        kind = kind.removesuffix("p")
        raw = raw.T
    else:
        raw = raw.reshape(-1, frame.layout.nb_channels)
    samples = raw.astype(np.float32)
    if kind == "u8":
        samples -= np.float32(128)
    if kind in _SCALES:
        samples *= np.float32(_SCALES[kind])
    return np.ascontiguousarray(samples)


def _opus_rate(context: Any) -> int:
    """Return the rate [Hz] at which libsndfile decodes an Opus stream; see `_OPUS_RATES`."""
    head = context.extradata or b""
    if head[:8] != b"OpusHead":
        return _OPUS_RATES[-1]
    rate = int.from_bytes(head[12:16], "little", signed=True)
    return next((r for r in _OPUS_RATES if r >= rate), _OPUS_RATES[-1])


def _refuse(url: str, *_: Any) -> NoReturn:
    import av

    # Not the built-in PermissionError: that is an OSError, which means a failing source.
    raise av.error.PermissionError(errno.EPERM, f"no other file is opened: {url[:100]}")


def _say(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split()).rstrip(".")


@functools.cache
def _decoders() -> str:
    import av

    names = av.codec.codecs_available
    allowed = [n for n in names if n.startswith(("pcm_", "adpcm_"))]
    return ",".join([*_DECODERS, *sorted(allowed)])


def ffmpeg_version() -> str:
    """Return the versions of the FFmpeg decoding libraries that are loaded."""
    import av

    return " ".join(
        f"{name} {'.'.join(map(str, numbers))}"
        for name, numbers in sorted(av.library_versions.items())
        if name in ("libavcodec", "libavformat", "libavutil")
    )
