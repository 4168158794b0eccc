"""One file, or one stream of a file, through FFmpeg (PyAV), for what libsndfile cannot read.

FFmpeg reads far more than audio files. It is given bytes and nothing else: no name, no
protocol, a list of containers that hold audio and open nothing else, and audio decoders
only. Packets are decoded one by one, and one that cannot be decoded is left out.
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

if TYPE_CHECKING:
    import av
    import av.container

#: Containers that may be opened: audio files, and those of video that hold audio. Playlists,
#: image sequences and all that opens other files or addresses is left out.
CONTAINERS = (
    *("aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "avi", "caf"),
    *("dsf", "dts", "dtshd", "eac3", "flac", "flv", "gsm", "iff", "loas", "matroska", "mlp"),
    *("mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "nistsphere", "ogg", "rm", "shn"),
    *("tak", "truehd", "tta", "voc", "w64", "wav", "wsd", "wv", "xwma"),
)

#: Audio decoders that may be used, beside those for PCM and ADPCM.
_DECODERS = (
    *("aac", "aac_latm", "ac3", "alac", "als", "amrnb", "amrwb", "ape", "atrac1", "atrac3"),
    *("atrac3plus", "cook", "dca", "dsd_lsbf", "dsd_lsbf_planar", "dsd_msbf", "dsd_msbf_planar"),
    *("dst", "eac3", "flac", "g722", "g723_1", "g726", "g726le", "g729", "gsm", "gsm_ms"),
    *("mlp", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "mpc7", "mpc8"),
    *("nellymoser", "opus", "qcelp", "qdm2", "ralf", "real_144", "real_288", "shorten", "sipr"),
    *("speex", "tak", "truehd", "truespeech", "tta", "vorbis", "wavpack", "wmalossless"),
    *("wmapro", "wmav1", "wmav2", "wmavoice"),
)

#: Containers without a header that tells a length: FFmpeg guesses it from the bit rate.
_GUESSED_LENGTHS = {"aac", "ac3", "amr", "dts", "eac3", "gsm", "loas", "mlp", "mp3", "truehd"}

#: Sampling rates of Opus; libsndfile decodes at the first that is not below the encoder's.
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)

#: Those, and one whose clock need not begin at 0.
_UNSURE_LENGTHS = {*_GUESSED_LENGTHS, "ogg"}

#: What decoders check, by codec. A frame that fails its checksum is noise, and so is an MP3
#: frame whose data begin in one that is lost; FFmpeg would decode both.
_CHECKS = {
    **dict.fromkeys(("ac3", "eac3", "flac", "tta", "wavpack"), "crccheck+explode"),
    **dict.fromkeys(("mp1float", "mp2float", "mp3float"), "crccheck+bitstream+buffer+explode"),
}

#: Samples of a decoded frame, all channels together: at most, and where there are few channels.
_MAX_FRAME_SAMPLES = 2**25
_FEW_CHANNELS = 8

#: Bytes of packets that are looked at to find out what the streams are. FFmpeg keeps them all,
#: and needs half a kB for a packet of one byte.
_PROBED_BYTES = 2**20

_MAX_FAILURES = 100

#: A gap between frames smaller than this is rounding in a container's clock.
_SMALLEST_GAP_S = 0.015

#: Seconds by which decoded lengths may fall short of what a container says, and the part of it
#: in short files.
_LENGTH_SLACK_S = 0.2
_LENGTH_SLACK = 0.25

_SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "s64": 2.0**-63}


class FFmpegDecoder:
    """Decodes with FFmpeg.

    Parameters
    ----------
    file : io.RawIOBase
        Has to read and seek; it is read from where it is.
    container : str, optional
        FFmpeg's name of the container; found by its content otherwise.

    Attributes
    ----------
    sr, channels : int
        Sampling rate [Hz] and number of channels at the beginning.
    format, subtype : str
        Container and codec.
    n_samples : int or None
        Samples per channel by the container; None if it says none.
    gaps_s : float
        Sum of the gaps between frames so far [s].
    lost_s : float or None
        Sum of the gaps between frames [s]; known when all blocks were read. None where
        something is missing without a gap, or the container has no clock of its own.
    damaged : bool
        Whether something before the last frame was left out; known then, too.
    cut : bool
        Whether something behind the last frame could not be decoded, or is missing.

    Raises
    ------
    RefusedError
        If it is nothing that FFmpeg may or can decode.
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
                metadata_errors="replace",
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
        if context.name != "ape":  # to which it means how many are decoded in one go
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
        """Decode to the end; yield the rate and samples of shape (n, channels)."""
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
        self.cut = bool(self._n_failures) or self._is_corrupt  # behind the last frame
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
                self._has_clock = self._has_clock and expected is not None  # or where is 0?
            length = frame.samples / frame.sample_rate
            if frame.sample_rate != self._clock_rate:
                self._has_clock, expected = False, None  # it counts in samples of the first rate
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
            self._at_end = packet is None  # frames that come now were begun before
            try:
                yield from self._stream.codec_context.decode(packet)
            except (av.error.FFmpegError, ValueError):
                self._n_failures += 1

    def _packets(self) -> Iterator[Any]:
        import av

        n_failures = 0
        while n_failures < _MAX_FAILURES:  # in a row
            try:
                for packet in self._container.demux(self._stream):
                    n_failures = 0
                    if not packet.size:  # to a decoder that would be the end
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

    def close(self) -> None:
        self._container.close()


class _Channels:
    """Resamples several channels."""

    def __init__(self, channels: int, orig_sr: int, target_sr: int) -> None:
        self._resamplers = [Resampler(orig_sr, target_sr) for _ in range(channels)]

    def push(self, block: np.ndarray) -> np.ndarray:
        pairs = zip(self._resamplers, block.T, strict=True)
        return np.stack([resampler.push(y) for resampler, y in pairs], axis=1)

    def finish(self) -> np.ndarray:
        return np.stack([resampler.finish() for resampler in self._resamplers], axis=1)


def _samples(frame: av.AudioFrame) -> np.ndarray:
    """A frame's samples as float32 of shape (n, channels), scaled as libsndfile does it."""
    kind = frame.format.name
    raw: np.ndarray
    if kind == "s64":  # of which PyAV makes no array
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
    """Rate that libsndfile decodes Opus at: the encoder's, or the next that Opus has."""
    head = context.extradata or b""
    if head[:8] != b"OpusHead":
        return _OPUS_RATES[-1]
    rate = int.from_bytes(head[12:16], "little", signed=True)
    return next((r for r in _OPUS_RATES if r >= rate), _OPUS_RATES[-1])


def _refuse(url: str, *_: Any) -> NoReturn:
    import av

    # Not the OSError of the same name, which is the source's fault.
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
    """Return the versions of FFmpeg's libraries that decode, as they are at run time."""
    import av

    return " ".join(
        f"{name} {'.'.join(map(str, numbers))}"
        for name, numbers in sorted(av.library_versions.items())
        if name in ("libavcodec", "libavformat", "libavutil")
    )
