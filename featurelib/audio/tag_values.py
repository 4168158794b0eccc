"""Text of tags: artist, album, title, date, genre and track.

Decoders give most of them. What they leave out is read here: ID3v2 and ID3v1 tags, and the
chunks of RIFF and AIFF files. Tags are untrusted: any text becomes one line of bounded length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from featurelib.audio.tags import ID3V1_BYTES, ReadAt, id3v2_size

#: Names of tags, in the order of table columns.
TAGS = ("artist", "album", "title", "date", "genre", "track")

#: Longest text of a tag [characters].
MAX_CHARACTERS = 1000

#: Bytes that are read of one text; a character has four at most.
MAX_TEXT_BYTES = 4 * MAX_CHARACTERS + 4

#: Largest ID3v2 tag that is read at once, where bytes were inserted into it [bytes].
_MAX_STUFFED_BYTES = 2**20

#: Size of the chunk "data" of RF64, whose chunk "ds64" has it: at which byte, and how many bytes.
_SIZE_ELSEWHERE = 0xFFFFFFFF
_DS64_DATA_SIZE = 28, 8

_MAX_FRAMES = 500
_MAX_CHUNKS = 200

#: Characters that have no place in a line: controls, line ends, changes of direction.
_UNPRINTABLE = re.compile("[\x00-\x20\x7f-\xa0\u2028-\u202e\u2066-\u2069\ufeff]+")
_SURROGATE = re.compile("[\ud800-\udfff]")

#: Genre by number, as in ID3: "17", "(17)", "(17)(18)", or "(17)Rock & Roll".
_NUMBERED = re.compile(r"(\d{1,3})|\((\d{1,3})\)(?:\(\d{1,3}\))*(.*)")

#: Genres of ID3v1 and its extensions by Winamp, by number.
_GENRE_NAMES = (
    "Blues|Classic Rock|Country|Dance|Disco|Funk|Grunge|Hip-Hop|Jazz|Metal|New Age|"
    "Oldies|Other|Pop|R&B|Rap|Reggae|Rock|Techno|Industrial|Alternative|Ska|"
    "Death Metal|Pranks|Soundtrack|Euro-Techno|Ambient|Trip-Hop|Vocal|Jazz+Funk|"
    "Fusion|Trance|Classical|Instrumental|Acid|House|Game|Sound Clip|Gospel|Noise|"
    "AlternRock|Bass|Soul|Punk|Space|Meditative|Instrumental Pop|"
    "Instrumental Rock|Ethnic|Gothic|Darkwave|Techno-Industrial|Electronic|Pop-Folk|"
    "Eurodance|Dream|Southern Rock|Comedy|Cult|Gangsta|Top 40|Christian Rap|Pop/Funk|"
    "Jungle|Native American|Cabaret|New Wave|Psychedelic|Rave|Showtunes|Trailer|Lo-"
    "Fi|Tribal|Acid Punk|Acid Jazz|Polka|Retro|Musical|Rock & Roll|Hard Rock|Folk|"
    "Folk-Rock|National Folk|Swing|Fast Fusion|Bebop|Latin|Revival|Celtic|Bluegrass|"
    "Avantgarde|Gothic Rock|Progressive Rock|Psychedelic Rock|Symphonic Rock|Slow Rock|"
    "Big Band|Chorus|Easy Listening|Acoustic|Humour|Speech|Chanson|Opera|"
    "Chamber Music|Sonata|Symphony|Booty Bass|Primus|Porn Groove|Satire|Slow Jam|"
    "Club|Tango|Samba|Folklore|Ballad|Power Ballad|Rhythmic Soul|Freestyle|Duet|"
    "Punk Rock|Drum Solo|A Cappella|Euro-House|Dance Hall|Goa|Drum & Bass|Club-House|"
    "Hardcore Techno|Terror|Indie|BritPop|Afro-Punk|Polsk Punk|Beat|"
    "Christian Gangsta Rap|Heavy Metal|Black Metal|Crossover|Contemporary Christian|"
    "Christian Rock|Merengue|Salsa|Thrash Metal|Anime|Jpop|Synthpop|Abstract|Art Rock|"
    "Baroque|Bhangra|Big Beat|Breakbeat|Chillout|Downtempo|Dub|EBM|Eclectic|Electro|"
    "Electroclash|Emo|Experimental|Garage|Global|IDM|Illbient|Industro-Goth|Jam Band|"
    "Krautrock|Leftfield|Lounge|Math Rock|New Romantic|Nu-Breakz|Post-Punk|Post-Rock|"
    "Psytrance|Shoegaze|Space Rock|Trop Rock|World Music|Neoclassical|Audiobook|"
    "Audio Theatre|Neue Deutsche Welle|Podcast|Indie Rock|G-Funk|Dubstep|Garage Rock|"
    "Psybient"
)
_GENRES = _GENRE_NAMES.split("|")

#: Frames of ID3v2 by tag, of version 2.2 and of later ones.
_FRAMES = {
    b"TP1": "artist",
    b"TAL": "album",
    b"TT2": "title",
    b"TYE": "date",
    b"TCO": "genre",
    b"TRK": "track",
    b"TPE1": "artist",
    b"TALB": "album",
    b"TIT2": "title",
    b"TDRC": "date",
    b"TYER": "date",
    b"TCON": "genre",
    b"TRCK": "track",
}

#: Fields of ID3v1: first byte and end.
_ID3V1 = {"title": (3, 33), "artist": (33, 63), "album": (63, 93), "date": (93, 97)}

#: Chunks in a RIFF list "INFO", and text chunks of AIFF.
_CHUNKS = {
    b"IART": "artist",
    b"IPRD": "album",
    b"INAM": "title",
    b"ICRD": "date",
    b"IGNR": "genre",
    b"ITRK": "track",
    b"IPRT": "track",
    b"AUTH": "artist",
    b"NAME": "title",
}

#: Keys of FFmpeg and of comments by tag.
_KEYS = {
    **{name: name for name in TAGS},
    "year": "date",
    "tracknumber": "track",
}


def clean(name: str, text: str) -> str | None:
    """Return the text of a tag as one printable line; None if nothing remains.

    Parameters
    ----------
    name : str
        Name of the tag. A genre that is a number becomes the name of that genre.
    text : str
        The text as decoded.
    """
    text = _SURROGATE.sub("\ufffd", text[: 4 * MAX_CHARACTERS])
    text = text.translate(_WINDOWS)
    text = _UNPRINTABLE.sub(" ", text).strip()[:MAX_CHARACTERS].strip()
    if name == "genre" and (match := _NUMBERED.fullmatch(text)):
        number, rest = int(match[1] or match[2]), match[3]
        if rest:
            text = rest.strip()
        elif number < len(_GENRES):
            text = _GENRES[number]
    return text or None


def decoded(data: bytes) -> str:
    """Return the text of bytes in UTF-8 or, if they are not UTF-8, in Windows-1252."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if error.start > 0 and len(data) >= MAX_TEXT_BYTES and error.start >= len(data) - 3:
            return data[: error.start].decode()  # a character was cut
    return "".join(_one_byte(byte) for byte in data)


def _one_byte(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


#: Controls that writers on Windows mean as punctuation.
_WINDOWS = {byte: _one_byte(byte) for byte in range(0x80, 0xA0)}


def from_keys(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the tags among keys of any case and their texts.

    Bytes that are not UTF-8 are in the texts as by the error handler ``surrogateescape``.
    """
    for key, text in metadata.items():
        if (name := _KEYS.get(key.casefold())) is not None:
            yield name, decoded(text.encode("utf-8", "surrogateescape"))


def from_file(read_at: ReadAt, size: int) -> Iterator[tuple[str, str]]:
    """Yield tags and texts of RIFF and AIFF chunks, of ID3v2 and of ID3v1, the best first.

    Parameters
    ----------
    read_at : callable
        Function that takes an offset and a size and returns the bytes.
    size : int
        Size of the file [bytes].
    """
    head = read_at(0, 12)
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        yield from _chunks(read_at, 12, size, "little")
    elif head[:4] == b"FORM":
        yield from _chunks(read_at, 12, size, "big")
    yield from _id3v2(read_at, 0)
    if size >= ID3V1_BYTES:
        yield from _id3v1(read_at(size - ID3V1_BYTES, ID3V1_BYTES))


def _chunks(
    read_at: ReadAt,
    place: int,
    end: int,
    order: Literal["little", "big"],
    *,
    is_inner: bool = False,
) -> Iterator[tuple[str, str]]:
    for _ in range(_MAX_CHUNKS):
        head = read_at(place, 12)
        if len(head) < 8 or place >= end:
            return
        size = int.from_bytes(head[4:8], order)
        kind = head[:4]
        if kind == b"data" and size == _SIZE_ELSEWHERE:
            size = int.from_bytes(read_at(*_DS64_DATA_SIZE), "little")
        if kind == b"LIST" and head[8:12] == b"INFO" and not is_inner:
            stop = min(end, place + 8 + size)
            yield from _chunks(read_at, place + 12, stop, order, is_inner=True)
        elif kind in _CHUNKS:
            text = read_at(place + 8, min(size, MAX_TEXT_BYTES))
            yield _CHUNKS[kind], decoded(text.split(b"\0", 1)[0])
        elif kind.upper() == b"ID3 ":
            yield from _id3v2(read_at, place + 8)
        place += 8 + size + size % 2


def _id3v2(read_at: ReadAt, place: int) -> Iterator[tuple[str, str]]:
    head = read_at(place, 10)
    end = id3v2_size(head)
    if not end:
        return
    version, flags = head[3], head[5]
    if flags & 0x80 and version < 4:  # a zero was inserted after each byte 0xFF
        data = read_at(place, min(end, _MAX_STUFFED_BYTES)).replace(b"\xff\x00", b"\xff")

        def read(at: int, n: int) -> bytes:
            return data[at : at + n]
    else:

        def read(at: int, n: int) -> bytes:
            return read_at(place + at, min(n, max(end - at, 0)))

    at = 10
    if flags & 0x40 and version > 2:  # an extended header
        number = read(at, 4)
        at += _syncsafe(number) if version > 3 else 4 + int.from_bytes(number, "big")
    header = 6 if version == 2 else 10
    for _ in range(_MAX_FRAMES):
        frame = read(at, header)
        if len(frame) < header or not frame[0]:
            return
        kind, size, skipped = _frame(frame, version)
        if kind in _FRAMES and skipped is not None:
            is_stuffed = version > 3 and (flags & 0x80 or frame[9] & 0x02)
            most = (1 + MAX_TEXT_BYTES) * (2 if is_stuffed else 1)
            body = read(at + header + skipped, min(max(size - skipped, 0), most))
            if is_stuffed:
                body = body.replace(b"\xff\x00", b"\xff")[: 1 + MAX_TEXT_BYTES]
            yield _FRAMES[kind], _text(body)
        at += header + size


def _frame(head: bytes, version: int) -> tuple[bytes, int, int | None]:
    """Return kind and size of a frame, and the bytes before its text; None if unreadable."""
    if version == 2:
        return head[:3], int.from_bytes(head[3:6], "big"), 0
    kind, number, flags = head[:4], head[4:8], head[9]
    if version == 3:
        return kind, int.from_bytes(number, "big"), None if flags & 0xC0 else bool(flags & 0x20)
    # some writers of version 2.4 use all bits of the size
    size = int.from_bytes(number, "big") if max(number) > 127 else _syncsafe(number)
    skipped = bool(flags & 0x40) + 4 * bool(flags & 0x01)
    return kind, size, None if flags & 0x0C else skipped


def _syncsafe(data: bytes) -> int:
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
    return number


def _text(body: bytes) -> str:
    """Return the first text of a frame, whose first byte is the encoding."""
    encoding, data = body[:1], body[1:]
    if encoding in (b"\x01", b"\x02"):
        order = "utf-16-be"
        if encoding == b"\x01" and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            order = "utf-16-le" if data[:1] == b"\xff" else "utf-16-be"
            data = data[2:]
        return data.decode(order, "replace").split("\0", 1)[0]
    return decoded(data.split(b"\0", 1)[0])


def _id3v1(tag: bytes) -> Iterator[tuple[str, str]]:
    if tag[:3] != b"TAG":
        return
    for name, (start, stop) in _ID3V1.items():
        yield name, decoded(tag[start:stop].split(b"\0", 1)[0])
    if tag[125] == 0 and tag[126]:
        yield "track", str(tag[126])
    if tag[127] < len(_GENRES):
        yield "genre", _GENRES[tag[127]]
