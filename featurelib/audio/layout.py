"""Streams of a file, and checks that a decoder reached the end of each.

Both follow from the structure of the file: sizes, frame headers and page headers. Decoders
alone are not enough. They stop without an error at the length that a header claims, or at the
first damage.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from featurelib.audio import drflac, flac, mpeg, ogg, riff, tags
from featurelib.audio.libsndfile import MAX_FRAMES_PER_BYTE
from featurelib.audio.sources import ByteReader, Piece

Decoding = Literal["whole", "damaged", "cut"]

#: Most bytes of junk before the first frame.
SEARCH_BYTES = 2**20

#: Most candidates for the beginning of a file within the junk.
_MAX_STARTS = 100

#: Most streams in one file; FFmpeg decodes files with more.
MAX_STREAMS = 1000

_HEAD_BYTES = 64

#: Samples by which a Vorbis or Opus stream may be shorter than its granule positions say.
_OGG_SLACK = 16_384

#: Upper bound for the bytes that FLAC decoders read ahead.
_READ_AHEAD_BYTES = 2**16

_TAG_STARTS = (b"ID3", b"APE", b"TAG", b"LYR")

_STARTS = re.compile(
    rb"fLaC[\x00\x80]\x00\x00\x22|OggS\x00\x02|RIFF....WAVE|RF64....WAVE|FORM....AIF[FC]",
    re.DOTALL,
)

#: First bytes of files that FFmpeg reads and libsndfile does not. No junk precedes them.
_OF_FFMPEG = re.compile(
    rb"....(ftyp|moov|mdat|wide|free|skip)|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\x1a\x45\xdf\xa3"
    rb"|wvpk|MAC |MP\+|MPCK|TTA[12]|tBaK|#!AMR|\x0b\x77|DSD |FRM8|ajkg|FLV\x01|\.RMF|\x56\xe0"
    rb"|\x7f\xfe\x80\x01|\x00\x00\x01\xba|RIFF....(AVI |XWMA)|G.{187}G|\xf8\x72\x6f",
    re.DOTALL,
)


@dataclass(frozen=True)
class Verdict:
    """Result of decoding one stream.

    Attributes
    ----------
    decoding : {"whole", "damaged", "cut"}
        ``damaged``: something before the last good frame was skipped. ``cut``: the stream
        ends early, or the rest could not be read.
    lost_s : float or None
        Duration that is missing between decoded parts [s]; None if unknown.
    again : Stream, optional
        Stream to decode instead, because the decoder did not return all of it.
    following : sequence of Stream
        Streams after this one that were found during the decoding.
    shortened : Stream, optional
        This stream without the following ones; set together with `following`.
    """

    decoding: Decoding
    lost_s: float | None
    again: Stream | None = None
    following: Sequence[Stream] = ()
    shortened: Stream | None = None


#: Verdict for a stream without any problem.
WHOLE = Verdict("whole", 0.0)


class Result(NamedTuple):
    """Output of a decoder for one stream.

    Attributes
    ----------
    n_samples : int
        Decoded samples per channel.
    claimed : int or None
        Samples per channel by the header, as the decoder reads it.
    error : str or None
        Error that ended the decoding early.
    position : int
        Offset in the stream up to which the decoder has read.
    enough : bool
        Whether the requested duration was reached; the stream may continue after it.
    sr : int
        Sampling rate [Hz].
    is_filled : bool
        Whether the decoder may have invented samples: see `Stream.looks_filled`.
    """

    n_samples: int
    claimed: int | None
    error: str | None
    position: int
    enough: bool
    sr: int
    is_filled: bool = False


@dataclass(frozen=True)
class Stream:
    """Part of a file that is decoded as if it were a separate file.

    Attributes
    ----------
    pieces : tuple of Piece
        Bytes of the stream; empty for the unchanged whole file.
    container : str or None
        FFmpeg's name of the format; None if FFmpeg should detect it.
    by_ffmpeg : bool
        Whether FFmpeg decodes the stream, not libsndfile.
    last_resort : bool
        Whether to accept the result of libsndfile, because FFmpeg decodes less.
    original : tuple of Piece or None
        Bytes before a correction of the header; None if it was not corrected.
    gain : float
        Factor for the decoded samples.
    """

    pieces: tuple[Piece, ...] = ()
    container: str | None = None
    by_ffmpeg: bool = False
    last_resort: bool = False
    original: tuple[Piece, ...] | None = None
    gain: float = 1.0

    @property
    def form(self) -> tuple[int, int] | None:
        """Sampling rate [Hz] and channels of the stream; None if only a decoder can tell."""
        return None

    @property
    def is_damaged(self) -> bool:
        """Whether the structure shows damage."""
        return False

    @property
    def is_cut(self) -> bool:
        """Whether the structure shows that the stream ends early."""
        return False

    def n_missing(self, n_samples: int) -> int:
        """Return how many of the stream's samples FFmpeg did not decode; 0 if unknown.

        Parameters
        ----------
        n_samples : int
            Decoded samples per channel.
        """
        return 0

    def looks_filled(self, block: np.ndarray, position: int) -> bool:
        """Return whether libsndfile may have invented samples in place of lost ones.

        Parameters
        ----------
        block : np.ndarray [shape=(n, channels)]
            Decoded samples.
        position : int
            Number of the block's first sample in the stream.
        """
        return False

    def verdict(self, result: Result) -> Verdict:
        """Return the verdict on libsndfile's result."""
        if result.error is not None and not self.last_resort:
            return self._other_decoder()
        return self._final(result, cut=result.error is not None)

    def _other_decoder(self) -> Verdict:
        return Verdict("damaged", None, replace(self, by_ffmpeg=True))

    def _final(
        self,
        result: Result,
        *,
        cut: bool = False,
        damaged: bool = False,
        lost_s: float | None = None,
    ) -> Verdict:
        if damaged or self.is_damaged:
            return Verdict("damaged", lost_s)
        if (cut or self.is_cut) and not result.enough:
            return Verdict("cut", None)
        return WHOLE


@dataclass(frozen=True)
class RiffStream(Stream):
    """Stream of a file that `featurelib.audio.riff` reads, such as WAV or AIFF.

    Attributes
    ----------
    sizes : Sizes
        Position of the samples.
    """

    sizes: riff.Sizes = field(default=riff.Sizes(0, 0), kw_only=True)

    @property
    def is_cut(self) -> bool:
        return self.sizes.cut


_PLAIN_WAV = RiffStream()


@dataclass(frozen=True)
class MpegStream(Stream):
    """Stream of MPEG or ADTS frames.

    Attributes
    ----------
    run : Run
        Frames of the stream.
    """

    run: mpeg.Run = field(kw_only=True)

    @property
    def form(self) -> tuple[int, int] | None:
        return None if self.run.is_adts else (self.run.sr, 1 if self.run.kind[1] else 2)

    @property
    def is_damaged(self) -> bool:
        return self.run.damaged

    @property
    def is_cut(self) -> bool:
        info = self.run.info
        claims_more = (
            info is not None
            and info.n_frames is not None
            and info.n_frames > self.run.n_frames + 1
            and not self.run.damaged
        )
        return self.run.cut or claims_more

    def verdict(self, result: Result) -> Verdict:
        if result.enough:
            return self._final(result)
        missing = self.run.n_samples - result.n_samples
        if not self.last_resort and missing >= mpeg.MIN_FRAMES * self.run.frame_samples:
            if result.error is None and self.original is None and not self.run.damaged:
                return Verdict("whole", 0.0, self.with_count())
            return self._other_decoder()
        return self._final(
            result, cut=missing > 0 and result.error is not None, damaged=missing > 0
        )

    def with_count(self) -> MpegStream:
        """Return the stream with a length that makes libsndfile decode all of it.

        libsndfile stops at the number of frames in the header, which is corrected here.
        Without a header it guesses the number from the sizes of the file and the first frame,
        so a hole makes the file longer. The last bytes must exist, because libsndfile looks
        for a tag there.
        """
        run, info = self.run, self.run.info
        count = run.n_frames.to_bytes(4, "big")
        pieces: tuple[Piece, ...]
        if info is not None and info.place is not None:
            pieces = ((run.start, info.place), count, (info.place + 4, run.end))
        else:
            hole = run.missing_bytes + mpeg.MAX_FRAME_BYTES
            pieces = ((run.start, run.end), hole, bytes(tags.ID3V1_BYTES))
        return replace(self, pieces=pieces, original=((run.start, run.end),))


@dataclass(frozen=True)
class OggStream(Stream):
    """Stream of one link of an Ogg file.

    Attributes
    ----------
    link : Link
        Pages of the stream.
    """

    link: ogg.Link = field(kw_only=True)

    @property
    def is_damaged(self) -> bool:
        return self.link.damaged

    @property
    def is_cut(self) -> bool:
        return self.link.cut

    def verdict(self, result: Result) -> Verdict:
        missing = max((result.claimed or 0) - result.n_samples, 0)
        if result.enough:
            missing = 0
        lost = self.link.lost * result.sr / self.link.rate if self.link.rate else 0
        stops_early = result.error is not None or missing > lost + _OGG_SLACK
        if stops_early and not self.last_resort:
            return self._other_decoder()
        is_known = result.claimed and not result.enough and self.link.is_length_known
        lost_s = missing / result.sr if is_known else None
        return self._final(result, cut=stops_early, lost_s=lost_s)


@dataclass(frozen=True)
class FlacStream(Stream):
    """Stream of a FLAC file, whose end is found after the decoding.

    Attributes
    ----------
    reader : ByteReader
        The file.
    info : StreamInfo
        Its STREAMINFO.
    start, end : int
        Offsets of the stream in the file.
    by_drflac : bool
        Whether dr_flac decodes the stream if all of it is wanted: see
        `featurelib.audio.drflac`.
    """

    reader: ByteReader = field(kw_only=True)
    info: flac.StreamInfo = field(kw_only=True)
    start: int = field(kw_only=True)
    end: int = field(kw_only=True)
    by_drflac: bool = field(default=False, kw_only=True)

    def verdict(self, result: Result) -> Verdict:
        if self.by_drflac:
            return self.by_libsndfile().verdict(result)
        if self.last_resort:
            return self._final(result, cut=result.error is not None)
        if result.is_filled and self._lacks_frames(result):
            return self._other_decoder()
        if result.enough:
            return self._final(result)
        begin = max(self.start + result.position - _READ_AHEAD_BYTES, self.info.audio)
        border = flac.next_file(self.reader.at, begin, self.end)
        if border is None:
            return self._verdict(result)
        first = replace(self, pieces=((self.start, border),), end=border)
        following = flac_streams(self.reader, border, self.end)
        return replace(first._verdict(result), following=following, shortened=first)

    def by_libsndfile(self) -> FlacStream:
        """Return the stream for libsndfile."""
        return replace(self, by_drflac=False)

    @property
    def is_regular(self) -> bool:
        """Whether the number of samples is plausible and the first frame is where it should be."""
        info = self.info
        first = flac.first_header(self.reader.at, info)
        return (
            info.depth in drflac.SUBTYPES
            and 0 < info.n_samples <= (self.end - self.start) * MAX_FRAMES_PER_BYTE
            and first is not None
            and first.fits(info)
            and first.first_sample == 0
        )

    def looks_filled(self, block: np.ndarray, position: int) -> bool:
        # libFLAC replaces missing frames by up to six frames of zeros.
        size = self.info.block
        begins = range(-position % size, len(block), size)
        return any(not block[i].any() and not block[i : i + size].any() for i in begins)

    def _lacks_frames(self, result: Result) -> bool:
        end = min(self.start + result.position, self.end)
        if border := flac.next_file(self.reader.at, self.info.audio, end):
            end = border
        return flac.lacks_frames(self.reader.at, self.info.audio, end, self.info)

    def n_missing(self, n_samples: int) -> int:
        # FFmpeg takes the bytes around damage as one packet and skips frames.
        header = flac.last_header(self.reader.at, self.info.audio, self.end, self.info)
        if header is None or not header.fits(self.info):
            return 0
        first = flac.first_header(self.reader.at, self.info)
        before = first.first_sample if first else 0
        return max(header.end_sample - before - n_samples, 0)

    def _verdict(self, result: Result) -> Verdict:
        """Return the verdict that follows from the last frame header."""
        header = flac.last_header(self.reader.at, self.info.audio, self.end, self.info)
        failed = result.error is not None
        if header is None:
            return self._other_decoder() if failed else self._final(result)
        first = flac.first_header(self.reader.at, self.info)
        before = first.first_sample if first else 0
        begin, end = header.first_sample - before, header.end_sample - before
        if not header.fits(self.info) or (failed and begin > result.n_samples):
            return self._other_decoder()
        if not failed and end > result.n_samples:
            if self.original is not None:
                return self._other_decoder()
            return Verdict("whole", 0.0, self._with_total(end))
        return self._final(result, cut=end > result.n_samples or self.info.n_samples > end)

    def _with_total(self, n_samples: int) -> FlacStream:
        """Return the stream with another number of samples in its header."""
        place = flac.total_place(self.start)
        total = flac.with_total(n_samples, self.reader.at(place, 5))
        pieces: tuple[Piece, ...] = ((self.start, place), total, (place + 5, self.end))
        return replace(self, pieces=pieces, original=((self.start, self.end),))


def lay_out(reader: ByteReader, size: int, duration: float | None) -> list[Stream]:
    """Find the streams of a file.

    Parameters
    ----------
    reader : ByteReader
        The file.
    size : int
        Size of the file [bytes].
    duration : float or None
        Duration to decode [s]; later streams are not searched.

    Returns
    -------
    list of Stream
        At least one stream, in the order of the file.
    """
    head = reader.at(0, _HEAD_BYTES)
    if riff.is_plain(head, size):
        return [_PLAIN_WAV]
    place = tags.skip(reader.at, 0, size) if head[:3] in _TAG_STARTS else 0
    streams = list(_streams_at(reader, place, size, duration))
    # libsndfile skips tags as well, but then loses samples, depending on the kind of source.
    return streams or [Stream(((place, size),) if place < size and place else ())]


def behind_junk(reader: ByteReader, size: int, duration: float | None) -> list[Stream]:
    """Find the streams of a file whose first bytes libsndfile does not recognise.

    They are junk, or the file has a format that only FFmpeg reads.
    """
    place = tags.skip_id3(reader.at, 0, size)
    head = reader.at(place, 256)
    if _OF_FFMPEG.match(head):
        return [Stream(((place, size),) if place else (), by_ffmpeg=True)]
    if place <= SEARCH_BYTES or place == size:  # a tag may claim too much
        place = 0
    limit = min(place + 2 * SEARCH_BYTES, size)
    for start in _starts(reader, place, limit, size):
        if streams := list(_streams_at(reader, start, size, duration)):
            return streams
    frames = flac.find_frames(reader.at, place, limit)
    if frames is not None:
        return [Stream(((frames, size),), "flac", by_ffmpeg=True)]
    return [Stream(by_ffmpeg=True)]


def _starts(reader: ByteReader, place: int, limit: int, size: int) -> list[int]:
    """Return the offsets where a file may begin."""
    data = reader.at(place, limit - place)
    matches = itertools.islice(_STARTS.finditer(data), _MAX_STARTS)
    starts = [place + match.start() for match in matches]
    frames = mpeg.find_stream(reader.at, place, min(limit + mpeg.MAX_FRAME_BYTES * 3, size))
    return sorted(starts if frames is None else [*starts, frames])


def _streams_at(
    reader: ByteReader, place: int, size: int, duration: float | None
) -> Sequence[Stream]:
    streams = _some_streams_at(reader, place, size, duration)
    if len(streams) > MAX_STREAMS:
        pieces = ((place, size),) if place else ()
        return (Stream(pieces, streams[0].container, by_ffmpeg=True),)
    return streams


def _some_streams_at(
    reader: ByteReader, place: int, size: int, duration: float | None
) -> Sequence[Stream]:
    """Return the streams of the file that begins at `place`, at most `MAX_STREAMS` + 1."""
    head = reader.at(place, _HEAD_BYTES)
    if head[:4] == b"fLaC":
        return flac_streams(reader, place, size)
    if head[:4] == b"OggS":
        return _ogg_streams(reader, place, size, duration)
    if riff.is_riff(head):
        return _riff_streams(reader, place, size)
    if head[:1] == b"\xff" and (mpeg.frame_length(head) or mpeg.adts_length(head)):
        return _mpeg_streams(reader, place, size, duration)
    return ()


def flac_streams(reader: ByteReader, start: int, size: int) -> Sequence[Stream]:
    """Return the stream of the FLAC file that begins at `start`.

    Files that follow are found after its decoding.
    """
    info = flac.stream_info(reader.at, start, size)
    if info is None:
        return ()
    pieces = ((start, size),) if start else ()
    stream = FlacStream(pieces, "flac", reader=reader, info=info, start=start, end=size)
    # not for further files, because all that follows is read, and there may be many
    is_small = start == 0 and size <= drflac.MAX_BYTES
    return (replace(stream, by_drflac=is_small and stream.is_regular),)


def _ogg_streams(
    reader: ByteReader, start: int, size: int, duration: float | None
) -> Sequence[Stream]:
    links = ogg.links(reader.at, start, size, duration, MAX_STREAMS + 1)
    if len(links) <= MAX_STREAMS:
        links = [link for link in links if link.codec]
    if len(links) == 1 and start == 0 and links[0].end == size:
        return (OggStream((), "ogg", link=links[0]),)
    return [OggStream(((link.start, link.end),), "ogg", link=link) for link in links]


def _riff_streams(reader: ByteReader, start: int, size: int) -> Sequence[Stream]:
    sizes = riff.sizes(reader.at, start, size)
    if sizes is None:
        return ()
    stream = RiffStream(by_ffmpeg=sizes.is_gsm, gain=sizes.gain, sizes=sizes)
    if sizes.fields:
        pieces: list[Piece] = []
        place = start
        for where, corrected in sizes.fields:
            pieces += [(place, where), corrected]
            place = where + len(corrected)
        pieces.append((place, sizes.end))
        return (replace(stream, pieces=tuple(pieces), original=((start, size),)),)
    # libsndfile may take bytes after the RIFF chunk for samples.
    has_more = sizes.end <= sizes.riff_end < size
    if start or has_more:
        return (replace(stream, pieces=((start, sizes.riff_end if has_more else size),)),)
    return (stream,)


def _mpeg_streams(
    reader: ByteReader, start: int, size: int, duration: float | None
) -> Sequence[Stream]:
    search_end = min(start + SEARCH_BYTES, size)
    begins = mpeg.begins_at(reader.at, start, size)
    if not begins and not mpeg.begins_before_damage(reader.at, start, search_end):
        return ()
    runs = mpeg.runs(reader.at, start, size, duration, MAX_STREAMS + 1)
    if not runs or not any(run.n_frames for run in runs):
        return ()
    if runs[0].is_adts:
        return [MpegStream(((r.start, r.end),), "aac", by_ffmpeg=True, run=r) for r in runs]
    streams = []
    for run in runs:
        pieces: tuple[Piece, ...] = ((run.start, run.end),)
        if len(runs) == 1 and start == tags.skip_id3(reader.at, 0, size):
            pieces = ()
        stream = MpegStream(pieces, "mp3", run=run)
        streams.append(stream.with_count() if run.missing_bytes else stream)
    return streams
