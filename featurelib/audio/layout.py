"""Which stretches of a file hold audio, and whether a decoder came to the end of each.

That is told by the structure of the file: sizes, frame headers, page headers. Decoders
themselves stop at the end of what a header says, or at the first damage, without a word.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from featurelib.audio import flac, mpeg, ogg, riff, tags
from featurelib.audio.sources import ByteReader, Piece

Decoding = Literal["whole", "damaged", "cut"]

#: Junk before the first frame may be as long as this.
SEARCH_BYTES = 2**20

#: In it, what looks like the beginning of a file may be found so often.
_MAX_STARTS = 100

#: More streams than this in one file are left to FFmpeg.
MAX_STREAMS = 1000

_HEAD_BYTES = 64

#: Samples by which a Vorbis or Opus stream may be shorter than its granule positions say.
_OGG_SLACK = 16_384

#: Decoders of FLAC read ahead by less than this.
_READ_AHEAD_BYTES = 2**16

_TAG_STARTS = (b"ID3", b"APE", b"TAG", b"LYR")

_STARTS = re.compile(
    rb"fLaC[\x00\x80]\x00\x00\x22|OggS\x00\x02|RIFF....WAVE|RF64....WAVE|FORM....AIF[FC]",
    re.DOTALL,
)

#: How files begin that FFmpeg reads and libsndfile does not; there is no junk before it.
_OF_FFMPEG = re.compile(
    rb"....(ftyp|moov|mdat|wide|free|skip)|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\x1a\x45\xdf\xa3"
    rb"|wvpk|MAC |MP\+|MPCK|TTA[12]|tBaK|#!AMR|\x0b\x77|DSD |FRM8|ajkg|FLV\x01|\.RMF|\x56\xe0"
    rb"|\x7f\xfe\x80\x01|\x00\x00\x01\xba|RIFF....(AVI |XWMA)|G.{187}G|\xf8\x72\x6f",
    re.DOTALL,
)


@dataclass(frozen=True)
class Verdict:
    """What became of a stream.

    Attributes
    ----------
    decoding : {"whole", "damaged", "cut"}
        ``damaged``: something before the last good frame was skipped. ``cut``: the stream
        ends early, or the rest could not be read.
    lost_s : float or None
        Seconds that are missing within; None where that cannot be known.
    again : Stream, optional
        Decode this instead: there is more than the decoder gave.
    following : sequence of Stream
        Streams behind this one, found only now.
    shortened : Stream, optional
        This one without those; given with them.
    """

    decoding: Decoding
    lost_s: float | None
    again: Stream | None = None
    following: Sequence[Stream] = ()
    shortened: Stream | None = None


#: What becomes of most streams.
WHOLE = Verdict("whole", 0.0)


class Result(NamedTuple):
    """What a decoder gave of a stream.

    Attributes
    ----------
    n_samples : int
        Samples per channel.
    claimed : int or None
        What the decoder took from the header beforehand.
    error : str or None
        What ended the decoding before the end.
    position : int
        Where in the stream's bytes the decoder had read to.
    enough : bool
        Whether that is all that was asked for, with perhaps more behind it.
    sr : int
        Sampling rate [Hz].
    is_filled : bool
        Whether samples may be made up: see `Stream.looks_filled`.
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
    """A stretch of a file that is decoded as a file of its own.

    Attributes
    ----------
    pieces : tuple of Piece
        Its bytes; empty for the whole file as it is.
    container : str or None
        FFmpeg's name for its format; None to be found by its content.
    by_ffmpeg : bool
        Decode it with FFmpeg, not libsndfile.
    last_resort : bool
        Take what libsndfile gives; FFmpeg gives less.
    original : tuple of Piece or None
        The bytes before the header was corrected; None where nothing was.
    gain : float
        What its samples are multiplied by.
    """

    pieces: tuple[Piece, ...] = ()
    container: str | None = None
    by_ffmpeg: bool = False
    last_resort: bool = False
    original: tuple[Piece, ...] | None = None
    gain: float = 1.0

    @property
    def form(self) -> tuple[int, int] | None:
        """Rate and channels of all of it; None where that is the decoder's to tell."""
        return None

    @property
    def is_damaged(self) -> bool:
        """Whether its structure shows damage."""
        return False

    @property
    def is_cut(self) -> bool:
        """Whether its structure shows that it ends early."""
        return False

    def n_missing(self, n_samples: int) -> int:
        """Samples that its structure has beyond those that FFmpeg gave of it; 0 if unknown."""
        return 0

    def looks_filled(self, block: np.ndarray, position: int) -> bool:
        """Whether libsndfile may have made up samples of a block, in place of lost ones.

        Parameters
        ----------
        block : np.ndarray [shape=(n, channels)]
        position : int
            Number of its first sample in the stream.
        """
        return False

    def verdict(self, result: Result) -> Verdict:
        """Judge what libsndfile gave of it."""
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
    """A WAV, RF64, W64 or AIFF file."""

    sizes: riff.Sizes = field(default=riff.Sizes(0, 0), kw_only=True)

    @property
    def is_cut(self) -> bool:
        return self.sizes.cut


_PLAIN_WAV = RiffStream()


@dataclass(frozen=True)
class MpegStream(Stream):
    """A run of MPEG or ADTS frames."""

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
        """The stream so that libsndfile takes it for as long as it is.

        It reads no further than a header says or, without one, than it guesses from the
        size of the file and of the first frame. Then the file is made to seem longer. Its
        last bytes, where libsndfile looks for a tag, have to be there.
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
    """A link of an Ogg file."""

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
    """A FLAC file, whose end is found when it was decoded."""

    reader: ByteReader = field(kw_only=True)
    info: flac.StreamInfo = field(kw_only=True)
    start: int = field(kw_only=True)
    end: int = field(kw_only=True)

    def verdict(self, result: Result) -> Verdict:
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

    def looks_filled(self, block: np.ndarray, position: int) -> bool:
        # libFLAC puts up to six frames of zeros where frames are missing
        size = self.info.block
        begins = range(-position % size, len(block), size)
        return any(not block[i].any() and not block[i : i + size].any() for i in begins)

    def _lacks_frames(self, result: Result) -> bool:
        end = min(self.start + result.position, self.end)
        if border := flac.next_file(self.reader.at, self.info.audio, end):
            end = border
        return flac.lacks_frames(self.reader.at, self.info.audio, end, self.info)

    def n_missing(self, n_samples: int) -> int:
        # FFmpeg takes what is around damage for one packet, and leaves frames out
        header = flac.last_header(self.reader.at, self.info.audio, self.end, self.info)
        if header is None or not header.fits(self.info):
            return 0
        first = flac.first_header(self.reader.at, self.info)
        before = first.first_sample if first else 0
        return max(header.end_sample - before - n_samples, 0)

    def _verdict(self, result: Result) -> Verdict:
        """Judge by the last frame of the file."""
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
        """The stream with the right number of samples in its header."""
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
        Its length in bytes.
    duration : float or None
        Seconds that are wanted; what lies behind is not looked at.
    """
    head = reader.at(0, _HEAD_BYTES)
    if riff.is_plain(head, size):
        return [_PLAIN_WAV]
    place = tags.skip(reader.at, 0, size) if head[:3] in _TAG_STARTS else 0
    streams = list(_streams_at(reader, place, size, duration))
    # libsndfile skips tags as well, but loses samples then, more or fewer by kind of source.
    return streams or [Stream(((place, size),) if place < size and place else ())]


def behind_junk(reader: ByteReader, size: int, duration: float | None) -> list[Stream]:
    """Find the streams of a file that begins with something that no decoder knows."""
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
    """Places where a file may begin."""
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
    """The streams of the file that begins at `place`, but no more than one more than allowed."""
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
    """The FLAC file that begins at `start`; those behind it are found later."""
    info = flac.stream_info(reader.at, start, size)
    if info is None:
        return ()
    pieces = ((start, size),) if start else ()
    return (FlacStream(pieces, "flac", reader=reader, info=info, start=start, end=size),)


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
    has_more = sizes.end <= sizes.riff_end < size  # which libsndfile may take for samples
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
