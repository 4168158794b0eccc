"""FLAC structure: STREAMINFO and frame headers, found by their checksums."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from featurelib.audio.tags import ReadAt

_MARK = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_MARK_START = b"fLaC"
_SYNC = re.compile(rb"\xff[\xf8\xf9]")

_STREAMINFO_AT = 8  # after the marker and the block header
_TOTAL_AT = _STREAMINFO_AT + 13

_RATES = (
    *(0, 88_200, 176_400, 192_000, 8_000, 16_000),
    *(22_050, 24_000, 32_000, 44_100, 48_000, 96_000),
)
_DEPTHS = (0, 8, 12, -1, 16, 20, 24, 32)
#: Upper bound for the bytes of a frame header, and of the marker that begins a file.
MAX_HEADER_BYTES = 16


def _crc8_table() -> bytes:
    table = bytearray()
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ (0x107 if value & 0x80 else 0)) & 0x1FF
        table.append(value & 0xFF)
    return bytes(table)


_CRC8 = _crc8_table()


@dataclass(frozen=True)
class StreamInfo:
    """STREAMINFO of a FLAC file.

    Attributes
    ----------
    block : int
        Samples per frame, if all frames but the last have equal size.
    max_frame_bytes : int
        Size of the largest frame [bytes]; 0 if unknown.
    sr, channels, depth : int
        Sampling rate [Hz], number of channels, bits per sample.
    n_samples : int
        Samples per channel; 0 if unknown.
    audio : int
        Offset of the first frame.
    """

    block: int
    max_frame_bytes: int
    sr: int
    channels: int
    depth: int
    n_samples: int
    audio: int


@dataclass(frozen=True)
class FrameHeader:
    """Header of a frame.

    Attributes
    ----------
    place : int
        Offset of the frame in the file.
    first_sample : int
        Number of the first sample.
    n_samples : int
        Samples per channel.
    sr, channels, depth : int
        Sampling rate [Hz], number of channels, bits per sample.
    """

    place: int
    first_sample: int
    n_samples: int
    sr: int
    channels: int
    depth: int

    @property
    def end_sample(self) -> int:
        """Number of the first sample after the frame."""
        return self.first_sample + self.n_samples

    def fits_behind(self, other: FrameHeader) -> bool:
        """Return whether this frame has the format of `other` and follows it.

        Numbers may count frames or samples.
        """
        same = (self.sr, self.channels, self.depth) == (other.sr, other.channels, other.depth)
        step = self.first_sample - other.first_sample
        return same and step in (1, other.n_samples)

    def fits(self, info: StreamInfo) -> bool:
        """Return whether the frame has the format that STREAMINFO declares."""
        return (self.sr, self.channels, self.depth) == (info.sr, info.channels, info.depth)


def stream_info(read_at: ReadAt, start: int, end: int) -> StreamInfo | None:
    """Read the STREAMINFO of the file that begins at `start`; return None if it has none."""
    head = read_at(start, 42)
    if len(head) < 42 or not _MARK.match(head):
        return None
    body = head[_STREAMINFO_AT:]
    bits = int.from_bytes(body[10:18], "big")
    place, last = start + 4, False
    while not last and place + 4 <= end:
        block = read_at(place, 4)
        last = bool(block[0] & 0x80)
        place += 4 + int.from_bytes(block[1:4], "big")
    info = StreamInfo(
        block=int.from_bytes(body[2:4], "big"),
        max_frame_bytes=int.from_bytes(body[7:10], "big"),
        sr=bits >> 44,
        channels=(bits >> 41 & 7) + 1,
        depth=(bits >> 36 & 31) + 1,
        n_samples=bits & (1 << 36) - 1,
        audio=place,
    )
    first = first_header(read_at, info)  # more reliable than STREAMINFO
    return replace(info, block=first.n_samples) if first else info


def next_file(read_at: ReadAt, start: int, end: int) -> int | None:
    """Return the offset where another FLAC file begins; None if there is none."""
    step = 2**17  # small at first, because there may be many small files
    while start < end:
        data = read_at(start, min(step, end - start))
        mark = next_mark(data, 0, len(data))
        if mark is not None:
            return start + mark
        if len(data) < step:
            break
        start += step - 8
        step = 2**20
    return None


def next_mark(data: bytes, start: int, end: int) -> int | None:
    """Return where in data[start:end] a FLAC file begins; None if none begins there."""
    place = data.find(_MARK_START, start, end)  # ten times as fast as the regular expression
    while place >= 0:
        if _MARK.match(data, place, end):
            return place
        place = data.find(_MARK_START, place + 1, end)
    return None


def last_header(read_at: ReadAt, start: int, end: int, info: StreamInfo) -> FrameHeader | None:
    """Return the last frame header with a valid checksum; None if there is none."""
    step = 4 * max(info.max_frame_bytes, 4096)
    stop = end
    while stop > start:
        begin = max(stop - step, start)
        data = read_at(begin, min(stop + MAX_HEADER_BYTES, end) - begin)
        for match in reversed(list(_SYNC.finditer(data, 0, stop - begin + 1))):
            if header := _header(data, match.start(), begin, info):
                return header
        stop = begin
    return None


def find_frames(read_at: ReadAt, start: int, end: int) -> int | None:
    """Return the offset of the first frame that another one follows; None if there is none."""
    info = StreamInfo(1, 0, 0, 0, 0, 0, start)
    data = read_at(start, end - start)
    before: FrameHeader | None = None
    for match in _SYNC.finditer(data):
        header = _header(data, match.start(), start, info)
        if header is None:
            continue
        if before is not None and header.fits_behind(before):
            return before.place
        before = header
    return None


def lacks_frames(read_at: ReadAt, start: int, end: int, info: StreamInfo) -> bool:
    """Return whether frames are missing between the offsets `start` and `end`.

    Works for frames of equal size only; the numbers of other frames are unpredictable.
    """
    step = 2**20
    found: set[int] = set()
    for begin in range(start, end, step):
        data = read_at(begin, min(step + MAX_HEADER_BYTES, end - begin))
        for match in _SYNC.finditer(data, 0, min(step + 1, len(data))):
            header = _header(data, match.start(), begin, info)
            if header is not None and header.fits(info):
                found.add(header.first_sample)
    first = first_header(read_at, info)
    if first is None or not found:
        return False
    last = last_header(read_at, start, end, info)
    stop = last.first_sample if last is not None else max(found)
    return any(number not in found for number in range(first.first_sample, stop, info.block))


def first_header(read_at: ReadAt, info: StreamInfo) -> FrameHeader | None:
    """Return the header of the first frame; None if it is not at its expected offset."""
    return _header(read_at(info.audio, MAX_HEADER_BYTES), 0, info.audio, info)


def end_of_file(data: bytes, info: StreamInfo) -> int | None:
    """Return where a FLAC file ends: with the data, or where another FLAC file begins.

    Parameters
    ----------
    data : bytes
        A FLAC file, and what follows it.
    info : StreamInfo
        Its STREAMINFO.

    Returns
    -------
    int or None
        None if the headers of the frames do not follow each other, from the first to the last
        sample that STREAMINFO claims.
    """
    # Only headers with this byte belong to frames that decoders accept in this file.
    channel_codes = (1, 8, 9, 10) if info.channels == 2 else (info.channels - 1,)
    depth_codes = (0, _DEPTHS.index(info.depth))
    codes = bytes(c << 4 | d << 1 for c in channel_codes for d in depth_codes)
    sync = re.compile(rb"\xff[\xf8\xf9].[" + re.escape(codes) + b"]", re.DOTALL)
    n_samples, end = 0, None
    for match in sync.finditer(data, info.audio):
        place = match.start()
        if end is not None and place >= end:
            break
        header = _header(data[place : place + MAX_HEADER_BYTES], 0, 0, info)
        if header is None:
            continue
        if header.first_sample != n_samples or not header.fits(info):
            return None
        n_samples = header.end_sample
        if n_samples > info.n_samples:
            return None
        if n_samples == info.n_samples:  # another file can only follow now
            end = next_mark(data, place, len(data)) or len(data)
    return end


def with_total(n_samples: int, streaminfo: bytes) -> bytes:
    """Return the five bytes of STREAMINFO at `total_place`, with another number of samples."""
    return bytes([streaminfo[0] & 0xF0 | n_samples >> 32 & 15]) + (n_samples & 0xFFFFFFFF).to_bytes(
        4, "big"
    )


def total_place(start: int) -> int:
    """Return the offset of the bytes that hold the number of samples."""
    return start + _TOTAL_AT


def _header(data: bytes, i: int, base: int, info: StreamInfo) -> FrameHeader | None:
    head = data[i : i + MAX_HEADER_BYTES]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    block_code, rate_code = head[2] >> 4, head[2] & 15
    channel_code, depth_code = head[3] >> 4, head[3] >> 1 & 7
    if not block_code or rate_code == 15 or channel_code > 10 or depth_code == 3 or head[3] & 1:
        return None
    number, n = _number(head[4:])
    if number is None:
        return None
    at = 4 + n
    if block_code in (6, 7):
        width = block_code - 5
        n_samples = int.from_bytes(head[at : at + width], "big") + 1
        at += width
    elif block_code == 1:
        n_samples = 192
    else:
        n_samples = 576 << block_code - 2 if block_code < 6 else 256 << block_code - 8
    if rate_code < len(_RATES):
        sr = _RATES[rate_code]
    else:
        width, scale = {12: (1, 1000), 13: (2, 1), 14: (2, 10)}[rate_code]
        sr = int.from_bytes(head[at : at + width], "big") * scale
        at += width
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    variable = head[1] & 1
    return FrameHeader(
        place=base + i,
        first_sample=number if variable else number * info.block,
        n_samples=n_samples,
        sr=sr or info.sr,
        channels=channel_code + 1 if channel_code < 8 else 2,
        depth=_DEPTHS[depth_code] or info.depth,
    )


def _number(data: bytes) -> tuple[int | None, int]:
    """Decode a number of up to 36 bits in UTF-8 coding; return it and its length in bytes."""
    first = data[0]
    if first < 0x80:
        return first, 1
    n = 8 - (first ^ 0xFF).bit_length()
    if n < 2 or n > 7 or len(data) < n:
        return None, 0
    value = first & (0x7F >> n)
    for byte in data[1:n]:
        if byte & 0xC0 != 0x80:
            return None, 0
        value = value << 6 | byte & 0x3F
    return value, n


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc
