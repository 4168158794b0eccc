"""RIFF, AIFF and similar formats: offsets of the samples when sizes are wrong."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from featurelib.audio import riff
from tests.featurelib.support.surgery import aiff, chunk, id3v1, wav

UNKNOWN = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFF0000, 0xFFFFF000)


def reader(data: bytes):
    return lambda place, n: data[place : place + n]


#: Samples that do not look like a chunk or padding.
SAMPLES = st.binary(min_size=10, max_size=400).map(
    lambda data: bytes(byte | 0x80 for byte in data[: len(data) // 2 * 2])
)
NAMES = st.sampled_from([b"LIST", b"bext", b"id3 ", b"JUNK", b"fact", b"cue ", b"PAD "])
CHUNKS = st.lists(st.tuples(NAMES, st.binary(max_size=70)), max_size=4)


def chunks(parts: list[tuple[bytes, bytes]], order: str) -> bytes:
    return b"".join(chunk(name, body, order) for name, body in parts)


def build(family: str, samples: bytes, before, after, data_size=None, outer=None) -> bytes:
    if family == "wav":
        return wav(
            samples,
            before=chunks(before, "<"),
            after=chunks(after, "<"),
            data_size=data_size,
            riff_size=outer,
        )
    return aiff(
        samples,
        n_samples=len(samples) // 2,
        before=chunks(before, ">"),
        after=chunks(after, ">"),
        data_size=data_size,
        form_size=outer,
    )


#: Distance from the size field to the samples, and bytes that the size counts in addition.
FIELD = {"wav": (4, 0), "aiff": (12, 8)}
FAMILY = st.sampled_from(sorted(FIELD))


@given(FAMILY, SAMPLES, CHUNKS, CHUNKS, st.binary(max_size=5))
def test_right_sizes_are_believed_among_any_chunks(family, samples, before, after, front):
    data = build(family, samples, before, after)
    found = riff.sizes(reader(front + data), len(front), len(front) + len(data))
    assert found is not None
    begin = found.data + (8 if family == "aiff" else 0)
    assert begin == len(front) + data.index(samples, data.index(FIRST[family]))
    assert (found.end, found.fields, found.cut) == (begin + len(samples), (), False)
    assert (found.gain, found.is_gsm) == (1.0, False)


FIRST = {"wav": b"data", "aiff": b"SSND"}


def corrected(data: bytes, found: riff.Sizes) -> bytes:
    for place, field in found.fields:
        data = data[:place] + field + data[place + len(field) :]
    return data


@given(FAMILY, SAMPLES, CHUNKS, st.sampled_from(UNKNOWN), st.sampled_from((*UNKNOWN, 0)))
def test_sizes_that_say_unknown_are_corrected_to_the_end(family, samples, before, size, outer):
    data = build(family, samples, before, [], size - FIELD[family][1], outer)
    found = riff.sizes(reader(data), 0, len(data))
    assert found is not None
    assert (found.end, found.cut) == (len(data), False)
    right = build(family, samples, before, [])
    assert corrected(data, found)[12:] == right[12:]


@given(FAMILY, SAMPLES, CHUNKS, st.integers(1, 300), st.booleans())
def test_a_smaller_size_that_the_outer_one_denies_is_corrected(
    family, samples, before, size, is_tagged
):
    """The outer size fits the whole file, so the size of the samples is wrong."""
    assume(size < len(samples) - 9)  # fewer bytes would be padding
    data = build(family, samples, before, [], size)
    tag = id3v1() if is_tagged else b""
    found = riff.sizes(reader(data + tag), 0, len(data) + len(tag))
    assert found is not None
    assert (found.end, found.cut) == (len(data), False)
    assert corrected(data, found) == build(family, samples, before, [])


@given(FAMILY, SAMPLES, CHUNKS, st.sampled_from((0, 36)))
def test_sizes_of_an_interrupted_recorder_are_corrected(family, samples, before, outer):
    data = build(family, samples, before, [], 0, outer)
    if family == "aiff":  # a recorder counts the eight bytes before the samples
        place = data.rindex(b"SSND")  # earlier chunks may contain the name as well
        data = data[: place + 4] + bytes(4) + data[place + 8 :]
    found = riff.sizes(reader(data), 0, len(data))
    assert found is not None
    assert (found.end, found.cut) == (len(data), False)
    assert corrected(data, found)[12:] == build(family, samples, before, [])[12:]


@given(FAMILY, SAMPLES, CHUNKS, CHUNKS, st.data())
def test_a_file_that_ends_within_its_samples_is_cut(family, samples, before, after, draw):
    data = build(family, samples, before, after)
    n = draw.draw(st.integers(2, len(samples)))
    begin = data.index(samples, data.index(FIRST[family]))
    part = data[: begin + len(samples) - n]
    found = riff.sizes(reader(part), 0, len(part))
    assert found is not None
    assert (found.end, found.cut) == (len(part), True)


@given(
    FAMILY,
    SAMPLES,
    CHUNKS,
    CHUNKS,
    st.integers(0, 2**32 - 9),
    st.integers(0, 2**32 - 1),
    st.integers(0, 600),
)
def test_any_sizes_at_all_give_a_stretch_within_the_file(
    family, samples, before, after, size, outer, n
):
    data = build(family, samples, before, after, size, outer)[:n]
    if not riff.is_riff(data.ljust(16, b"\0")):
        return
    found = riff.sizes(reader(data), 0, len(data))
    if found is not None:
        assert 0 < found.data <= len(data)
        assert found.data <= found.end <= len(data)
        assert len(corrected(data, found)) == len(data)


def test_plain_files_are_told_from_others():
    plain = wav(b"\x85" * 100)
    assert riff.is_plain(plain[:64], len(plain))
    for other in (
        wav(b"\x85" * 100, after=chunk(b"LIST", b"INFO")),
        wav(b"\x85" * 100, before=chunk(b"LIST", b"INFO")),
        wav(b"\x85" * 100, data_size=99),
        wav(b"\x85" * 100, bits=24, frame_bytes=4),
        wav(b"\x85" * 100, tag=0x31),
        plain + b"\0",
        plain[:-1],
    ):
        assert not riff.is_plain(other[:64], len(other))


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b"RIFF\0\0\0\0WAVE", True),
        (b"RIFX\0\0\0\0WAVE", True),
        (b"RF64\0\0\0\0WAVE", True),
        (b"FORM\0\0\0\0AIFF", True),
        (b"FORM\0\0\0\0AIFC", True),
        (b"caff\0\1\0\0", True),
        (b".snd\0\0\0\x18", True),
        (b"RIFF\0\0\0\0AVI ", False),
        (b"FORM\0\0\0\x008SVX", False),
        (b"riff\0\0\0\0WAVE", False),
    ],
)
def test_families_are_known_by_how_they_begin(head, is_one):
    assert riff.is_riff(head.ljust(16, b"\0")) is is_one
