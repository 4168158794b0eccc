"""Cutting and joining of audio files, with parsers that are independent of featurelib's."""

from __future__ import annotations

import functools
import io
import struct
from dataclasses import dataclass

import av

# --- tags


def id3v2(n_bytes: int = 100, *, claims: int | None = None, fill: bytes = b"\0") -> bytes:
    """An ID3v2.3 tag with `n_bytes` after its header, whose size field is `claims`."""
    title = b"TIT2" + struct.pack(">IH", 6, 0) + b"\0title"
    body = (title + fill * n_bytes)[:n_bytes]
    return b"ID3\x03\0\0" + synchsafe(n_bytes if claims is None else claims) + body


def id3v2_at_the_end(n_bytes: int = 100) -> bytes:
    """An appended ID3v2.4 tag, which has a footer."""
    head = b"\x04\0\x10" + synchsafe(n_bytes)
    return b"ID3" + head + bytes(n_bytes) + b"3DI" + head


def synchsafe(n: int) -> bytes:
    return bytes(n >> shift & 127 for shift in (21, 14, 7, 0))


def id3v1() -> bytes:
    return b"TAG" + b"title".ljust(30) + bytes(95)


def id3v1_plus() -> bytes:
    """An extended ID3v1 tag, which precedes the plain one."""
    return b"TAG+" + b"a long title".ljust(60) + bytes(163) + id3v1()


def ape(*, header: bool = True, footer: bool = True) -> bytes:
    """An APEv2 tag with one item."""
    item = struct.pack("<II", 5, 0) + b"Title\0title"
    size = len(item) + (32 if footer else 0)
    flags = (1 << 31 if header else 0) | (0 if footer else 1 << 30)

    def edge(is_header: bool) -> bytes:
        bits = flags | (1 << 29 if is_header else 0)
        return b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, bits) + bytes(8)

    return (edge(True) if header else b"") + item + (edge(False) if footer else b"")


def lyrics3v1() -> bytes:
    return b"LYRICSBEGIN[00:00]la la la\r\nLYRICSEND" + id3v1()


def lyrics3v2() -> bytes:
    body = b"LYRICSBEGIN" + b"IND00002" + b"10" + b"LYR00012" + b"[00:00]la la"
    return body + f"{len(body):06d}".encode() + b"LYRICS200" + id3v1()


#: Tags that may follow the audio.
TRAILERS = {
    "id3v1": id3v1(),
    "id3v1 extended": id3v1_plus(),
    "ape": ape(),
    "ape without header": ape(header=False),
    "lyrics3 v1": lyrics3v1(),
    "lyrics3 v2": lyrics3v2(),
    "id3v2.4": id3v2_at_the_end(),
    "zeros": bytes(5000),
    "ape, lyrics3, id3v1": ape() + lyrics3v2(),
    "id3v2.4, ape, id3v1, zeros": id3v2_at_the_end() + ape() + id3v1() + bytes(100),
}


# --- MPEG

_KBITS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_1 = (44_100, 48_000, 32_000)


def mp3_frames(data: bytes) -> list[bytes]:
    """Frames of an MP3 file (layer III) that begins with a frame, up to its end or a tag."""
    frames = []
    while data[:1] == b"\xff":
        is_1 = data[1] >> 3 & 3 == 3
        kbits = (_KBITS_1 if is_1 else _KBITS_2)[(data[2] >> 4) - 1]
        sr = _RATES_1[data[2] >> 2 & 3] // {3: 1, 2: 2, 0: 4}[data[1] >> 3 & 3]
        length = (144 if is_1 else 72) * kbits * 1000 // sr + (data[2] >> 1 & 1)
        frames.append(data[:length])
        data = data[length:]
    return frames


def has_info(frame: bytes) -> bool:
    return b"Xing" in frame[:40] or b"Info" in frame[:40]


def without_info(mp3: bytes) -> bytes:
    """An MP3 file without its first frame, which is the Info header."""
    frames = mp3_frames(mp3)
    assert has_info(frames[0])
    return b"".join(frames[1:])


def with_info_count(mp3: bytes, n_frames: int) -> bytes:
    """An MP3 file with another number of frames in its Info header."""
    place = max(mp3.find(b"Xing", 0, 40), mp3.find(b"Info", 0, 40))
    return mp3[: place + 8] + n_frames.to_bytes(4, "big") + mp3[place + 12 :]


# --- Ogg


@dataclass
class Page:
    """Page of an Ogg file; the checksum is recomputed."""

    flags: int
    granule: int
    serial: int
    number: int
    table: bytes
    body: bytes

    def __bytes__(self) -> bytes:
        head = struct.pack("<BqII", self.flags, self.granule, self.serial, self.number)
        rest = bytes([len(self.table)]) + self.table + self.body
        crc = _ogg_crc(b"OggS\0" + head + bytes(4) + rest)
        return b"OggS\0" + head + crc.to_bytes(4, "little") + rest


def _ogg_crc(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _divided(crc >> 24 ^ byte)
    return crc


@functools.cache
def _divided(byte: int) -> int:
    rest = byte << 24
    for _ in range(8):
        rest = (rest << 1 ^ (0x104C11DB7 if rest & 0x80000000 else 0)) & 0x1FFFFFFFF
    return rest


def ogg_pages(data: bytes) -> list[Page]:
    pages = []
    while data:
        assert data[:4] == b"OggS"
        table = data[27 : 27 + data[26]]
        end = 27 + len(table) + sum(table)
        flags, granule, serial, number = struct.unpack("<BqII", data[5:22])
        pages.append(Page(flags, granule, serial, number, table, data[27 + len(table) : end]))
        data = data[end:]
    return pages


def joined(pages: list[Page]) -> bytes:
    return b"".join(map(bytes, pages))


def with_later_clock(data: bytes, n: int) -> bytes:
    """An Ogg file whose granule positions begin at `n`, as in a cut from a broadcast."""
    pages = ogg_pages(data)
    for page in pages:
        if page.granule > 0:
            page.granule += n
    return joined(pages)


def with_serial(data: bytes, serial: int) -> bytes:
    pages = ogg_pages(data)
    for page in pages:
        page.serial = serial
    return joined(pages)


# --- FLAC


def with_flac_total(flac: bytes, n_samples: int) -> bytes:
    """A FLAC file with another number of samples in STREAMINFO."""
    bits = int.from_bytes(flac[18:26], "big") >> 36 << 36 | n_samples
    return flac[:18] + bits.to_bytes(8, "big") + flac[26:]


def with_damage(data: bytes, place: int, n: int = 1) -> bytes:
    """The file with `n` bytes inverted."""
    return data[:place] + bytes(byte ^ 0xFF for byte in data[place : place + n]) + data[place + n :]


# --- RIFF and the like


def chunk(name: bytes, body: bytes, order: str = "<", *, size: int | None = None) -> bytes:
    """A chunk, padded to an even length, possibly with a wrong size."""
    said = len(body) if size is None else size
    return name + struct.pack(f"{order}I", said) + body + bytes(len(body) % 2)


def wav(
    samples: bytes,
    *,
    before: bytes = b"",
    after: bytes = b"",
    data_size: int | None = None,
    riff_size: int | None = None,
    sr: int = 22_050,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    frame_bytes: int | None = None,
) -> bytes:
    """A WAV file, possibly with wrong sizes."""
    align = frame_bytes or channels * (bits // 8)
    form = struct.pack("<HHIIHH", tag, channels, sr, sr * align, align, bits)
    body = chunk(b"fmt ", form) + before + chunk(b"data", samples, size=data_size) + after
    said = 4 + len(body) if riff_size is None else riff_size
    return b"RIFF" + struct.pack("<I", said) + b"WAVE" + body


def aiff(
    samples: bytes,
    *,
    n_samples: int,
    before: bytes = b"",
    after: bytes = b"",
    data_size: int | None = None,
    form_size: int | None = None,
) -> bytes:
    """An AIFF file of 16 bits, mono, 22 050 Hz, possibly with wrong sizes."""
    rate = struct.pack(">HQ", 16_383 + 14, 22_050 << 49)  # 22 050 in 80 bits
    common = chunk(b"COMM", struct.pack(">hIh", 1, n_samples, 16) + rate, ">")
    size = None if data_size is None else data_size + 8
    body = common + before + chunk(b"SSND", bytes(8) + samples, ">", size=size) + after
    said = 4 + len(body) if form_size is None else form_size
    return b"FORM" + struct.pack(">I", said) + b"AIFF" + body


def patched(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


# --- containers that FFmpeg reads


def packets(data: bytes, container: str | None = None) -> list[tuple[int, int, float]]:
    """Offset, size [bytes] and start time [s] of each packet of audio."""
    found = []
    place = 0
    with av.open(io.BytesIO(data), format=container) as file:
        stream = file.streams.audio[0]
        for packet in file.demux(stream):
            if packet.size:
                place = data.index(bytes(packet), place)
                found.append((place, packet.size, float(packet.pts * packet.time_base)))
                place += packet.size
    return found
