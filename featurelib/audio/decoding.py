"""Decoding of an audio source to blocks of samples, with facts about the decoding.

Files are untrusted. Memory use does not depend on sizes that a header claims. A block has a
bounded number of samples for any number of channels. Content that cannot be used always raises
`AudioError`. The choice of decoder depends on the content alone, not on the file name or the
kind of source.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from featurelib.audio import layout, tag_values
from featurelib.audio.drflac import DrFlacDecoder
from featurelib.audio.layout import Decoding, FlacStream, Result, Stream, Verdict
from featurelib.audio.libsndfile import LibsndfileDecoder, RefusedError
from featurelib.audio.pyav import FFmpegDecoder
from featurelib.audio.sources import ByteReader, FileReader, Source, View, open_source
from featurelib.errors import AudioError
from featurelib.parameters import SR_LIMITS

#: Samples per block, summed over channels.
BLOCK_SAMPLES = 65_536


class MoreAudioError(Exception):
    """The file holds more audio than was decoded; decode it again from the first block."""


#: Decoder of a whole stream; `FFmpegDecoder` gives packets.
_StreamDecoder = LibsndfileDecoder | DrFlacDecoder

#: Sampling rate [Hz] and samples of shape (n, channels).
Block = tuple[int, np.ndarray]
Blocks = Iterable[Block]


class DecodingFacts(NamedTuple):
    """Facts about the decoding of one file.

    Attributes
    ----------
    format, subtype : str
        Container and encoding of the first stream.
    header_duration_s : float or None
        Duration in the header of the first stream [s]; None if it is absent or impossible.
    decoder : str
        ``libsndfile``, ``dr_flac`` or ``ffmpeg``; joined by ``+`` if streams differ.
    decoding : {"whole", "damaged", "cut"}
        Whether all of the audio was decoded. See `featurelib.audio.layout.Verdict`.
    lost_s : float or None
        Duration that is missing between decoded parts [s]; None if unknown.
    n_streams : int
        Number of concatenated streams.
    """

    format: str
    subtype: str
    header_duration_s: float | None
    decoder: str
    decoding: Decoding
    lost_s: float | None
    n_streams: int


class AudioFile:
    """Open audio file, decoded from its beginning.

    Parameters
    ----------
    reader : ByteReader
        The file.
    size : int
        Size of the file [bytes].
    duration : float or None
        Duration to decode [s]; None for all.
    with_tags : bool
        Whether to read tags.
    """

    def __init__(
        self, reader: ByteReader, size: int, duration: float | None, *, with_tags: bool = False
    ) -> None:
        self._reader = reader
        self._tags: dict[str, str] | None = {} if with_tags else None
        self._size = size
        self._duration = duration
        self._streams = layout.lay_out(reader, size, duration)
        self._given: dict[int, int] = {}  # samples that libsndfile decoded of each stream
        self._reasons: list[str] = []
        self._verdicts: list[Verdict] = []
        self._decoders: list[str] = []
        self._n_streams = 0
        self._first: tuple[str, str, float | None] | None = None
        self._elapsed_s, self._sr, self._gave_up = 0.0, 0, False
        self._is_incomplete = False

    def blocks(self, block_samples: int = BLOCK_SAMPLES) -> Iterator[Block]:
        """Decode the samples.

        Parameters
        ----------
        block_samples : int
            Most samples per block, summed over channels. A block has at least one sample per
            channel.

        Yields
        ------
        sr : int
            Sampling rate [Hz]; it may differ between streams.
        block : np.ndarray [shape=(n, channels), dtype=float32]
            Samples. The next block reuses the memory.

        Raises
        ------
        MoreAudioError
            If a stream was not decoded to its end, but another attempt may reach it.
        AudioError
            If nothing can be decoded.
        OSError
            If the source cannot be read.
        """
        self._verdicts, self._decoders, self._n_streams = [], [], 0
        self._elapsed_s, self._sr, self._gave_up = 0.0, 0, False
        self._is_incomplete = False
        index = 0
        while index < len(self._streams):
            if self._sr and self._left(self._sr) == 0:
                break
            decoder = self._open(index)
            if decoder is not None:
                try:
                    yield from self._decode(index, decoder, block_samples)
                finally:
                    decoder.close()
            index += 1
        if self._is_incomplete:  # raised once at the end, not at each of many streams
            raise MoreAudioError
        if self._gave_up and not self._elapsed_s:
            reasons = "; ".join(dict.fromkeys(self._reasons))
            raise AudioError(
                "undecodable", f"no audio that libsndfile or FFmpeg can decode ({reasons})"
            )

    def facts(self) -> DecodingFacts:
        """Return the facts about the decoding; call it after the last block."""
        assert self._first is not None
        if len(self._verdicts) == 1:
            verdict, decoder = self._verdicts[0], self._decoders[0]
            form, subtype, claimed = self._first
            return DecodingFacts(
                *(form, subtype, claimed, decoder, verdict.decoding, verdict.lost_s),
                n_streams=self._n_streams,
            )
        decodings = [verdict.decoding for verdict in self._verdicts]
        lost = [verdict.lost_s for verdict in self._verdicts]
        decoding: Decoding = "whole"
        if "damaged" in decodings or "cut" in decodings[:-1]:
            decoding = "damaged"
        elif decodings[-1] == "cut":
            decoding = "cut"
        return DecodingFacts(
            *self._first,
            decoder="+".join(sorted(set(self._decoders), reverse=True)),
            decoding=decoding,
            lost_s=None if None in lost else sum(s for s in lost if s is not None),
            n_streams=self._n_streams,
        )

    def tags(self) -> dict[str, str]:
        """Return the tags of the file by name; call it after the last block.

        See `featurelib.audio.tag_values`. Empty unless the file was opened with tags.
        """
        if self._tags is not None:
            if len(self._tags) < len(tag_values.TAGS):
                self._add_tags(tag_values.from_file(self._reader.at, self._size))
            return dict(self._tags)
        return {}

    def _add_tags(self, found: Iterable[tuple[str, str]]) -> None:
        """Add tags to those found before, which are better."""
        assert self._tags is not None
        for name, text in found:
            if name not in self._tags and (cleaned := tag_values.clean(name, text)) is not None:
                self._tags[name] = cleaned

    def _left(self, sr: int) -> int | None:
        """Return the number of samples to decode at rate `sr`; None for all.

        The whole duration is rounded down to samples, as in librosa, not the remaining part.
        """
        if self._duration is None:
            return None
        return max(int(self._duration * sr) - round(self._elapsed_s * sr), 0)

    def _open(self, index: int) -> _StreamDecoder | FFmpegDecoder | None:
        """Open a decoder of a stream; return None if no decoder can read it."""
        while True:
            stream = self._streams[index]
            if isinstance(stream, FlacStream) and stream.by_drflac:
                left = self._left(stream.info.sr)
                if left is not None and left < stream.info.n_samples:
                    stream = self._streams[index] = stream.by_libsndfile()
            try:
                decoder = self._decoder(stream)
            except RefusedError as refused:
                self._reader.check()
                if isinstance(stream, FlacStream) and stream.by_drflac:
                    self._streams[index] = stream.by_libsndfile()
                    continue
                self._reader.check_content_is_to_blame()
                self._reasons.append(f"{'FFmpeg' if stream.by_ffmpeg else 'libsndfile'}: {refused}")
            else:
                self._reader.check()
                check_rate(decoder.sr)
                if self._tags is not None and index == 0:
                    self._add_tags(self._tags_of(stream, decoder))
                if self._first is None:
                    self._first = (decoder.format, decoder.subtype, self._claimed(stream, decoder))
                return decoder
            if not stream.by_ffmpeg:
                if type(stream) is Stream:
                    streams = layout.behind_junk(self._reader, self._size, self._duration)
                    self._streams[index : index + 1] = streams
                else:
                    self._streams[index] = replace(stream, by_ffmpeg=True)
            elif self._given.get(index):
                self._streams[index] = replace(stream, by_ffmpeg=False, last_resort=True)
            else:
                self._verdicts.append(self._give_up())
                return None

    def _decoder(self, stream: Stream) -> _StreamDecoder | FFmpegDecoder:
        if isinstance(stream, FlacStream) and stream.by_drflac:
            return DrFlacDecoder(self._reader.at(0, stream.end), stream.info)
        if stream.pieces:
            view = View(self._reader, stream.pieces)
            if stream.by_ffmpeg:
                return FFmpegDecoder(view, stream.container)
            return LibsndfileDecoder(view, view.size)
        self._reader.seek(0)
        if stream.by_ffmpeg:
            return FFmpegDecoder(self._reader, stream.container)
        file: int | io.RawIOBase = self._reader
        if isinstance(self._reader, FileReader):
            file = self._reader.fd
        return LibsndfileDecoder(file, self._size)

    def _claimed(self, stream: Stream, decoder: _StreamDecoder | FFmpegDecoder) -> float | None:
        n_samples = decoder.n_samples
        if stream.original is not None:
            view = View(self._reader, stream.original)
            try:
                original = LibsndfileDecoder(view, view.size)
            except RefusedError:
                return None
            n_samples = original.n_samples
            original.close()
        return None if n_samples is None else n_samples / decoder.sr

    def _decode(
        self, index: int, decoder: _StreamDecoder | FFmpegDecoder, block_samples: int
    ) -> Iterator[Block]:
        stream = self._streams[index]
        if not isinstance(decoder, FFmpegDecoder):
            self._n_streams += 1
            result = yield from self._by_libsndfile(decoder, stream, block_samples)
            if isinstance(decoder, DrFlacDecoder) and not decoder.is_complete:
                assert isinstance(stream, FlacStream)
                verdict = Verdict("whole", 0.0, stream.by_libsndfile())
                self._first = self._first if index else None
            else:
                self._given[index] = result.n_samples
                verdict = stream.verdict(result)
            if result.error and not result.n_samples and verdict.again is None:
                verdict = self._give_up(f"libsndfile: {result.error}")
        else:
            verdict = yield from self._by_ffmpeg(index, decoder, block_samples)
        self._streams[index] = verdict.again or verdict.shortened or stream
        if len(self._streams) + len(verdict.following) <= layout.MAX_STREAMS:
            self._streams[index + 1 : index + 1] = verdict.following
        else:
            verdict = replace(verdict, decoding="cut", lost_s=None)
        self._is_incomplete = self._is_incomplete or verdict.again is not None
        self._verdicts.append(verdict)
        self._decoders.append(decoder.name)

    def _tags_of(
        self, stream: Stream, decoder: _StreamDecoder | FFmpegDecoder
    ) -> Iterable[tuple[str, str]]:
        if not isinstance(decoder, DrFlacDecoder):
            return decoder.tags()
        assert isinstance(stream, FlacStream)
        view = View(self._reader, ((stream.start, stream.end),))
        try:
            reading_tags = LibsndfileDecoder(view, view.size)
        except RefusedError:
            return ()
        try:
            return list(reading_tags.tags())
        finally:
            reading_tags.close()

    def _by_libsndfile(
        self, decoder: _StreamDecoder, stream: Stream, block_samples: int
    ) -> Generator[Block, None, Result]:
        left = self._left(decoder.sr)
        block_frames = max(block_samples // decoder.channels, 1)
        if decoder.n_samples is not None:  # a small buffer is faster for short files
            block_frames = min(block_frames, decoder.n_samples + 1)
        buffer = np.empty((block_frames, decoder.channels), np.float32)
        n_samples, error, is_filled = 0, None, False
        while error is None and (left is None or left > n_samples):
            wanted = len(buffer) if left is None else min(left - n_samples, len(buffer))
            n, error = decoder.read(buffer[:wanted])
            if n:
                if stream.gain != 1.0:
                    buffer[:n] *= np.float32(stream.gain)
                is_filled = is_filled or stream.looks_filled(buffer[:n], n_samples)
                yield decoder.sr, buffer[:n]
            n_samples += n
            self._reader.check()
            if error is not None:
                self._reader.check_content_is_to_blame()
            elif n == 0:
                break
        self._elapsed_s += n_samples / decoder.sr
        self._sr = decoder.sr
        return Result(
            n_samples=n_samples,
            claimed=decoder.n_samples,
            error=error,
            position=decoder.position,
            enough=left is not None and n_samples >= left,
            sr=decoder.sr,
            is_filled=is_filled,
        )

    def _by_ffmpeg(
        self, index: int, decoder: FFmpegDecoder, block_samples: int
    ) -> Generator[Block, None, Verdict]:
        stream = self._streams[index]
        n_samples, enough, form = 0, False, None
        for sr, samples in decoder.blocks():
            self._reader.check()
            if stream.form not in (None, (sr, samples.shape[1])):
                continue  # junk that looks like a frame
            if form != (sr, samples.shape[1]):
                form = (check_rate(sr), samples.shape[1])
                self._n_streams += 1
            left = self._left(sr)
            if left is not None:
                enough = len(samples) >= left
                samples = samples[:left]
            step = max(block_samples // samples.shape[1], 1)
            for start in range(0, len(samples), step):
                yield sr, samples[start : start + step]
            n_samples += len(samples)
            self._elapsed_s += len(samples) / sr
            self._sr = sr
            if enough:
                break
        self._reader.check()
        # Gaps count as decoded, because libsndfile may fill them.
        n_passed = n_samples + round(decoder.gaps_s * decoder.sr)
        if n_passed < self._given.get(index, 0):
            again = replace(stream, by_ffmpeg=False, last_resort=True)
            return Verdict("damaged", None, again)
        if not n_samples and (decoder.cut or decoder.damaged or index in self._given):
            return self._give_up("FFmpeg: no packet that can be decoded")
        missing = 0 if enough else stream.n_missing(n_samples)
        if missing and (decoder.damaged or not decoder.cut):
            return Verdict("damaged", missing / decoder.sr)
        if decoder.damaged or stream.is_damaged:
            is_known = decoder.damaged and not enough
            return Verdict("damaged", decoder.lost_s if is_known else None)
        if not enough and (decoder.cut or stream.is_cut):
            return Verdict("cut", None)
        return layout.WHOLE

    def _give_up(self, *reasons: str) -> Verdict:
        """Skip a stream. If no other stream is decoded, the file is undecodable."""
        self._reasons += reasons
        self._gave_up = True
        return Verdict("cut", None)


@contextmanager
def open_audio(
    source: Source, duration: float | None = None, *, with_tags: bool = False
) -> Iterator[AudioFile]:
    """Open an audio file for decoding.

    Parameters
    ----------
    source : str, bytes, PathLike, memoryview, bytearray or binary file object
        See `featurelib.audio.sources.open_source`.
    duration : float, optional
        Duration to decode from the beginning [s].
    with_tags : bool
        Whether to read tags.

    Yields
    ------
    AudioFile

    Raises
    ------
    AudioError
        If the source is empty.
    OSError
        If the source cannot be opened or read.
    ParameterError
        If the source has an unknown type.
    """
    with open_source(source) as reader:
        size = reader.size()
        if size == 0:
            raise AudioError("empty", "no bytes")
        yield AudioFile(reader, size, duration, with_tags=with_tags)


def check_rate(sr: Any) -> int:
    """Return a sampling rate as an integer.

    Raises
    ------
    AudioError
        If the rate is outside `SR_LIMITS`. Resampling from 1 Hz would turn each sample into
        thousands.
    """
    low, high = SR_LIMITS
    if not low <= sr <= high:
        raise AudioError("undecodable", f"sampling rate of {sr} Hz, outside of {low} to {high} Hz")
    return int(sr)
