"""Structure of MPEG audio (MP1, MP2, MP3) and ADTS (AAC), from frame headers alone.

The header of a frame tells its length, so frames can be followed without decoding. This
finds the first frame after junk, the borders between joined streams, damage, and the number
of samples. The number in a Xing, Info or VBRI header may be wrong.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from featurelib.audio import tags
from featurelib.audio.tags import ReadAt

#: Fewest adjacent frames that count as a stream.
MIN_FRAMES = 3

#: Bytes that are read at once.
_CHUNK_BYTES = 2**20

#: Bytes that are read at first. In a file full of junk, runs of frames are short.
_FIRST_CHUNK_BYTES = 2**14

#: Upper bound for the size of a frame [bytes].
MAX_FRAME_BYTES = 16_384

_BITRATES = {  # kbit/s, by MPEG version (1, or 2 and 2.5) and layer
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}

#: Mask of the second and third byte of an MPEG header: version, layer and sampling rate.
_KIND = 0x1E0C

#: The same mask for ADTS: sync word, profile and sampling rate, without CRC and private bit.
_ADTS_KIND = 0xF6FC

#: Size of an ADTS header; an MPEG header has 4 bytes.
_HEADER_BYTES = 7

#: Delay of every MP3 decoder [samples], in addition to the encoder delay in a LAME header.
_DECODER_DELAY = 529


@dataclass(frozen=True)
class Info:
    """Content of a Xing, Info or VBRI header, which is a frame without audio.

    Attributes
    ----------
    n_frames : int or None
        Number of frames that follow.
    place : int or None
        Offset of that number in the file; None if it cannot be corrected (VBRI).
    delay, padding : int
        Samples that the encoder added before and after the signal; 0 if unknown.
    """

    n_frames: int | None
    place: int | None
    delay: int
    padding: int


@dataclass
class Run:
    """Consecutive frames of one kind, possibly with junk between them.

    Attributes
    ----------
    start, end : int
        Offsets of the first frame and of the end of the last one.
    sr, frame_samples : int
        Sampling rate [Hz] and samples per frame and channel.
    kind : tuple of int and bool
        Header bits that all frames share, and whether they are mono.
    header : bytes
        First bytes of the first frame.
    last : int
        Offset of the last frame.
    n_frames : int
        Number of complete frames with audio.
    info : Info or None
        Xing, Info or VBRI header of the run.
    damaged : bool
        Whether there is junk between frames.
    cut : bool
        Whether the last frame is incomplete.
    """

    start: int
    end: int
    sr: int
    frame_samples: int
    kind: tuple[int, bool]
    header: bytes
    last: int = 0
    n_frames: int = 0
    info: Info | None = None
    damaged: bool = False
    cut: bool = False

    @property
    def is_adts(self) -> bool:
        """Whether the frames are ADTS frames (AAC)."""
        return adts_length(self.header) > 0

    def is_about_a_frame(self, n_bytes: int) -> bool:
        """Return whether `n_bytes` is more than half the average size of a frame."""
        return self.n_frames > 0 and 2 * n_bytes * self.n_frames > self.end - self.start

    @property
    def missing_bytes(self) -> int:
        """Bytes by which the run is shorter than if all frames had the size of the first.

        Decoders guess the number of frames from the size of the first, if no header tells it.
        """
        if self.info is not None:
            return 0
        return max(self.n_frames * frame_length(self.header) - (self.end - self.start), 0)

    @property
    def n_samples(self) -> int:
        """Samples per channel that a decoder returns for the whole run."""
        n = self.n_frames * self.frame_samples
        if self.info is None or not (self.info.delay or self.info.padding):
            return n
        start = self.info.delay + _DECODER_DELAY
        if self.info.n_frames is not None and self.n_frames < self.info.n_frames:
            return max(n - start, 0)  # the padding is not reached
        return max(n - self.info.delay - self.info.padding, 0)


@functools.cache
def _mpeg_lengths() -> list[int]:
    """Return frame lengths [bytes] by the second and third byte of the header; 0 if invalid."""
    lengths = [0] * 65536
    for key in range(0xE000, 0x10000):
        version, layer, rate = key >> 11 & 3, 4 - (key >> 9 & 3), key >> 2 & 3
        bitrate, padding = key >> 4 & 15, key >> 1 & 1
        if version == 1 or layer == 4 or rate == 3 or bitrate in (0, 15):
            continue
        bits = 1000 * _BITRATES[1 if version == 3 else 2, layer][bitrate - 1]
        sr = _RATES[version][rate]
        if layer == 1:
            lengths[key] = (12 * bits // sr + padding) * 4
        else:
            lengths[key] = _frame_samples(version, layer) // 8 * bits // sr + padding
    return lengths


@functools.cache
def _length_array() -> np.ndarray:
    return np.array(_mpeg_lengths(), np.int32)


@functools.cache
def _lengths_of(kind: int) -> dict[bytes, int]:
    """Return frame lengths [bytes] of one kind by the first three bytes of the header."""
    return {
        bytes((0xFF, key >> 8, key & 0xFF)): length
        for key, length in enumerate(_mpeg_lengths())
        if length and key & _KIND == kind
    }


def _frame_samples(version: int, layer: int) -> int:
    if layer == 1:
        return 384
    return 1152 if layer == 2 or version == 3 else 576


def frame_length(header: bytes) -> int:
    """Return the length [bytes] of an MPEG frame from its 4-byte header; 0 if invalid."""
    if len(header) < 4 or header[0] != 0xFF:
        return 0
    return _mpeg_lengths()[header[1] << 8 | header[2]]


def adts_length(header: bytes) -> int:
    """Return the length [bytes] of an ADTS frame from its 7-byte header; 0 if invalid."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length >= 7 and header[2] >> 2 & 15 < 13 else 0


def _kind(data: bytes, place: int) -> tuple[int, bool]:
    key = data[place + 1] << 8 | data[place + 2]
    if adts_length(data[place : place + 7]):
        return key & _ADTS_KIND, False
    return key & _KIND, data[place + 3] >= 0xC0


def is_stream(data: bytes, place: int, n_frames: int = MIN_FRAMES) -> bool:
    """Return whether `n_frames` adjacent frames of one kind begin at `place`."""
    measure, n_header = (frame_length, 4)
    if adts_length(data[place : place + 7]):
        measure, n_header = (adts_length, 7)
    kind = None
    for _ in range(n_frames):
        length = measure(data[place : place + n_header])
        if not length or (kind is not None and _kind(data, place) != kind):
            return False
        kind = _kind(data, place)
        place += length
    return True


def find_stream(read_at: ReadAt, place: int, end: int) -> int | None:
    """Return the offset of the first stream at or after `place`; None if there is none."""
    step = _FIRST_CHUNK_BYTES
    while place < end:
        data = read_at(place, min(step + MIN_FRAMES * MAX_FRAME_BYTES, end - place))
        for start in _likely_starts(data, step):
            if is_stream(data, start):
                return place + start
        if len(data) <= step:
            return None
        place += step
        step = min(step * 4, _CHUNK_BYTES)
    return None


def _likely_starts(data: bytes, stop: int) -> list[int]:
    """Return the indices before `stop` at which `MIN_FRAMES` adjacent headers begin.

    The headers may be of different kinds. The search is fast even if every byte looks like
    a header.
    """
    raw = np.frombuffer(data + bytes(_HEADER_BYTES), np.uint8)
    starts = np.flatnonzero(raw[: min(stop, len(data))] == 0xFF)
    places = starts
    for _ in range(MIN_FRAMES):
        lengths = _lengths_at(raw, places)
        starts, places = starts[lengths > 0], (places + lengths)[lengths > 0]
        places = np.minimum(places, len(data))  # at the padding zeros
    return [int(start) for start in starts]


def _lengths_at(raw: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the lengths [bytes] of the MPEG or ADTS frames at `places`; 0 if there is none."""
    sync, first, second, third, fourth, fifth = (
        raw[places + i].astype(np.int32) for i in range(_HEADER_BYTES - 1)
    )
    mpeg = _length_array()[first << 8 | second]
    adts = (third & 3) << 11 | fourth << 3 | fifth >> 5
    adts = np.where((adts >= _HEADER_BYTES) & (second >> 2 & 15 < 13), adts, 0)
    return np.where(sync == 0xFF, np.where(first & 0xF6 == 0xF0, adts, mpeg), 0)


def begins_at(read_at: ReadAt, place: int, end: int) -> bool:
    """Return whether a stream begins at `place`, or frames that fill the rest of the file."""
    data = read_at(place, min(MIN_FRAMES * MAX_FRAME_BYTES, end - place))
    if is_stream(data, 0):
        return True
    if not is_stream(data, 0, 1):
        return False
    n_bytes = 0
    while is_stream(data, n_bytes, 1):
        n_bytes += _length(data[n_bytes : n_bytes + _HEADER_BYTES])
    return place + n_bytes >= tags.audio_end(read_at, place + n_bytes, end)


def begins_before_damage(read_at: ReadAt, place: int, end: int) -> bool:
    """Return whether a frame is at `place` and a stream of its kind begins later."""
    frame = read_at(place, MAX_FRAME_BYTES)
    following = find_stream(read_at, place + 1, end) if is_stream(frame, 0, 1) else None
    return following is not None and _kind(read_at(following, 7), 0) == _kind(frame, 0)


def runs(
    read_at: ReadAt, start: int, end: int, duration: float | None = None, most: int = sys.maxsize
) -> list[Run]:
    """Follow the frames of a file.

    Parameters
    ----------
    read_at : callable
        Function that takes an offset and a size and returns the bytes.
    start, end : int
        Offset of the first frame, and the end of the file.
    duration : float or None
        Stop after this duration [s].
    most : int
        Stop after this number of runs.

    Returns
    -------
    list of Run
        Runs that can be decoded separately. A new run begins when the kind of frames
        changes, after a tag, and at a Xing, Info or VBRI header.
    """
    found: list[Run] = []
    seconds = 0.0
    for run in _walk(read_at, start, end, duration):
        found.append(run)
        seconds += run.n_frames * run.frame_samples / run.sr
        if len(found) >= most or (duration is not None and seconds > duration):
            break
    return found


def _walk(read_at: ReadAt, start: int, end: int, duration: float | None) -> Iterator[Run]:
    run: Run | None = None
    place = start
    border = True
    while True:
        step = _follow(read_at, place, end, run, border, duration)
        if step is None:
            break
        if step is not run:
            if run is not None:
                yield run
            run = step
        place, border = run.end, True
        if place >= end or run.cut or (duration is not None and _seconds(run) > duration):
            break
        behind = tags.skip(read_at, place, end)
        head = read_at(behind, _HEADER_BYTES)
        if is_stream(head, 0, 1):
            rest = read_at(behind, MIN_FRAMES * MAX_FRAME_BYTES)
            is_header = _read_info(rest, 0, behind) is not None
            if behind > place or is_header or is_stream(rest, 0):
                place = behind
                continue
        # The next stream may begin inside the last frame, if that is incomplete.
        following = find_stream(read_at, behind if behind > place else run.last + 1, end)
        if following is None:
            n_rest = tags.audio_end(read_at, behind, end) - behind
            run.cut = _length(head) > end - behind or run.is_about_a_frame(n_rest)
            break
        if following < run.end:
            run.n_frames, run.end, run.damaged = run.n_frames - 1, following, True
        rest = read_at(following, MAX_FRAME_BYTES)
        # The header of another file: the bytes before it are tags of some kind.
        border = behind > place or _read_info(rest, 0, following) is not None
        place = following
    if run is not None:
        yield run


def _seconds(run: Run) -> float:
    # Decoders remove the encoder's delay and padding, so some frames more are needed.
    return (run.n_frames - 6) * run.frame_samples / run.sr


def _length(header: bytes) -> int:
    return frame_length(header) or adts_length(header)


def _follow(
    read_at: ReadAt, place: int, end: int, run: Run | None, border: bool, duration: float | None
) -> Run | None:
    """Follow frames of one kind from `place`; extend `run`, or start a new run at a border."""
    data = read_at(place, min(_FIRST_CHUNK_BYTES, end - place))
    if not is_stream(data, 0, 1):
        return None
    kind = _kind(data, 0)
    info = _read_info(data, 0, place)
    if run is None or border or run.kind != kind:
        run = _new_run(data, place, kind)
    else:
        run.damaged = True
    if adts_length(data[:7]):
        _follow_adts(read_at, data, place, end, run, duration)
        return run
    length_of = _lengths_of(kind[0]).get
    i, last, n = 0, 0, run.n_frames
    if info is not None:
        run.info = info
        n -= 1
    mono = kind[1]
    tag_at = _info_offset(data, 0)
    while True:
        stop = len(data) - 40
        while i < stop:
            length = length_of(data[i : i + 3])
            if length is None or (data[i + 3] >= 0xC0) != mono:
                break
            mark = data[i + tag_at]
            if (mark == 0x49 or mark == 0x58) and i and _read_info(data, i, place) is not None:
                break
            last = i
            i += length
            n += 1
        run.n_frames, run.last = n, place + last
        at_end = place + len(data) >= end
        if i >= stop and not at_end and not (duration is not None and _seconds(run) > duration):
            place, i, last = place + i, 0, last - i
            data = read_at(place, min(_CHUNK_BYTES, end - place))
            if len(data) > 40:
                continue
        break
    # The last frame may be shorter than the bytes that the loop above reads.
    while i < len(data) and data[i : i + 1] == b"\xff" and len(data) - i <= 40:
        length = frame_length(data[i : i + 4])
        if not length or _kind(data, i) != kind:
            break
        run.last = place + i
        i += length
        n += 1
    if place + i > end:
        n -= 1
        run.cut = True
    run.n_frames, run.end = n, min(place + i, end)
    return run


def _follow_adts(
    read_at: ReadAt, data: bytes, place: int, end: int, run: Run, duration: float | None
) -> None:
    i = 0
    while True:
        length = adts_length(data[i : i + 7])
        if length and _kind(data, i) == run.kind:
            if place + i + length > end:
                run.cut = True
                i = end - place
                break
            run.last = place + i
            i += length
            run.n_frames += 1
        elif i and len(data) - i < 7 and place + len(data) < end:
            if duration is not None and _seconds(run) > duration:
                break
            place, i = place + i, 0
            data = read_at(place, min(_CHUNK_BYTES, end - place))
        else:
            break
    run.end = place + i


def _new_run(data: bytes, place: int, kind: tuple[int, bool]) -> Run:
    if adts_length(data[:7]):
        rates = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000)
        sr = (*rates, 12_000, 11_025, 8_000, 7_350)[data[2] >> 2 & 15]
        return Run(place, place, sr, 1024, kind, data[:7])
    version, layer = data[1] >> 3 & 3, 4 - (data[1] >> 1 & 3)
    sr = _RATES[version][data[2] >> 2 & 3]
    return Run(place, place, sr, _frame_samples(version, layer), kind, data[:7])


def _info_offset(data: bytes, place: int) -> int:
    """Return the index of a Xing or Info tag in a frame, after header and side information."""
    mono = data[place + 3] >= 0xC0
    if data[place + 1] >> 3 & 3 == 3:
        return 21 if mono else 36
    return 13 if mono else 21


def _read_info(data: bytes, place: int, base: int) -> Info | None:
    """Read the Xing, Info or VBRI header in the frame at `place`.

    `base` is the offset of `data` in the file.
    """
    if place + 4 > len(data) or not frame_length(data[place : place + 4]):
        return None
    if data[place + 36 : place + 40] == b"VBRI":
        return Info(int.from_bytes(data[place + 50 : place + 54], "big"), None, 0, 0)
    at = place + _info_offset(data, place)
    if data[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(data[at + 4 : at + 8], "big")
    n_frames: int | None = None
    where: int | None = None
    if flags & 1:
        n_frames, where = int.from_bytes(data[at + 8 : at + 12], "big"), base + at + 8
    sizes = (4, 4, 100, 4)
    lame = at + 8 + sum(size for bit, size in enumerate(sizes) if flags >> bit & 1)
    delays = int.from_bytes(data[lame + 21 : lame + 24], "big")
    if not any(data[lame : lame + 9]):
        delays = 0
    return Info(n_frames, where, delays >> 12, delays & 0xFFF)
