"""Ogg: links of a chain, checksums of pages, and missing data."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib.audio import ogg
from tests.featurelib.support.encoders import made
from tests.featurelib.support.signals import encode, noise
from tests.featurelib.support.surgery import Page, joined, ogg_pages, with_damage

HEADS = {
    "vorbis": b"\x01vorbis\0\0\0\0\1" + (1000).to_bytes(4, "little") + bytes(14),
    "opus": b"OpusHead\1\1" + bytes(9),
    "flac": b"\x7fFLAC" + bytes(46),
    None: b"\x80theora" + bytes(40),
}
RATES = {"vorbis": 1000, "opus": 48_000, "flac": 0, None: 0}


def reader(data: bytes):
    return lambda place, n: data[place : place + n]


def page(number: int, *, flags: int = 0, granule: int = 0, serial: int = 1, body: bytes) -> Page:
    table = bytes([255] * (len(body) // 255) + [len(body) % 255])
    return Page(flags, granule, serial, number, table, body)


def link(codec: str | None, n_pages: int, *, serial: int = 1, fill: int = 7) -> list[bytes]:
    """A page with the codec's header, then pages of 100 granule positions each."""
    pages = [page(0, flags=2, serial=serial, body=HEADS[codec])]
    for number in range(1, n_pages):
        flags = 4 if number == n_pages - 1 else 0
        body = bytes([fill]) * (300 + number)
        pages.append(page(number, flags=flags, granule=100 * number, serial=serial, body=body))
    return list(map(bytes, pages))


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.integers(-1, 2**62), st.data())
def test_checksums_are_those_of_a_slow_one(body, serial, granule, draw):
    data = bytes(page(3, serial=serial, granule=granule, body=body))
    assert ogg._is_whole(data)
    place = draw.draw(st.integers(0, len(data) - 1))
    assert not ogg._is_whole(with_damage(data, place))


LINKS = st.lists(
    st.tuples(st.sampled_from(sorted(HEADS, key=str)), st.integers(3, 7), st.integers(1, 3)),
    min_size=1,
    max_size=5,
)


@given(LINKS)
def test_links_of_a_chain_are_found_where_they_are(parts):
    data, right = b"", []
    for codec, n_pages, serial in parts:
        pages = b"".join(link(codec, n_pages, serial=serial))
        right.append((len(data), len(data) + len(pages), codec, RATES[codec]))
        data += pages
    found = ogg.links(reader(data), 0, len(data))
    assert [(it.start, it.end, it.codec, it.rate) for it in found] == right
    assert not any(it.damaged or (it.cut and it.codec) for it in found)
    assert not any(it.lost for it in found)


@given(st.integers(0, 2), st.integers(2, 6), st.sampled_from(["missing", "damaged", "junk before"]))
def test_damage_is_in_its_link_alone(index, number, how):
    """Pages 2 to 6 of 8: the first is the header, and the last would be the end."""
    chain = [link("vorbis", 8, serial=serial) for serial in (1, 2, 3)]
    page_there = chain[index][number]
    chain[index][number] = {
        "missing": b"",
        "damaged": with_damage(page_there, len(page_there) - 5),
        "junk before": b"junk" + page_there,
    }[how]
    data = b"".join(b"".join(pages) for pages in chain)
    found = ogg.links(reader(data), 0, len(data))
    assert [it.damaged for it in found] == [i == index for i in range(3)]
    assert [it.cut for it in found] == [False] * 3
    assert found[index].lost == (100 if how == "junk before" else 200)
    assert [it.start for it in found] == [
        len(b"".join(b"".join(pages) for pages in chain[:i])) for i in range(3)
    ]


@pytest.mark.parametrize("n_bytes", [1, 20, 28, 200])
def test_a_last_page_that_is_not_whole_is_cut(n_bytes):
    pages = link("opus", 5)
    data = b"".join(pages[:-1]) + pages[-1][:n_bytes]
    (found,) = ogg.links(reader(data), 0, len(data))
    assert (found.cut, found.damaged) == (True, False)


def test_a_file_without_its_end_is_cut():
    data = b"".join(link("opus", 5)[:-1])
    (found,) = ogg.links(reader(data), 0, len(data))
    assert (found.cut, found.damaged, found.end) == (True, False, len(data))


def test_streams_side_by_side_are_one_link_and_the_audio_counts():
    video, audio = link(None, 6, serial=1), link("opus", 6, serial=2)
    pages = [video[0], audio[0]]
    pages += [one for pair in zip(video[1:], audio[1:], strict=True) for one in pair]
    data = b"".join(pages)
    (found,) = ogg.links(reader(data), 0, len(data))
    assert (found.codec, found.damaged, found.cut) == ("opus", False, False)
    without = b"".join(pages[:4] + pages[5:])
    (found,) = ogg.links(reader(without), 0, len(without))
    assert found.damaged


def test_only_so_much_is_followed_as_is_wanted():
    data = b"".join(link("vorbis", 100))
    (found,) = ogg.links(reader(data), 0, len(data), duration=3.0)
    assert 3.0 < found.seconds < 5.5
    broken = link("vorbis", 100)
    broken[40] = b""
    data = b"".join(broken)
    (found,) = ogg.links(reader(data), 0, len(data), duration=3.0)
    assert not found.damaged
    (found,) = ogg.links(reader(data), 0, len(data), duration=4.0)
    assert found.damaged


def test_pages_are_followed_over_the_borders_of_what_is_read_at_once():
    pages = [page(0, flags=2, body=HEADS["opus"])]
    pages += [page(n, granule=n, body=bytes([n]) * 60_000) for n in range(1, 60)]
    pages[-1].flags = 4
    data = joined(pages)
    assert len(data) > 3 * 2**20
    (found,) = ogg.links(reader(data), 0, len(data))
    assert (found.end, found.damaged, found.cut) == (len(data), False, False)


@functools.cache
def real(codec: str) -> bytes:
    y = noise(1.0, sr=48_000)
    if codec == "flac":
        return made("ogg_flac", noise(1.0, sr=44_100))
    return encode(np.stack([y, y], axis=1), 48_000, fmt="OGG", subtype=codec.upper())


@pytest.mark.parametrize("codec", ["vorbis", "opus", "flac"])
def test_files_of_real_encoders(codec):
    data = real(codec)
    (found,) = ogg.links(reader(b"front" + data), 5, 5 + len(data))
    assert (found.start, found.end, found.codec) == (5, 5 + len(data), codec)
    assert (found.damaged, found.cut, found.lost) == (False, False, 0)
    assert joined(ogg_pages(data)) == data
    last = ogg_pages(data)[-1]
    assert found.cut == (not replace(last).flags & 4)


def test_what_does_not_begin_with_a_page_has_no_links():
    data = with_damage(b"".join(link("opus", 5)), 40)
    assert ogg.links(reader(data), 0, len(data)) == []
    assert ogg.links(reader(b"OggS"), 0, 4) == []
    assert ogg.links(reader(b""), 0, 0) == []
