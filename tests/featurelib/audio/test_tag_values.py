"""Tags of files in six formats, whoever wrote them, and of hostile files."""

from __future__ import annotations

import io
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

import featurelib
from featurelib.audio import TAGS, open_audio
from featurelib.audio.tag_values import MAX_CHARACTERS, clean, decoded, from_file

WANTED = {
    "artist": "Ärtist & ☃",
    "album": "Album",
    "title": "Tîtle",
    "date": "2001-02-03",
    "genre": "Drum & Bass",
    "track": "3/12",
}
_Y = (0.1 * np.sin(np.arange(22_050) / 20)).astype(np.float32)
_SF_NAMES = {"track": "tracknumber"}


def by_soundfile(form: str, subtype: str, tags: dict[str, str] = WANTED) -> bytes:
    sink = io.BytesIO()
    with sf.SoundFile(sink, "w", 48_000, 1, subtype, format=form) as file:
        for name, text in tags.items():
            setattr(file, _SF_NAMES.get(name, name), text)
        file.write(_Y)
    return sink.getvalue()


def by_ffmpeg(form: str, codec: str, tags: dict[str, str] = WANTED) -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=48_000)
        stream.layout = "mono"
        container.metadata.update(tags)
        frame = av.AudioFrame.from_ndarray(_Y[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=48_000, frame_size=stream.frame_size or None
        )
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(part):
                container.mux(packet)
    return sink.getvalue()


def mp3() -> bytes:
    return by_soundfile("MP3", "MPEG_LAYER_III", {})


_IDS = {
    2: ("TP1", "TAL", "TT2", "TYE", "TCO", "TRK"),
    3: ("TPE1", "TALB", "TIT2", "TYER", "TCON", "TRCK"),
    4: ("TPE1", "TALB", "TIT2", "TDRC", "TCON", "TRCK"),
}
_ENCODINGS = {0: "cp1252", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}


def syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3v2(
    tags: dict[str, str], version: int, encoding: int, *, before: bytes = b"", stuffed: bool = False
) -> bytes:
    """Return an ID3v2 tag; `before` are other frames."""
    body = before
    for name, kind in zip(TAGS, _IDS[version], strict=True):
        if name not in tags:
            continue
        text = bytes([encoding]) + tags[name].encode(_ENCODINGS[encoding]) + b"\0" * 2
        if version == 2:
            body += kind.encode() + struct.pack(">I", len(text))[1:] + text
        else:
            size = syncsafe(len(text)) if version == 4 else struct.pack(">I", len(text))
            body += kind.encode() + size + b"\0\0" + text
    if stuffed:
        body = body.replace(b"\xff", b"\xff\x00")
    body += b"\0" * 20
    return b"ID3" + bytes([version, 0, 0x80 if stuffed else 0]) + syncsafe(len(body)) + body


def id3v1(track: int = 3) -> bytes:
    fields = [text.encode("cp1252").ljust(30, b"\0") for text in ("Tîtle", "Ärtist", "Album")]
    comment = b"\0" * 29 + bytes([track])
    return b"TAG" + b"".join(fields) + b"2001" + comment + bytes([17])


def tags_of(source: Any) -> dict[str, str]:
    with open_audio(source, with_tags=True) as file:
        assert sum(len(block) for _, block in file.blocks()) > 20_000
        return file.tags()


@pytest.mark.parametrize("is_path", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: by_soundfile("WAV", "PCM_16"), id="wav"),
        pytest.param(lambda: by_ffmpeg("wav", "pcm_s16le"), id="wav-ffmpeg"),
        pytest.param(lambda: by_soundfile("FLAC", "PCM_16"), id="flac"),
        pytest.param(lambda: by_ffmpeg("flac", "flac"), id="flac-ffmpeg"),
        pytest.param(lambda: by_soundfile("OGG", "VORBIS"), id="vorbis"),
        pytest.param(lambda: by_soundfile("OGG", "OPUS"), id="opus"),
        pytest.param(lambda: by_ffmpeg("ogg", "libopus"), id="opus-ffmpeg"),
        pytest.param(lambda: by_ffmpeg("ipod", "aac"), id="m4a"),
        pytest.param(lambda: by_ffmpeg("ipod", "alac"), id="m4a-alac"),
        pytest.param(lambda: by_ffmpeg("wv", "wavpack"), id="wavpack"),
        pytest.param(lambda: id3v2(WANTED, 3, 1) + mp3(), id="mp3-2.3"),
        pytest.param(lambda: id3v2(WANTED, 4, 3) + mp3(), id="mp3-2.4"),
        pytest.param(lambda: id3v2(WANTED, 4, 3) + mp3() + id3v1(), id="mp3-both"),
        pytest.param(lambda: id3v2({}, 4, 3) + id3v2(WANTED, 3, 1) + mp3(), id="mp3-two"),
        pytest.param(lambda: by_soundfile("AIFF", "PCM_16", {}), id="aiff"),
    ],
)
def test_tags_of_formats(make: Callable[[], bytes], is_path: bool, tmp_path: Path) -> None:
    data, wanted = make(), WANTED
    if data[:4] == b"FORM":  # with the chunk that most writers of AIFF write
        tag = id3v2(WANTED, 3, 1)
        tag += b"\0" * (len(tag) % 2)
        data += b"ID3 " + struct.pack(">I", len(tag)) + tag
        data = data[:4] + struct.pack(">I", len(data) - 8) + data[8:]
    path = tmp_path / "file"
    path.write_bytes(data)
    assert tags_of(str(path) if is_path else data) == wanted


def test_id3v1_alone_is_read() -> None:
    wanted = {
        "title": "Tîtle",
        "artist": "Ärtist",
        "album": "Album",
        "date": "2001",
        "track": "3",
        "genre": "Rock",
    }
    assert tags_of(mp3() + id3v1()) == wanted
    assert tags_of(mp3() + id3v1(track=0)) == {k: v for k, v in wanted.items() if k != "track"}
    assert tags_of(mp3()) == {}


def test_a_wav_in_windows_1252() -> None:
    data = by_soundfile("WAV", "PCM_16", {"artist": "Xrtist"}).replace(b"Xrtist", b"\xc4rtist")
    assert tags_of(data) == {"artist": "Ärtist"}


@pytest.mark.parametrize("make", [mp3, lambda: by_soundfile("FLAC", "PCM_16", {})])
def test_punctuation_of_windows(make: Callable[[], bytes]) -> None:
    body = b"\0It\x92s \x80 5"
    frame = b"TIT2" + struct.pack(">I", len(body)) + b"\0\0" + body
    tag = b"ID3\x03\0\0" + syncsafe(len(frame)) + frame
    assert tags_of(tag + make()) == {"title": "It\u2019s \u20ac 5"}


def test_what_ffmpeg_reads_in_windows_1252() -> None:
    tags = {"artist": "Xrtist"}
    data = by_ffmpeg("wav", "adpcm_ms", tags).replace(b"Xrtist", b"\xc4rtist")
    assert tags_of(data) == {"artist": "\u00c4rtist"}
    data = by_ffmpeg("wv", "wavpack", tags).replace(b"Xrtist", b"\xc4rtist")
    assert tags_of(data) == {"artist": "\u00c4rtist"}


@pytest.mark.parametrize(("of_tag", "of_frame"), [(0x80, 0), (0, 2)])
def test_bytes_that_were_inserted_in_version_4(of_tag: int, of_frame: int) -> None:
    text = b"\x01\xff\x00\xfe" + "\u0141\u00ff".encode("utf-16-le").replace(b"\xff", b"\xff\x00")
    frame = b"TIT2" + syncsafe(len(text)) + bytes([0, of_frame]) + text
    tag = b"ID3\x04\0" + bytes([of_tag]) + syncsafe(len(frame)) + frame
    assert tags_of(tag + by_soundfile("FLAC", "PCM_16", {})) == {"title": "\u0141\u00ff"}


def test_chunks_behind_the_samples_of_rf64() -> None:
    data = by_soundfile("RF64", "PCM_16", {})
    assert data[:4] == b"RF64"
    info = b"INFOIART" + struct.pack("<I", 6) + b"Artist"
    assert tags_of(data + b"LIST" + struct.pack("<I", len(info)) + info) == {"artist": "Artist"}


def test_no_tags_unless_asked() -> None:
    with open_audio(by_soundfile("FLAC", "PCM_16")) as file:
        assert list(file.blocks())
        assert file.tags() == {}


def test_tags_are_facts_of_rows_and_null_where_absent() -> None:
    data = by_soundfile("FLAC", "PCM_16", {"genre": "Rock"})
    [rows] = featurelib.extract_rows(data, "tutorial-v1", tags=["genre", "artist"])
    assert (rows.facts["genre"], rows.facts["artist"]) == ("Rock", None)
    assert "title" not in rows.facts
    [rows] = featurelib.extract_rows(data, "tutorial-v1")
    assert "genre" not in rows.facts
    with pytest.raises(featurelib.ParameterError, match=r"unknown tag 'gerne'; did you mean"):
        featurelib.extract_rows(data, "tutorial-v1", tags=["gerne"])


@given(
    st.sampled_from([(2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2), (4, 3)]),
    st.dictionaries(st.sampled_from(["artist", "title"]), st.text(min_size=1, max_size=50)),
    st.booleans(),
)
def test_id3v2_of_any_version_and_encoding(
    kind: tuple[int, int], tags: dict[str, str], stuffed: bool
) -> None:
    version, encoding = kind
    if encoding == 0:
        tags = {name: "Ä" + "".join(filter(str.isalnum, ascii(tags[name]))) for name in tags}
    tags = {name: text.replace("\0", "") for name, text in tags.items()}
    other = {2: b"PIC\0\x10\0", 3: b"APIC\0\0\x10\0\0\0", 4: b"APIC\0\0\x20\0\0\0"}[version]
    stuffed = stuffed and version < 4
    tag = id3v2(tags, version, encoding, before=other + b"x" * 4096, stuffed=stuffed)
    found = dict(from_file(lambda at, n: tag[at : at + n], len(tag)))
    assert {name: clean(name, text) for name, text in found.items()} == {
        name: clean(name, text) for name, text in tags.items()
    }


@pytest.mark.parametrize(
    ("text", "genre"),
    [
        *(("17", "Rock"), ("(17)", "Rock"), ("(17)Rockabilly", "Rockabilly"), ("999", "999")),
        *(("(17)(18)", "Rock"), ("(17)(18)Rocktronic", "Rocktronic"), ("(131)", "Indie")),
        *(("(RX)", "(RX)"), ("80s", "80s"), ("Rock", "Rock"), ("", None), (" \0\n ", None)),
    ],
)
def test_genres_by_number(text: str, genre: str | None) -> None:
    assert clean("genre", text) == genre
    if text.isdigit():
        assert clean("track", text) == text


def test_genres_by_number_are_those_of_ffmpeg() -> None:
    data = mp3() + id3v1()[:-1]
    for number in range(256):
        file = io.BytesIO(data + bytes([number]))
        with av.open(file, metadata_errors="replace") as container:
            genre = container.metadata.get("genre")
        if number == 133:
            genre = "Afro-Punk"  # Winamp has renamed it
        assert clean("genre", str(number)) == (genre or str(number))


@given(st.text(st.characters(exclude_categories=()), max_size=3000))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    found = clean("title", text)
    if found is None:
        assert not any(unicodedata.category(c)[0] in "LNPS" for c in text)
        return
    assert 0 < len(found) <= MAX_CHARACTERS
    assert found == found.strip()
    assert found.encode().decode() == found
    assert not {unicodedata.category(c) for c in found} & {"Cc", "Cs", "Zl", "Zp"}
    assert clean("title", found) == found


def test_a_long_text_is_cut() -> None:
    text = "é" * 5000
    assert tags_of(by_soundfile("FLAC", "PCM_16", {"title": text}))["title"] == text[:1000]
    for audio in (mp3(), by_soundfile("FLAC", "PCM_16", {})):
        assert tags_of(id3v2({"title": text}, 4, 3) + audio)["title"] == text[:1000]


@given(st.binary(max_size=200))
def test_bytes_of_any_encoding_are_text(data: bytes) -> None:
    text = decoded(data)
    try:
        assert text == data.decode()
    except UnicodeDecodeError:
        assert len(text) == len(data)


@given(st.data())
def test_damaged_tags_end(data: st.DataObject) -> None:
    heads = [id3v2(WANTED, 2, 1), id3v2(WANTED, 3, 1), id3v2(WANTED, 4, 3)]
    nested = b"LIST\xff\xff\xff\x00INFO" * 50
    heads += [b"RIFF\0\0\0\0WAVE" + nested, b"FORM\0\0\0\0AIFFNAME\xff\xff\xff\xffabc"]
    file = bytearray(data.draw(st.sampled_from(heads)) + id3v1())
    for _ in range(data.draw(st.integers(0, 8))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    reads = 0

    def read_at(at: int, n: int) -> bytes:
        nonlocal reads
        reads += 1
        assert 0 <= n <= 2**20
        return bytes(file[at : at + n])

    for name, text in from_file(read_at, len(file)):
        assert name in TAGS
        clean(name, text)
    assert reads < 100_000
