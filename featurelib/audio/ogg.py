"""Ogg structure: links of a chained file, and damaged pages."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass, field

from featurelib.audio.tags import ReadAt

_CHUNK_BYTES = 2**20
_MAX_PAGE_BYTES = 27 + 255 + 255 * 255
_FIRST_PAGE, _LAST_PAGE = 2, 4  # bits of a page's flags

#: Most bytes in pages with wrong checksums, as a multiple of the bytes that were followed.
#: A hostile file exceeds it: its headers lie inside other pages and claim the largest size.
_MOST_WASTE = 4

_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))

#: Codecs by the first bytes of a stream's first packet.
_CODECS = {
    b"\x01vorbis": "vorbis",
    b"OpusHead": "opus",
    b"\x7fFLAC": "flac",
    b"Speex   ": "speex",
}


@dataclass
class Link:
    """Link of a chained Ogg file.

    Attributes
    ----------
    start, end : int
        Offsets of the link in the file.
    codec : str or None
        Codec of the first audio stream; None if there is no audio stream.
    rate : int
        Granule positions per second.
    damaged : bool
        Whether a page is missing or damaged, or there is junk between pages.
    cut : bool
        Whether the last page of the stream is missing.
    lost : int
        Upper bound for the loss [granule positions]: from the last page before damage to the
        first page after it.
    """

    start: int
    end: int
    codec: str | None = None
    rate: int = 0
    damaged: bool = False
    cut: bool = True
    lost: int = 0
    _is_after_damage: bool = False
    _has_unknown_part: bool = False
    _serial: int = -1
    _begin: set[int] = field(default_factory=set)
    _numbers: dict[int, int] = field(default_factory=dict)
    _granule: int = 0
    _first: int | None = None
    _has_data: bool = False

    def begin(self, serial: int, packet: bytes) -> None:
        """Register a stream of the link by its first packet."""
        self._begin.add(serial)
        codec = next((name for start, name in _CODECS.items() if packet.startswith(start)), None)
        if codec is not None and self.codec is None:
            self.codec, self._serial = codec, serial
            if codec == "vorbis":
                self.rate = int.from_bytes(packet[12:16], "little")
            elif codec == "opus":
                self.rate = 48_000

    @property
    def seconds(self) -> float:
        """Duration so far by granule positions [s]; 0 if unknown."""
        if not self.rate or self._first is None:
            return 0.0
        return (self._granule - self._first) / self.rate

    @property
    def is_length_known(self) -> bool:
        """Whether granule positions tell the duration that the link had before damage."""
        return not self.cut and not self._has_unknown_part

    def add(self, serial: int, number: int, flags: int, granule: int) -> None:
        """Add a page with a valid checksum."""
        self._has_data = self._has_data or not flags & _FIRST_PAGE
        if self.lacks_pages(serial, number):
            self.damage()
        self._numbers[serial] = number
        if serial == self._serial:
            self.cut = not flags & _LAST_PAGE
            if granule > 0:
                if self._first is None:
                    self._first = granule
                if self._is_after_damage:
                    self.lost += max(granule - self._granule, 0)
                    self._is_after_damage = False
                self._granule = granule

    def lacks_pages(self, serial: int, number: int) -> bool:
        """Return whether pages are missing before page `number`."""
        return number > self._numbers.get(serial, number - 1) + 1

    def damage(self) -> None:
        """Record that data is missing before the next page."""
        self.damaged = self._is_after_damage = True
        if self._first is None:
            self._has_unknown_part = True

    def lose_next(self) -> None:
        """Record that the next pages belong to another link, whose beginning is missing."""
        self.damaged = self._has_unknown_part = True

    def begins_another(self, flags: int, serial: int) -> bool:
        """Return whether a page belongs to the next link."""
        if flags & _FIRST_PAGE:
            return self._has_data
        return serial not in self._begin and self._has_data


def _is_whole(page: bytes) -> bool:
    """Return whether the checksum of a page is valid."""
    # The CRC of Ogg has the opposite bit order of zlib's.
    blank = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return page[22:26] == crc.to_bytes(4, "big").translate(_REVERSED)


def links(
    read_at: ReadAt, start: int, end: int, duration: float | None = None, most: int = sys.maxsize
) -> list[Link]:
    """Follow the pages of a file.

    Parameters
    ----------
    read_at : callable
        Function that takes an offset and a size and returns the bytes.
    start, end : int
        Offset of the first page, and the end of the file.
    duration : float or None
        Stop 2 s after this duration [s], or at the first damage after it.
    most : int
        Stop after this number of links.

    Returns
    -------
    list of Link
        Links in order; empty if there is no valid page at `start`.
    """
    found: list[Link] = []
    data, base, i = b"", start, 0
    total = 0.0
    wasted = 0

    def has_seconds(more: float = 0.0) -> bool:
        return duration is not None and total + found[-1].seconds > duration + more

    while base + i < end:
        if len(data) - i < _MAX_PAGE_BYTES and base + len(data) < end:
            base, i = base + i, 0
            data = read_at(base, min(_CHUNK_BYTES, end - base))
        size = _page_size(data, i)
        if size is None or i + size > len(data) or not _is_whole(data[i : i + size]):
            if found:
                link = found[-1]
                if size is not None and base + i + size > end:  # the last page is incomplete
                    link.end, link.cut = end, True
                    break
                if has_seconds():
                    break
                following = data.find(b"OggS", i + 1)
                if following < 0 and base + len(data) >= end:
                    link.cut = link.cut or data.startswith(b"OggS", i)
                    break
                link.damage()
                wasted += size or 0
                if wasted > _MOST_WASTE * (base + i - start + _CHUNK_BYTES):
                    link.cut = True
                    break
                i = following if following >= 0 else max(len(data) - 3, i + 1)
                continue
            return []
        flags, serial = data[i + 5], int.from_bytes(data[i + 14 : i + 18], "little")
        if not found or found[-1].begins_another(flags, serial):
            if len(found) >= most:
                break
            if found:
                total += found[-1].seconds
                if not flags & _FIRST_PAGE:
                    found[-1].lose_next()
            found.append(Link(base + i, base + i))
        link = found[-1]
        if flags & _FIRST_PAGE:
            packet = i + 27 + data[i + 26]
            link.begin(serial, data[packet : packet + 64])
        granule = int.from_bytes(data[i + 6 : i + 14], "little", signed=True)
        number = int.from_bytes(data[i + 18 : i + 22], "little")
        if link.lacks_pages(serial, number) and has_seconds():
            break
        link.add(serial, number, flags, granule)
        i += size
        link.end = base + i
        if has_seconds(more=2):
            break
    return found


def _page_size(data: bytes, i: int) -> int | None:
    """Return the size [bytes] of the page at index `i`; None if there is none."""
    if data[i : i + 5] != b"OggS\0" or len(data) < i + 27:
        return None
    table = i + 27
    n_segments = data[i + 26]
    return 27 + n_segments + sum(data[table : table + n_segments])
