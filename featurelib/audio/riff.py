"""Structure of RIFF, RF64, W64, AIFF, CAF and AU files: the true size of their samples.

The size in a header is wrong if the recorder was interrupted, or wrote to a pipe and could not
return to the header. The check compares sizes only. It does not read the content of chunks
after the samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from featurelib.audio import tags
from featurelib.audio.tags import ReadAt

_HEAD_BYTES = 4096
_MAX_CHUNKS = 1000

#: From this size on, a size larger than the file means "unknown".
_UNKNOWN = 0x7FFF_0000
_ALL_ONES = 0xFFFF_FFFF

_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")

_PCM, _FLOAT, _GSM, _EXTENSIBLE = 1, 3, 0x31, 0xFFFE

#: Samples that are read to find how 24-bit samples are stored in 4 bytes.
_LOOKED_AT = 65_536


@dataclass(frozen=True)
class Sizes:
    """Position of the samples in a file, and corrections of its header.

    Attributes
    ----------
    data, end : int
        Offsets of the first sample and of the end of the samples.
    fields : tuple of (int, bytes)
        Corrections of the header: offset and new bytes. Empty if the header is right.
    cut : bool
        Whether the file ends before its samples, or has other data after them.
    riff_end : int
        End of the file by the size of its outer chunk.
    gain : float
        Factor for the decoded samples.
    is_gsm : bool
        Whether the encoding is GSM 06.10. libsndfile invents samples at the end of its last
        block.
    """

    data: int
    end: int
    fields: tuple[tuple[int, bytes], ...] = ()
    cut: bool = False
    riff_end: int = 0
    gain: float = 1.0
    is_gsm: bool = False


@dataclass(frozen=True)
class _Form:
    """Chunk format of a family of files."""

    order: Literal["little", "big"]
    id_bytes: int = 4
    size_bytes: int = 4
    align: int = 2
    #: Whether the size of a chunk includes its header.
    counts_header: bool = False
    #: Whether one chunk with a size contains all others.
    has_outer_size: bool = True

    @property
    def header_bytes(self) -> int:
        return self.id_bytes + self.size_bytes

    def size_of(self, header: bytes) -> int:
        size = int.from_bytes(header[self.id_bytes : self.header_bytes], self.order)
        return max(size - self.header_bytes, 0) if self.counts_header else size

    def write(self, size: int) -> bytes:
        size += self.header_bytes if self.counts_header else 0
        return min(size, 256**self.size_bytes - 1).to_bytes(self.size_bytes, self.order)

    def padded(self, place: int, start: int) -> int:
        return place + (start - place) % self.align


_FORMS = {
    b"RIFF": _Form("little"),
    b"RIFX": _Form("big"),
    b"RF64": _Form("little"),
    b"BW64": _Form("little"),
    b"FORM": _Form("big"),
    b"riff": _Form("little", 16, 8, 8, counts_header=True),
    b"caff": _Form("big", 4, 8, 1, has_outer_size=False),
}

_AU = {b".snd": "big", b"dns.": "little"}
_AU_HEADER_BYTES = 24


def is_riff(head: bytes) -> bool:
    """Return whether the first bytes (16 or more) belong to a file that `sizes` reads."""
    magic, kind = head[:4], head[8:12]
    if magic in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return kind == b"WAVE"
    if magic == b"FORM":
        return kind in (b"AIFF", b"AIFC")
    return head[:4] == b"caff" or head[:4] in _AU or head[:16] == _W64_RIFF


def is_plain(head: bytes, end: int) -> bool:
    """Return whether a file of `end` bytes is a WAV file without anything to correct.

    Most WAV files are: a header of 44 bytes, then samples up to the end.
    """
    if head[:4] != b"RIFF" or head[8:20] != b"WAVEfmt \x10\0\0\0" or head[36:40] != b"data":
        return False
    size = int.from_bytes(head[40:44], "little")
    encoding = int.from_bytes(head[20:22], "little")
    bits, align, channels = head[34], head[32], head[22]
    is_padded = bits == 24 and align == 4 * channels
    return 44 + size == end and encoding in (_PCM, _FLOAT) and not is_padded


def sizes(read_at: ReadAt, start: int, end: int) -> Sizes | None:
    """Find the samples of the file that begins at `start`; return None if there are none."""
    head = read_at(start, min(_HEAD_BYTES, end - start))
    if head[:4] in _AU:
        return _au_sizes(read_at, head, start, end)
    form = _FORMS[head[:4]]
    is_caf = not form.has_outer_size
    riff_end = end if is_caf else start + form.header_bytes + form.size_of(head)
    large: int | None = None  # offset of the 64-bit sizes
    encoding, encoding_at = b"", 0
    first = start + (8 if is_caf else form.header_bytes + form.id_bytes)
    for place, name, size in _chunks(read_at, head, start, first, end, form):
        data = place + form.header_bytes
        if name == b"fmt ":
            encoding, encoding_at = read_at(data, 16), data
        elif name == b"ds64":
            large = data
        elif name in (b"data", b"SSND"):
            field, width = place + form.id_bytes, form.size_bytes
            if large is not None and size == _ALL_ONES:
                ds64 = read_at(large, 16)
                riff_end = start + 8 + int.from_bytes(ds64[:8], "little")
                size = int.from_bytes(ds64[8:], "little")
                field, width = large + 8, 8
            stop, cut = _stop(read_at, data, size, riff_end, end, form)
            fields: tuple[tuple[int, bytes], ...] = ()
            if stop is not None and stop != data + size:
                raw = (stop - data).to_bytes(8, "little") if width == 8 else b""
                fields = ((field, raw if large is not None and raw else form.write(stop - data)),)
            stop = min(data + size, end) if stop is None else stop
            corrected, gain = _correction(read_at, encoding, encoding_at, data, stop, form)
            is_gsm = encoding[:2] == _GSM.to_bytes(2, form.order)
            return Sizes(data, stop, (*corrected, *fields), cut, riff_end, gain, is_gsm)
    return None


def _au_sizes(read_at: ReadAt, head: bytes, start: int, end: int) -> Sizes | None:
    """Find the samples of an AU file, which consists of a header and samples."""
    order: Literal["little", "big"] = "big" if head[:4] == b".snd" else "little"
    data = start + int.from_bytes(head[4:8], order)
    size = int.from_bytes(head[8:12], order)
    if not start + _AU_HEADER_BYTES <= data < end:
        return None
    stop = data + size
    if size == _ALL_ONES:  # means "unknown" in AU
        return Sizes(data, end, riff_end=end)
    if size and tags.audio_end(read_at, min(stop, end), end) == stop:
        return Sizes(data, stop, riff_end=end)
    found = tags.audio_end(read_at, data, end, with_padding=False)
    field = (start + 8, min(found - data, _ALL_ONES).to_bytes(4, order))
    return Sizes(data, found, (field,), cut=found < stop and size < _UNKNOWN, riff_end=end)


def _correction(
    read_at: ReadAt, encoding: bytes, place: int, data: int, end: int, form: _Form
) -> tuple[tuple[tuple[int, bytes], ...], float]:
    """Return header corrections and a gain for 24-bit samples in 4 bytes.

    libsndfile cannot read such samples otherwise. They are in the upper or the lower three
    bytes, or are floats in the range of 24-bit integers (Cool Edit's "24.0 float"). The header
    does not tell which.
    """

    def number(at: int) -> int:
        return int.from_bytes(encoding[at : at + 2], form.order)

    if len(encoding) < 16 or number(14) != 24 or number(12) != 4 * number(2):
        return (), 1.0
    if number(0) not in (_PCM, _EXTENSIBLE):
        return (), 1.0
    raw = read_at(data, min(4 * _LOOKED_AT, (end - data) // 4 * 4))
    words = np.frombuffer(raw, "<i4" if form.order == "little" else ">i4")
    kind, gain = _PCM, 1.0
    if np.array_equal(words << 8 >> 8, words):
        gain = 2.0**8
    elif np.any(words & 0xFF):
        kind, gain = _FLOAT, 2.0**-23
    tag, bits = kind.to_bytes(2, form.order), (32).to_bytes(2, form.order)
    return ((place, tag), (place + 14, bits)), gain


def _chunks(
    read_at: ReadAt, head: bytes, start: int, first: int, end: int, form: _Form
) -> Iterator[tuple[int, bytes, int]]:
    """Yield offset, name and size of each chunk."""
    n = form.header_bytes
    place = first
    for _ in range(_MAX_CHUNKS):
        if place + n > end:
            return
        at = place - start
        header = head[at : at + n] if at + n <= len(head) else read_at(place, n)
        size = form.size_of(header)
        yield place, header[:4], size
        place = form.padded(place + n + size, start)


def _stop(
    read_at: ReadAt, data: int, size: int, riff_end: int, end: int, form: _Form
) -> tuple[int | None, bool]:
    """Return the end of the samples, and whether samples are missing.

    The end is None if the header is right.
    """
    stop = data + size
    if stop == end or (stop == end - 1 and size % 2):
        return None, False
    if stop > end:
        unknown = size >= _UNKNOWN and end - data < _UNKNOWN
        unknown = unknown or size >= 2**62
        if not form.has_outer_size:  # libsndfile cannot open a truncated CAF
            return end, not unknown
        return (end if unknown else None), not unknown and riff_end != end
    riff_agrees = stop <= riff_end <= end
    limit = riff_end
    if not riff_agrees or not form.has_outer_size:
        limit = tags.audio_end(read_at, stop, end, with_padding=False)
    if not form.has_outer_size and size:
        if tags.audio_end(read_at, stop, end) == stop:
            return None, False
        # Without an outer size there is no evidence that the size of the samples is wrong.
        return None, not _ends_with_chunks(read_at, stop, limit, form)
    if size == 0 and (not riff_agrees or riff_end <= data + 8):
        # An interrupted recorder wrote the sizes of an empty file and never updated them.
        limit = tags.audio_end(read_at, data, end, with_padding=False)
        return (limit if limit > data else None), False
    if not _ends_with_chunks(read_at, form.padded(stop, data), limit, form):
        return limit, False
    rest = tags.skip(read_at, limit, end)
    rest_end = tags.audio_end(read_at, rest, end)
    return None, rest_end - rest > form.header_bytes or end + 8 < riff_end < _UNKNOWN


def _ends_with_chunks(read_at: ReadAt, place: int, limit: int, form: _Form) -> bool:
    """Return whether a sequence of chunks leads from `place` to `limit`."""
    n = form.header_bytes
    for _ in range(_MAX_CHUNKS):
        if limit - place < n:  # bytes that are too few for a header are padding
            return True
        header = read_at(place, n)
        name = header[:4]
        if not name.strip(b"\0"):
            return not read_at(place, min(limit - place, 2**16)).strip(b"\0")
        if not all(32 <= byte < 127 for byte in name):
            return False
        following = form.padded(place + n + form.size_of(header), place)
        if following > limit + form.align:
            return False
        place = following
    return False
