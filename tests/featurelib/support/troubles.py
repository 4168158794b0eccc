"""Malformed files and the samples that should be decoded from them.

Expected samples are those that were encoded losslessly, or the output of soundfile or PyAV
for the undamaged parts.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.featurelib.support.encoders import encode_by_ffmpeg, made, on_grid
from tests.featurelib.support.listening import Signal, by_pyav, by_soundfile
from tests.featurelib.support.signals import encode, noise
from tests.featurelib.support.surgery import (
    aiff,
    ape,
    chunk,
    id3v1,
    id3v2,
    joined,
    mp3_frames,
    ogg_pages,
    packets,
    patched,
    wav,
    with_damage,
    with_flac_total,
    with_info_count,
    with_later_clock,
    with_serial,
    without_info,
)

Made = tuple[bytes, Sequence[Signal]]


@dataclass(frozen=True)
class Trouble:
    """A malformed file and its expected outcome.

    Attributes
    ----------
    make : callable
        Function that returns the content and the expected signals.
    decoding, decoder, n_streams, lost_s
        Expected facts.
    whole_s : float or None
        Duration before parts were removed [s]; the expected `lost_s` is the difference.
    within : int
        Tolerance of the length [samples], because decoders differ on where damage ends.
    atol : float or None
        Tolerance of the samples; None if only the levels at both ends are compared.
    """

    make: Callable[[], Made]
    decoding: str = "whole"
    decoder: str = "libsndfile"
    n_streams: int = 1
    lost_s: float | None = 0.0
    whole_s: float | None = None
    within: int = 0
    atol: float | None = 1e-5


TROUBLES: dict[str, Trouble] = {}


def trouble(name: str, **right: Any) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Add the result of a function to the table."""

    def add(make: Callable[[], Made]) -> Callable[[], Made]:
        assert name not in TROUBLES
        TROUBLES[name] = Trouble(make, **right)
        return make

    return add


def cases(*names: Any, **right: Any) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """Add the results of a function for several arguments to the table."""

    def add(make: Callable[..., Made]) -> Callable[..., Made]:
        for name in names:
            text = f"{name:#x}" if isinstance(name, int) else name
            label = make.__name__.replace("_", " ") + ": " + text
            trouble(label, **right)(functools.partial(make, name))
        return make

    return add


SR = 44_100
DAMAGED = {"decoding": "damaged", "atol": None}
CUT = {"decoding": "cut", "lost_s": None}
BY_FFMPEG = {"decoder": "ffmpeg"}

LOUD = on_grid(noise(1.5, sr=SR, level=0.2)).reshape(-1, 1)
QUIET = on_grid(noise(1.5, sr=SR, level=0.05, seed=1)).reshape(-1, 1)
SHORT = QUIET[: SR // 2 + 1]
STEREO = np.hstack([LOUD, QUIET])


@functools.cache
def file_of(name: str, which: str = "LOUD", sr: int = SR) -> bytes:
    """An undamaged file of one of the signals above, in one of the encoders' formats."""
    y = globals()[which]
    if name == "mp3":
        return encode(y, sr, fmt="MP3")
    if name == "ogg_vorbis":
        return encode(y, sr, fmt="OGG", subtype="VORBIS")
    if name == "flac":
        return encode((y * 2**15).astype(np.int16), sr, fmt="FLAC", subtype="PCM_16")
    return made(name, y)


@functools.cache
def long_opus() -> bytes:
    """Four seconds of Opus, one page per second."""
    return encode(on_grid(noise(4.0, sr=48_000, level=0.2)), 48_000, fmt="OGG", subtype="OPUS")


def pcm(y: np.ndarray, order: str = "<") -> bytes:
    return (y * 2**15).astype(f"{order}i2").tobytes()


# --- Ogg

OGG = {"vorbis": lambda: file_of("ogg_vorbis"), "opus": long_opus}


@cases("vorbis", "opus")
def ogg_with_a_late_clock(codec: str) -> Made:
    healthy = OGG[codec]()
    return with_later_clock(healthy, 100_000_000), [by_soundfile(healthy)]


@cases("vorbis", "opus", n_streams=2)
def ogg_chain_of_one_serial(codec: str) -> Made:
    healthy = with_serial(OGG[codec](), 7)
    return healthy * 2, [by_soundfile(healthy)] * 2


@cases("vorbis", "opus", n_streams=3)
def ogg_chain_of_three_serials(codec: str) -> Made:
    healthy = OGG[codec]()
    chain = b"".join(with_serial(healthy, serial) for serial in (5, 6, 7))
    return chain, [by_soundfile(healthy)] * 3


@trouble("ogg chain of rates", n_streams=2)
def _() -> Made:
    parts = [file_of("ogg_vorbis"), file_of("ogg_vorbis", "QUIET", 22_050)]
    return b"".join(parts), [by_soundfile(part) for part in parts]


@trouble("ogg chain of channels", n_streams=2)
def _() -> Made:
    parts = [file_of("ogg_vorbis"), file_of("ogg_vorbis", "STEREO")]
    return b"".join(parts), [by_soundfile(part) for part in parts]


@trouble("ogg chain of codecs", n_streams=2)
def _() -> Made:
    parts = [file_of("ogg_vorbis"), long_opus()]
    return b"".join(parts), [by_soundfile(part) for part in parts]


@cases("vorbis", "opus")
def ogg_behind_id3(codec: str) -> Made:
    return id3v2() + OGG[codec](), [by_soundfile(OGG[codec]())]


def _without_page(codec: str) -> tuple[int, list[bytes], list[Signal]]:
    """Index of a page in the middle, all pages, and the samples without that page."""
    healthy = OGG[codec]()
    pages = ogg_pages(healthy)
    sr, y = by_soundfile(healthy)
    place = len(pages) - 3
    # Packets continue on the next page, so a lost page damages the packets around it.
    lost = pages[place].granule - pages[place - 1].granule
    begin = pages[place - 1].granule
    kept = np.concatenate([y[:begin], y[begin + lost :]])
    return place, list(map(bytes, pages)), [(sr, kept)]


def _page_in_trouble(codec: str, how: str) -> Made:
    place, pages, right = _without_page(codec)
    page = pages[place]
    pages[place] = {
        "missing": b"",
        "damaged": with_damage(page, 500),
        "of zeros": bytes(len(page)),
    }[how]
    return b"".join(pages), right


@cases("missing", "damaged", "of zeros", whole_s=1.5, within=1500, **DAMAGED)
def vorbis_page(how: str) -> Made:
    return _page_in_trouble("vorbis", how)


@cases("missing", "damaged", "of zeros", whole_s=4.0, **DAMAGED)
def opus_page(how: str) -> Made:
    return _page_in_trouble("opus", how)


@trouble("vorbis with a damaged first page of audio", lost_s=None, within=2048, **DAMAGED)
def _() -> Made:
    pages = ogg_pages(OGG["vorbis"]())
    first = next(i for i, page in enumerate(pages) if page.granule > 0)
    sr, y = by_soundfile(OGG["vorbis"]())
    return joined(pages[:first] + pages[first + 1 :]), [(sr, y[pages[first].granule :])]


@trouble("ogg chain without the border", lost_s=None, within=2048, **DAMAGED)
def _() -> Made:
    healthy = OGG["vorbis"]()
    n = len(bytes(ogg_pages(healthy)[-1]))
    sr, y = by_soundfile(healthy)
    end = ogg_pages(healthy)[-2].granule
    data = healthy[:-n] + bytes(n + 2000) + with_serial(healthy, 7)[2000:]
    return data, [(sr, y[:end])]


@trouble("ogg chain, the second without its first page", lost_s=None, **DAMAGED)
def _() -> Made:
    healthy, behind = OGG["vorbis"](), with_serial(OGG["vorbis"](), 7)
    return healthy + joined(ogg_pages(behind)[1:]), [by_soundfile(healthy)]


@cases(4, 19, 28, 40, **CUT)
def ogg_chain_cut_in_the_header_of_the_second_after(n_bytes: int) -> Made:
    healthy = OGG["vorbis"]()
    return healthy + with_serial(healthy, 7)[:n_bytes], [by_soundfile(healthy)]


@trouble("damage in the first of a chain", n_streams=2, whole_s=3.0, within=1500, **DAMAGED)
def _() -> Made:
    place, pages, (right,) = _without_page("vorbis")
    pages[place] = with_damage(pages[place], 500)
    behind = file_of("ogg_vorbis", "QUIET")
    return b"".join(pages) + behind, [right, by_soundfile(behind)]


def _up_to_page(codec: str, n: int) -> tuple[list[bytes], list[Signal]]:
    pages = ogg_pages(OGG[codec]())
    sr, y = by_soundfile(OGG[codec]())
    pages = pages[:n]
    return list(map(bytes, pages)), [(sr, y[: pages[-1].granule])]


@cases("vorbis", "opus", within=400, **CUT | {"atol": None})
def ogg_cut_between_pages(codec: str) -> Made:
    pages, right = _up_to_page(codec, -1)
    return b"".join(pages), right


@cases("vorbis", "opus", within=400, **CUT | {"atol": None})
def ogg_cut_in_a_page(codec: str) -> Made:
    pages, right = _up_to_page(codec, -1)
    return b"".join(pages) + bytes(ogg_pages(OGG[codec]())[-1])[:300], right


@cases("vorbis", "opus", within=400, **CUT | {"atol": None})
def ogg_with_a_damaged_last_page(codec: str) -> Made:
    pages, right = _up_to_page(codec, -1)
    return b"".join(pages) + with_damage(bytes(ogg_pages(OGG[codec]())[-1]), 200), right


# --- FLAC


def _flac_frames(which: str = "LOUD") -> tuple[bytes, list[tuple[int, int, float]]]:
    data = file_of("flac", which)
    return data, packets(data)


@trouble("flac, flac of the same length", n_streams=2, decoder="libsndfile+dr_flac")
def _() -> Made:
    return file_of("flac") + file_of("flac", "QUIET"), [(SR, LOUD), (SR, QUIET)]


@trouble("flac, shorter flac", n_streams=2, decoder="libsndfile+dr_flac")
def _() -> Made:
    return file_of("flac") + file_of("flac", "SHORT"), [(SR, LOUD), (SR, SHORT)]


@trouble("flac, longer flac", n_streams=2, decoder="libsndfile+dr_flac")
def _() -> Made:
    return file_of("flac", "SHORT") + file_of("flac"), [(SR, SHORT), (SR, LOUD)]


@trouble("three flac of other channels and rates", n_streams=3, decoder="libsndfile+dr_flac")
def _() -> Made:
    parts = [file_of("flac"), file_of("flac", "STEREO"), file_of("flac", "QUIET", 48_000)]
    return b"".join(parts), [(SR, LOUD), (SR, STEREO), (48_000, QUIET)]


@trouble("flac, flac behind id3", n_streams=2)
def _() -> Made:
    return id3v2() + file_of("flac") + file_of("flac", "SHORT"), [(SR, LOUD), (SR, SHORT)]


@trouble("flac, id3, flac", n_streams=2, decoder="libsndfile+dr_flac")
def _() -> Made:
    return file_of("flac") + id3v2() + file_of("flac", "SHORT"), [(SR, LOUD), (SR, SHORT)]


@trouble("flac behind id3")
def _() -> Made:
    return id3v2(5000) + file_of("flac"), [(SR, LOUD)]


@trouble("flac behind junk")
def _() -> Made:
    return b"junk" * 300 + file_of("flac"), [(SR, LOUD)]


@trouble("flac behind id3 and junk")
def _() -> Made:
    return id3v2(500) + bytes(77) + file_of("flac"), [(SR, LOUD)]


@cases(1100, 20_000, 1_000_000)
def flac_behind_id3_of_1000_bytes_that_claims(n_bytes: int) -> Made:
    return id3v2(1000, claims=n_bytes) + file_of("flac"), [(SR, LOUD)]


@trouble("flac without its header", **BY_FFMPEG)
def _() -> Made:
    data, frames = _flac_frames()
    return data[frames[0][0] :], [(SR, LOUD)]


@cases(0, 1, 4096, SR)
def flac_that_counts_too_few(total: int) -> Made:
    return with_flac_total(file_of("flac"), total), [(SR, LOUD)]


@cases(SR * 100, 2**36 - 1, **CUT)
def flac_that_counts_too_many(total: int) -> Made:
    return with_flac_total(file_of("flac"), total), [(SR, LOUD)]


def _without_frame(index: int) -> tuple[bytes, int, int, np.ndarray]:
    """A FLAC file, offset and size of one frame, and the samples without that frame."""
    data, frames = _flac_frames()
    place, size, begin_s = frames[index]
    begin = round(begin_s * SR)
    end = round(frames[index + 1][2] * SR) if index + 1 else len(LOUD)
    return data, place, size, np.concatenate([LOUD[:begin], LOUD[end:]])


@cases(1, 2, 3, 7, whole_s=1.5, decoding="damaged", **BY_FFMPEG)
def flac_with_a_damaged_byte_in_frame(index: int) -> Made:
    data, place, size, right = _without_frame(index)
    return with_damage(data, place + size // 2), [(SR, right)]


@trouble("flac with a damaged first frame", whole_s=1.5, decoding="damaged", **BY_FFMPEG)
def _() -> Made:
    data, place, size, right = _without_frame(0)
    return with_damage(data, place + size // 2), [(SR, right)]


@trouble("flac with a frame of zeros", whole_s=1.5, decoding="damaged", **BY_FFMPEG)
def _() -> Made:
    data, place, size, right = _without_frame(7)
    return patched(data, place, bytes(size)), [(SR, right)]


@trouble("flac with a damaged last frame", **CUT)
def _() -> Made:
    data, place, size, right = _without_frame(-1)
    return with_damage(data, place + size // 2), [(SR, right)]


@trouble(
    "damage in the second of two flac",
    n_streams=2,
    decoding="damaged",
    whole_s=1.5 + len(SHORT) / SR,
    decoder="libsndfile+ffmpeg",
)
def _() -> Made:
    data, place, _, right = _without_frame(7)
    return file_of("flac", "SHORT") + with_damage(data, place + 99), [(SR, SHORT), (SR, right)]


@trouble(
    "damage in the first of two flac",
    n_streams=2,
    decoding="damaged",
    whole_s=1.5 + len(SHORT) / SR,
    decoder="libsndfile+ffmpeg",
)
def _() -> Made:
    data, place, _, right = _without_frame(7)
    return with_damage(data, place + 99) + file_of("flac", "SHORT"), [(SR, right), (SR, SHORT)]


@cases("in a frame", "in a frame's header", "between frames", **CUT)
def flac_cut(where: str) -> Made:
    data, frames = _flac_frames()
    place, size, begin_s = frames[9]
    more = {"in a frame": size // 2, "in a frame's header": 3, "between frames": 0}[where]
    return data[: place + more], [(SR, LOUD[: round(begin_s * SR)])]


# --- MP3


@functools.cache
def raw_mp3(which: str = "LOUD", sr: int = SR) -> bytes:
    return without_info(file_of("mp3", which, sr))


@trouble("mp3, mp3, each with a count", n_streams=2)
def _() -> Made:
    parts = [file_of("mp3"), file_of("mp3", "QUIET")]
    return b"".join(parts), [by_soundfile(part) for part in parts]


BETWEEN = {
    "id3v2": id3v2(),
    "large id3v2": id3v2(200_000, fill=b"\xff\xfb"),
    "id3v1": id3v1(),
    "ape": ape(),
    "all of them": ape() + id3v1() + id3v2(),
}


@cases(*BETWEEN, n_streams=2)
def counted_mp3_joined_with(tag: str) -> Made:
    parts = [file_of("mp3"), file_of("mp3", "QUIET")]
    return BETWEEN[tag].join(parts), [by_soundfile(part) for part in parts]


@cases(*BETWEEN, n_streams=2)
def raw_mp3_joined_with(tag: str) -> Made:
    parts = [raw_mp3(), raw_mp3("QUIET")]
    return BETWEEN[tag].join(parts), [_all_of(part) for part in parts]


def _all_of(raw: bytes) -> Signal:
    """Samples of all frames, including delay and padding of the encoder."""
    frames = mp3_frames(raw)
    sr, y = by_pyav(raw, container="mp3")
    assert len(y) == len(frames) * (1152 if frames[0][1] >> 3 & 3 == 3 else 576)
    return sr, y


@trouble("mp3, mp3, neither with a count", atol=None)
def _() -> Made:
    parts = [raw_mp3(), raw_mp3("QUIET")]
    return b"".join(parts), [_all_of(part) for part in parts]


@trouble("mp3, mp3 of another rate", n_streams=2)
def _() -> Made:
    parts = [raw_mp3(), raw_mp3("QUIET", 22_050)]
    return b"".join(parts), [_all_of(part) for part in parts]


@trouble("mp3, mp3 of more channels", n_streams=2)
def _() -> Made:
    parts = [raw_mp3(), raw_mp3("STEREO")]
    return b"".join(parts), [_all_of(part) for part in parts]


@trouble("mp3 of a variable bit rate without a count", atol=1e-4)
def _() -> Made:
    # libsndfile guesses the length from the first frame, which is four times as large as the last
    loud_first = np.concatenate([LOUD, LOUD, np.zeros_like(LOUD), QUIET[:SR] / 50])
    raw = without_info(encode(loud_first, SR, fmt="MP3"))
    assert len(by_soundfile(raw)[1]) < 0.9 * len(loud_first)
    return raw, [_all_of(raw)]


@cases(0, 10, 40)
def mp3_that_counts_too_few(n_frames: int) -> Made:
    healthy = file_of("mp3")
    sr, y = _all_of(without_info(healthy))
    n_delay = _delay(healthy)
    return with_info_count(healthy, n_frames), [(sr, y[n_delay : n_delay + len(LOUD)])]


def _delay(mp3: bytes) -> int:
    """Delay [samples]: the encoder's, from the LAME header, plus the decoder's."""
    place = mp3.index(b"LAME", 0, 400)
    return (int.from_bytes(mp3[place + 21 : place + 24], "big") >> 12) + 529


@cases(70, 100_000, **CUT)
def mp3_that_counts_too_many(n_frames: int) -> Made:
    healthy = file_of("mp3")
    sr, y = _all_of(without_info(healthy))
    return with_info_count(healthy, n_frames), [(sr, y[_delay(healthy) :])]


HALF_FRAME = {"half a frame": mp3_frames(raw_mp3("QUIET"))[5][200:]}
HEADER = raw_mp3("QUIET")[:4]
IN_FRONT = HALF_FRAME | {
    "zeros": bytes(700),
    "many zeros": bytes(100_000),
    "spaces": b" " * 300,
    "ape": ape(),
    "two id3v2": id3v2() + id3v2(3000),
    "id3v2, then zeros": id3v2() + bytes(417),
    "id3v2 that claims too little": id3v2(1000, claims=600),
    "id3v2 that claims somewhat too much": id3v2(1000, claims=1100),
    "id3v2 that claims more than there is": id3v2(1000, claims=200_000_000),
    "a shoutcast answer": b"ICY 200 OK\r\nicy-name: radio\r\nicy-metaint:8192\r\n\r\n",
    "a web page": b"<html><body>" * 30,
    "a valid header": b"junk" + HEADER + b"junk" * 200,
    "two valid headers, one behind the other": b"junk" + mp3_frames(raw_mp3("QUIET"))[3] + HEADER,
    "sync bytes": b"\xff\xfb\xff\xfb" * 50,
}


@cases(*IN_FRONT)
def mp3_behind(what: str) -> Made:
    healthy = file_of("mp3")
    return IN_FRONT[what] + healthy, [by_soundfile(healthy)]


BROKEN = {
    "zeros": bytes(1500),
    "random bytes": np.random.default_rng(3).bytes(1500),
    "text": b"<html>hello " * 125,
}


@cases(*BROKEN, lost_s=None, within=1152, **DAMAGED, **BY_FFMPEG)
def mp3_damaged_by(what: str) -> Made:
    frames = mp3_frames(raw_mp3())
    sr, y = _all_of(b"".join(frames))
    place = sum(map(len, frames[:25]))
    n, end = 25, place
    while end < place + 1500:
        end += len(frames[n])
        n += 1
    return patched(raw_mp3(), place, BROKEN[what]), [
        (sr, np.delete(y, slice(25 * 1152, n * 1152), 0))
    ]


@trouble(
    "damage in the second of two mp3",
    n_streams=2,
    lost_s=None,
    within=1152,
    **DAMAGED,
    decoder="libsndfile+ffmpeg",
)
def _() -> Made:
    healthy = file_of("mp3", "QUIET")
    data, (right,) = mp3_damaged_by("zeros")
    return healthy + id3v1() + data, [by_soundfile(healthy), right]


def _frames_with(how: str) -> tuple[list[bytes], int, int]:
    """Frames of an MP3, number of header frames among them, and samples cut off in front."""
    healthy = file_of("mp3")
    if how == "with a count":
        return mp3_frames(healthy), 1, _delay(healthy)
    return mp3_frames(raw_mp3()), 0, 0


@trouble("mp3 with a count, damaged behind it", lost_s=None, within=1152, **DAMAGED, **BY_FFMPEG)
def _() -> Made:
    frames, _, _ = _frames_with("with a count")
    sr, y = _all_of(b"".join(frames[1:]))
    return frames[0] + b"junk" + b"".join(frames[1:]), [(sr, y[2 * 1152 :])]


@trouble("mp3 without a count, damaged in its second frame", lost_s=None, **DAMAGED)
def _() -> Made:
    # mpg123 returns zeros until it has all the bits that a frame needs from earlier frames
    frames, _, _ = _frames_with("without a count")
    sr, y = _all_of(b"".join(frames))
    right = np.concatenate([np.zeros((3 * 1152, 1), np.float32), y[5 * 1152 :]])
    return frames[0] + b"junk" + b"".join(frames[2:]), [(sr, right)]


@cases("with a count", "without a count", **CUT)
def mp3_damaged_in_its_last_header(how: str) -> Made:
    frames, n_counts, begin = _frames_with(how)
    sr, y = _all_of(b"".join(frames[n_counts:-1]))
    return b"".join(frames[:-1]) + bytes(4) + frames[-1][4:], [(sr, y[begin:])]


@trouble("mp3 that ends in random bytes", **CUT)
def _() -> Made:
    kept = b"".join(mp3_frames(raw_mp3())[:40])
    return kept + np.random.default_rng(8).bytes(5000), [_all_of(kept)]


@trouble("mp3 without a count, cut in its third frame", **CUT)
def _() -> Made:
    frames = mp3_frames(raw_mp3())
    return b"".join(frames[:2]) + frames[2][:50], [_all_of(b"".join(frames[:2]))]


@trouble("mp3, mp3 cut behind its first frame", n_streams=2, atol=None, within=1152, **CUT)
def _() -> Made:
    healthy, behind = file_of("mp3"), mp3_frames(file_of("mp3", "QUIET"))
    return healthy + b"".join(behind[:2]), [by_soundfile(healthy)]


@cases("with a count", "without a count", **CUT)
def mp3_cut_in_a_frame(how: str) -> Made:
    healthy = file_of("mp3") if how == "with a count" else raw_mp3()
    frames = mp3_frames(healthy)
    kept = b"".join(frames[:40])
    sr, y = _all_of(kept if how == "without a count" else b"".join(frames[1:40]))
    return kept + frames[40][:100], [(sr, y[_delay(healthy) if how == "with a count" else 0 :])]


@trouble("mp3 with a count, cut between frames", **CUT)
def _() -> Made:
    healthy = file_of("mp3")
    kept = mp3_frames(healthy)[:40]
    sr, y = _all_of(b"".join(kept[1:]))
    return b"".join(kept), [(sr, y[_delay(healthy) :])]


@trouble("mp3 without a count, cut between frames")
def _() -> Made:
    kept = b"".join(mp3_frames(raw_mp3())[:40])
    return kept, [_all_of(kept)]


@trouble("mp3 cut in a frame, mp3 behind it", n_streams=2, lost_s=None, within=1152, **DAMAGED)
def _() -> Made:
    healthy, behind = file_of("mp3"), file_of("mp3", "QUIET")
    frames = mp3_frames(healthy)
    sr, y = _all_of(b"".join(frames[1:30]))
    cut = b"".join(frames[:30]) + frames[30][:100]
    return cut + behind, [(sr, y[_delay(healthy) :]), by_soundfile(behind)]


# --- ADTS, MP4, Matroska and others


@cases("id3v2", "two id3v2", "zeros", "a web page", "half a frame", **BY_FFMPEG)
def adts_behind(what: str) -> Made:
    healthy = made("adts", LOUD)
    front = packets(healthy)[5]
    half = healthy[front[0] + 100 : front[0] + front[1]]
    prefix = {"id3v2": id3v2(), "half a frame": half}.get(what) or IN_FRONT[what]
    return prefix + healthy, [by_pyav(healthy)]


@trouble("adts, adts of another rate, adts of more channels", n_streams=3, **BY_FFMPEG)
def _() -> Made:
    parts = [made("adts", LOUD), encode_by_ffmpeg(QUIET, 22_050, "adts", "aac", "fltp")]
    parts.append(made("adts", STEREO))
    return b"".join(parts), [by_pyav(part) for part in parts]


@trouble("adts damaged in its second frame", lost_s=None, within=4096, **DAMAGED, **BY_FFMPEG)
def _() -> Made:
    healthy = made("adts", LOUD)
    place = packets(healthy)[1][0]
    sr, y = by_pyav(healthy)
    return patched(healthy, place, bytes(4)), [(sr, np.delete(y, slice(1024, 2048), 0))]


@trouble("adts with a frame of zeros", lost_s=None, **DAMAGED, **BY_FFMPEG)
def _() -> Made:
    healthy = made("adts", LOUD)
    place, size, begin_s = packets(healthy)[30]
    sr, y = by_pyav(healthy)
    begin = round(begin_s * sr)
    return patched(healthy, place, bytes(size)), [(sr, np.delete(y, slice(begin, begin + 1024), 0))]


@trouble("adts cut in a frame", atol=None, **CUT, **BY_FFMPEG)
def _() -> Made:
    healthy = made("adts", LOUD)
    place, size, begin_s = packets(healthy)[40]
    sr, y = by_pyav(healthy)
    return healthy[: place + size // 2], [(sr, y[: round(begin_s * sr)])]


@cases("m4a_alac", "mka_flac", whole_s=1.5, within=100, **DAMAGED, **BY_FFMPEG)
def packet_damaged_in(name: str) -> Made:
    healthy = made(name, LOUD)
    found = packets(healthy)
    place, size, begin_s = found[len(found) // 2]
    end_s = found[len(found) // 2 + 1][2]
    sr, y = by_pyav(healthy)
    begin, end = round(begin_s * sr), round(end_s * sr)
    return patched(healthy, place, b"\xff" * size), [(sr, np.delete(y, slice(begin, end), 0))]


@trouble("packet damaged in m4a_aac", lost_s=1024 / SR, **DAMAGED, **BY_FFMPEG)
def _() -> Made:
    return packet_damaged_in("m4a_aac")


@trouble("wma cut in a packet", within=2048, atol=None, **CUT, **BY_FFMPEG)
def _() -> Made:
    healthy = made("wma", LOUD)
    place, size, begin_s = packets(healthy)[24]
    sr, y = by_pyav(healthy)
    return healthy[: place + size // 2], [(sr, y[: round(begin_s * sr)])]


@trouble("wavpack with a damaged block", lost_s=None, decoding="damaged", **BY_FFMPEG)
def _() -> Made:
    healthy = made("wavpack", LOUD)
    return with_damage(healthy, 50_000, 10), [(SR, LOUD[SR:])]


@trouble("ac3 with a damaged frame", lost_s=None, **DAMAGED, **BY_FFMPEG)
def _() -> Made:
    healthy = made("ac3", LOUD)
    place, size, _ = packets(healthy)[20]
    sr, y = by_pyav(healthy)
    return with_damage(healthy, place + size // 2, 9), [
        (sr, np.delete(y, slice(30_720, 32_256), 0))
    ]


@trouble("ogg flac without a page", lost_s=None, decoding="damaged", **BY_FFMPEG)
def _() -> Made:
    pages = ogg_pages(made("ogg_flac", LOUD))
    first = next(i for i, page in enumerate(pages) if page.granule > 0)
    return joined(pages[:first] + pages[first + 1 :]), [(SR, LOUD[pages[first].granule :])]


@trouble("mka cut in a packet", **CUT, **BY_FFMPEG)
def _() -> Made:
    healthy = made("mka_flac", LOUD)
    place, size, _ = packets(healthy)[10]
    return healthy[: place + size // 2], [(SR, LOUD[: 10 * 4608])]


@trouble("mka with a damaged last packet", **CUT, **BY_FFMPEG)
def _() -> Made:
    healthy = made("mka_flac", LOUD)
    found = packets(healthy)
    place, size, _ = found[-1]
    return with_damage(healthy, place + size // 2), [(SR, LOUD[: 4608 * (len(found) - 1)])]


@trouble("m4a in fragments, cut", **CUT, **BY_FFMPEG)
def _() -> Made:
    options = {"movflags": "frag_every_frame+empty_moov+default_base_moof"}
    healthy = encode_by_ffmpeg(LOUD, SR, "mp4", "alac", "s16p", **options)
    place, size, _ = packets(healthy)[10]
    return healthy[: place + size // 2], [(SR, LOUD[: 10 * 4096])]


# --- WAV and the like: sizes

N_BYTES = 2 * len(LOUD)
SIZES = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFFF00, 0xFFFFF000)


@dataclass(frozen=True)
class Sized:
    """Offset and format of the size field in a family of files."""

    name: str
    form: str
    mark: bytes
    behind: int
    excess: int = 0

    @property
    def data(self) -> bytes:
        return file_of(self.name)

    def with_size(self, size: int) -> bytes:
        place = self.data.index(self.mark) + self.behind
        largest = 256 ** struct.calcsize(self.form) - 1
        field = struct.pack(self.form, min(size + self.excess, largest) if size else 0)
        return patched(self.data, place, field)


SIZED = {
    "wav": Sized("wav16", "<I", b"data", 4),
    "rf64": Sized("rf64", "<Q", b"ds64", 16),
    "w64": Sized("w64", "<Q", b"data\xf3\xac", 16, 24),
    "aiff": Sized("aiff", ">I", b"SSND", 4, 8),
    "caf": Sized("caf", ">Q", b"data", 4, 4),
    "au": Sized("au", ">I", b".snd", 8),
}
OUTER = {"wav": "<I", "rf64": "<I", "aiff": ">I"}


@cases(*(f"{name} {size:#x}" for name in SIZED for size in SIZES))
def size_never_updated(what: str) -> Made:
    """Both sizes are as a recorder leaves them that cannot return to the header."""
    name, size = what.split()
    data = SIZED[name].with_size(int(size, 16))
    if name in OUTER:
        data = patched(data, 4, struct.pack(OUTER[name], int(size, 16)))
    return data, [(SR, LOUD)]


@cases("wav 0x0", "aiff 0x0", "au 0x0")
def size_never_updated_before_silence(what: str) -> Made:
    data, _ = size_never_updated(what)
    return data + bytes(5000), [(SR, np.vstack([LOUD, np.zeros((2500, 1), np.float32)]))]


@cases("wav", "rf64", "w64", "aiff")
def samples_size_0_in_a_right_outer_size(name: str) -> Made:
    return SIZED[name].with_size(0), [(SR, LOUD)]


@cases("wav", "rf64", "w64", "aiff", "au")
def samples_size_too_small(name: str) -> Made:
    return SIZED[name].with_size(10_000), [(SR, LOUD)]


@trouble("samples size too small, and no outer size: caf", **CUT)
def _() -> Made:
    return SIZED["caf"].with_size(10_000), [(SR, LOUD[:5_000])]


@cases("wav", "rf64", "w64", "aiff")
def samples_size_too_large_for_the_outer(name: str) -> Made:
    return SIZED[name].with_size(2 * N_BYTES), [(SR, LOUD)]


@cases("wav", "aiff", "au", "caf", **CUT)
def sizes_too_large(name: str) -> Made:
    data = SIZED[name].with_size(2 * N_BYTES)
    if name in OUTER:
        data = patched(data, 4, struct.pack(OUTER[name], len(data) - 8 + N_BYTES))
    return data, [(SR, LOUD)]


@cases("wav", "aiff", "w64", "caf", "rf64", "au", **CUT)
def samples_cut(name: str) -> Made:
    data = SIZED[name].data
    end = data.index(pcm(LOUD[-10:], "<" if name in ("wav", "w64", "rf64") else ">"))
    return data[: end - 30_001], [(SR, LOUD[: (N_BYTES - 20 - 30_001) // 2])]


SMALL = on_grid(noise(0.7, level=0.2)).reshape(-1, 1)


@trouble("wav: too small a size on which both agree", **CUT)
def _() -> Made:
    n = len(SMALL) // 2
    data = wav(pcm(SMALL), data_size=2 * n, riff_size=36 + 2 * n)
    return data, [(22_050, SMALL[:n])]


@trouble("aiff: too small a size on which both agree", **CUT)
def _() -> Made:
    n = len(SMALL) // 2
    data = aiff(pcm(SMALL, ">"), n_samples=n, data_size=2 * n, form_size=46 + 2 * n)
    return data, [(22_050, SMALL[:n])]


@trouble("two wav", **CUT)
def _() -> Made:
    return file_of("wav16") + file_of("wav16", "QUIET"), [(SR, LOUD)]


@cases("LIST", "bext", "id3 ", "odd")
def wav_with_chunks_around(name: str) -> Made:
    body = b"INFOINAM\5\0\0\0name\0\0" + bytes(602 if name != "odd" else 601)
    extra = chunk(b"LIST" if name == "odd" else name.encode(), body)
    return wav(pcm(SMALL), before=extra, after=extra), [(22_050, SMALL)]


@cases("id3", "zeros", "junk")
def wav_behind(what: str) -> Made:
    prefix = {"id3": id3v2(), "zeros": bytes(100), "junk": b"some junk"}[what]
    return prefix + file_of("wav16"), [(SR, LOUD)]


@cases("id3", "zeros")
def aiff_behind(what: str) -> Made:
    return {"id3": id3v2(), "zeros": bytes(100)}[what] + file_of("aiff"), [(SR, LOUD)]


@trouble("wav of an odd number of bytes, with a pad byte")
def _() -> Made:
    y = SMALL[:-1] if len(SMALL) % 2 == 0 else SMALL
    values = np.round(y * 127).astype(np.int16)
    data = wav((values + 128).astype(np.uint8).tobytes(), bits=8, after=b"")
    return data, [(22_050, (values / 128).astype(np.float32))]


@trouble("wav of an odd number of bytes, without the pad byte")
def _() -> Made:
    data, right = TROUBLES["wav of an odd number of bytes, with a pad byte"].make()
    return data[:-1], right


@trouble("wav of an odd number of bytes, a chunk behind")
def _() -> Made:
    values = np.round(SMALL[:10_001] * 127).astype(np.int16)
    after = chunk(b"LIST", b"INFO" + bytes(50))
    data = wav((values + 128).astype(np.uint8).tobytes(), bits=8, after=after)
    return data, [(22_050, (values / 128).astype(np.float32))]


@cases("lower three", "upper three")
def wav_of_24_bits_in_four_bytes(which: str) -> Made:
    y24 = np.round(noise(0.7, level=0.2).astype(np.float64) * 2**23).astype(np.int32)
    words = y24 << 8 if which == "upper three" else y24
    data = wav(words.astype("<i4").tobytes(), bits=24, frame_bytes=4)
    return data, [(22_050, (y24 / 2**23).astype(np.float32).reshape(-1, 1))]


@trouble("wav of 24 bits as floats of that range")
def _() -> Made:
    y = (noise(0.7, level=0.2) * 2**23).astype("<f4")
    return wav(y.tobytes(), bits=24, frame_bytes=4), [(22_050, (y / 2**23).reshape(-1, 1))]
