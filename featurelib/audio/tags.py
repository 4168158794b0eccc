"""Tags and padding before and after the audio of a file: ID3, APE, Lyrics3."""

from __future__ import annotations

from collections.abc import Callable

#: Function that takes an offset and a size and returns bytes, fewer only at the end.
ReadAt = Callable[[int, int], bytes]

#: Bytes that are read at once to find padding after the audio.
_STEP = 4096

#: Size of an ID3v1 tag, which is at the end of a file.
ID3V1_BYTES = 128

#: Size of an extended ID3v1 tag, which precedes the ID3v1 tag.
_TAG_PLUS_BYTES = 227

#: Largest size of a Lyrics3 v1 tag.
_LYRICS3_V1_BYTES = 5100

_APE_HEADER_BYTES = 32


def id3v2_size(head: bytes) -> int:
    """Return the size [bytes] of an ID3v2 tag from its first 10 bytes; 0 if there is none."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[3:5]) == 255 or max(head[6:10]) > 127:
        return 0
    body = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    footer = 10 if head[5] & 0x10 else 0
    return 10 + body + footer


def size_at(read_at: ReadAt, place: int) -> int:
    """Return the size [bytes] of the tag that begins at `place`; 0 if there is none."""
    head = read_at(place, _APE_HEADER_BYTES)
    if size := id3v2_size(head):
        return size
    if head[:8] == b"APETAGEX" and len(head) == _APE_HEADER_BYTES:
        size = int.from_bytes(head[12:16], "little")
        return _APE_HEADER_BYTES + size
    if head[:4] == b"TAG+":
        return _TAG_PLUS_BYTES
    if head[:3] == b"TAG":
        return ID3V1_BYTES
    if head[:11] == b"LYRICSBEGIN":
        text = read_at(place, _LYRICS3_V1_BYTES + 9)
        for mark, extra in ((b"LYRICS200", 9), (b"LYRICSEND", 9)):
            if (found := text.find(mark)) >= 0:
                return found + extra
    return 0


def skip(read_at: ReadAt, place: int, end: int) -> int:
    """Return the offset after all tags that begin at `place`."""
    while place < end and (size := size_at(read_at, place)):
        place += size
    return min(place, end)


def skip_id3(read_at: ReadAt, place: int, end: int) -> int:
    """Return the offset after all ID3v2 tags that begin at `place`."""
    while place < end and (size := id3v2_size(read_at(place, 10))):
        place += size
    return min(place, end)


def audio_end(read_at: ReadAt, start: int, end: int, *, with_padding: bool = True) -> int:
    """Return the offset at which the tags and the padding at the end of a file begin.

    Parameters
    ----------
    read_at : callable
        Function that takes an offset and a size and returns the bytes.
    start, end : int
        Offset of the audio, and the end of the file.
    with_padding : bool
        Whether zeros count as padding; they may be samples.
    """
    while True:
        size = _size_before(read_at, end)
        if not size and with_padding:
            size = _padding_before(read_at, start, end)
        if not size or end - size < start:
            return end
        end -= size


def _size_before(read_at: ReadAt, end: int) -> int:
    """Return the size [bytes] of the tag that ends at `end`; 0 if there is none."""
    n = min(3 + ID3V1_BYTES, end)
    foot = read_at(end - n, n).rjust(3 + ID3V1_BYTES, b"\0")
    if foot[3:6] == b"TAG" and foot[:3] != b"APE":  # "APETAGEX" contains "TAG"
        return ID3V1_BYTES
    ape = foot[-_APE_HEADER_BYTES:]
    if ape[:8] == b"APETAGEX":
        size = int.from_bytes(ape[12:16], "little")
        has_header = int.from_bytes(ape[20:24], "little") >> 31
        return size + (_APE_HEADER_BYTES if has_header else 0)
    if foot[-10:-7] == b"3DI":
        return id3v2_size(b"ID3" + foot[-7:]) + (0 if foot[-5] & 0x10 else 10)
    if foot[-9:] == b"LYRICS200" and foot[-15:-9].isdigit():
        return int(foot[-15:-9]) + 15
    if foot[-9:] == b"LYRICSEND":
        begin = max(end - _LYRICS3_V1_BYTES - 9, 0)
        found = read_at(begin, end - begin).rfind(b"LYRICSBEGIN")
        return end - begin - found if found >= 0 else 0
    if end >= _TAG_PLUS_BYTES and read_at(end - _TAG_PLUS_BYTES, 4) == b"TAG+":
        return _TAG_PLUS_BYTES
    return 0


def _padding_before(read_at: ReadAt, start: int, end: int) -> int:
    """Return the number of zero bytes before `end` that do not belong to a tag."""
    n_zeros = _zeros_before(read_at, start, end)
    begin = end - n_zeros
    for place in range(begin, min(begin + ID3V1_BYTES, end)):  # tags may end in zeros
        if _size_before(read_at, place):
            return end - place
    return n_zeros


def _zeros_before(read_at: ReadAt, start: int, end: int) -> int:
    """Return the number of zero bytes before `end`."""
    place = end
    while place > start:
        begin = max(place - _STEP, start)
        data = read_at(begin, place - begin)
        kept = len(data.rstrip(b"\0"))
        place = begin + kept
        if kept:
            break
    return end - place
