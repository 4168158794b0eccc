"""Ogg: where the links of a chained file begin and end, and which pages are damaged."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass, field

from featurelib.audio.tags import ReadAt

_CHUNK_BYTES = 2**20
_MAX_PAGE_BYTES = 27 + 255 + 255 * 255
_FIRST_PAGE, _LAST_PAGE = 2, 4  # bits of a page's flags

#: Pages with wrong checksums may add up to so many times the bytes that were followed. Where
#: they are more, headers lie in other pages' bodies, and each is as long as it can be.
_MOST_WASTE = 4

_REVERSED = bytes(int(f"{i:08b}"[::-1], 2) for i in range(256))

#: How the first packet of an audio stream begins.
_CODECS = {
    b"\x01vorbis": "vorbis",
    b"OpusHead": "opus",
    b"\x7fFLAC": "flac",
    b"Speex   ": "speex",
}


@dataclass
class Link:
    """A part of a chained Ogg file, from its first pages to before the next link's.

    Attributes
    ----------
    start, end : int
        Where it begins and ends.
    codec : str or None
        Of its first audio stream; None if it has none.
    damaged : bool
        Whether a page is missing or damaged, or there is junk between pages.
    cut : bool
        Whether the last page of the stream is missing.
    rate : int
        Granule positions a second.
    lost : int
        Granule positions from before damage to the page behind it: what is lost, at most.
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
        """Note a stream of the link."""
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
        """Length so far, by granule positions; 0 where they do not tell."""
        if not self.rate or self._first is None:
            return 0.0
        return (self._granule - self._first) / self.rate

    @property
    def is_length_known(self) -> bool:
        """Whether the granule positions tell how long it was before damage."""
        return not self.cut and not self._has_unknown_part

    def add(self, serial: int, number: int, flags: int, granule: int) -> None:
        """Take in a whole page."""
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
        """Whether pages are missing before the one with this number."""
        return number > self._numbers.get(serial, number - 1) + 1

    def damage(self) -> None:
        """Note that something is missing before the next page."""
        self.damaged = self._is_after_damage = True
        if self._first is None:
            self._has_unknown_part = True

    def lose_next(self) -> None:
        """Note that the pages behind it belong to a link whose beginning is missing."""
        self.damaged = self._has_unknown_part = True

    def begins_another(self, flags: int, serial: int) -> bool:
        """Whether a page belongs to the next link."""
        if flags & _FIRST_PAGE:
            return self._has_data
        return serial not in self._begin and self._has_data


def _is_whole(page: bytes) -> bool:
    """Whether a page's checksum is right."""
    # Ogg's CRC takes bits in the other order than zlib's.
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
        Gives the bytes at an offset.
    start, end : int
        Where the first page begins, and where the file ends.
    duration : float or None
        Stop after so many seconds, and at damage behind them.
    most : int
        Stop after so many links.
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
                if size is not None and base + i + size > end:  # the last page is not whole
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
    """Size in bytes of the page at `i`; None if there is none."""
    if data[i : i + 5] != b"OggS\0" or len(data) < i + 27:
        return None
    table = i + 27
    n_segments = data[i + 26]
    return 27 + n_segments + sum(data[table : table + n_segments])
