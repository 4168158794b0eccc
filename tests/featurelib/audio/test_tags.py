"""Tags before and after the audio: they are found and do not change values."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurelib import extract_columns, spec_from_settings
from featurelib.audio import decoding, tags
from tests.featurelib.support.encoders import made
from tests.featurelib.support.signals import noise
from tests.featurelib.support.surgery import TRAILERS, ape, id3v2, id3v2_at_the_end, without_info

LIGHT = spec_from_settings({"features": ["rms"], "defaults": {"statistics": ["mean"]}})

#: Formats of libsndfile; "raw" has no number of frames in a header.
TAGGED = ("mp3", "mp3 raw", "flac", "wav16", "aiff", "ogg_vorbis", "ogg_opus", "au", "caf", "w64")


@functools.cache
def healthy(name: str) -> bytes:
    # no zeros at the ends, which would look like padding
    data = made(name.removesuffix(" raw"), noise(0.6, sr=44_100, level=0.2))
    return without_info(data) if name == "mp3 raw" else data


@functools.cache
def facts_without(name: str) -> dict[str, list]:
    return extract_columns(healthy(name), LIGHT)


class NoFFmpeg:
    def __init__(self, *arguments: object) -> None:
        pytest.fail("FFmpeg was asked")


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("name", TAGGED)
def test_a_tag_behind_the_audio_changes_nothing(name, trailer, monkeypatch):
    monkeypatch.setattr(decoding, "FFmpegDecoder", NoFFmpeg)
    expected = facts_without(name)
    got = extract_columns(healthy(name) + TRAILERS[trailer], LIGHT)
    assert (got["decoding"], got["decoder"]) == (["whole"], expected["decoder"])
    assert got["audio_hash"] == expected["audio_hash"]
    assert (got["lost_s"], got["n_streams"]) == ([0.0], [1])


@pytest.mark.parametrize("trailer", TRAILERS)
def test_a_tag_behind_aac_changes_nothing(trailer):
    expected = facts_without("adts")
    got = extract_columns(healthy("adts") + TRAILERS[trailer], LIGHT)
    assert got["decoding"] == ["whole"]
    assert got["audio_hash"] == expected["audio_hash"]


_EACH_FILE = """
import sys
from pathlib import Path
from featurelib.audio import MoreAudioError, open_audio
for path in sorted(Path(sys.argv[1]).iterdir()):
    for source in (path, path.read_bytes()):
        with open_audio(source) as audio:
            for _ in audio.blocks():
                pass
            print(path.name, audio.facts().decoding, "av" in sys.modules)
"""


def test_ffmpeg_is_not_even_loaded_for_what_libsndfile_decodes(tmp_path):
    names = [*TAGGED, "voc", "wav24", "wav_float", "wav_ima", "rf64"]
    for name in names:
        (tmp_path / name.replace(" ", "_")).write_bytes(healthy(name))
        (tmp_path / f"{name}_tagged").write_bytes(id3v2() + healthy(name) + TRAILERS["ape"])
    run = subprocess.run(
        [sys.executable, "-c", _EACH_FILE, str(tmp_path)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 4 * len(names)
    assert [line for line in lines if not line.endswith(" whole False")] == []


# --- the parts

FRONT = {
    "id3v2": id3v2(),
    "empty id3v2": id3v2(0),
    "id3v2 with a footer": id3v2_at_the_end(),
    "ape": ape(),
    "ape without footer": ape(footer=False),
}
BACK = {name: tag for name, tag in TRAILERS.items() if "zeros" not in name and "," not in name}
AUDIO = bytes(range(1, 250))


def reader(data: bytes) -> tags.ReadAt:
    return lambda place, n: data[max(place, 0) : place + n]


@given(st.lists(st.sampled_from(sorted(FRONT)), max_size=5))
def test_tags_in_front_are_skipped_one_after_the_other(names):
    front = b"".join(FRONT[name] for name in names)
    data = front + AUDIO
    assert tags.skip(reader(data), 0, len(data)) == len(front)


@given(
    st.lists(st.sampled_from(sorted(BACK)), max_size=4),
    st.integers(0, 9000),
    st.booleans(),
)
def test_the_audio_ends_before_all_tags_and_padding(names, n_zeros, with_padding):
    back = b"".join(BACK[name] for name in names)
    data = AUDIO + bytes(n_zeros) + back
    end = tags.audio_end(reader(data), 0, len(data), with_padding=with_padding)
    assert end == len(AUDIO) + (0 if with_padding else n_zeros)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_bytes_have_an_end_of_the_audio_within(data, start):
    assert 0 <= tags.audio_end(reader(data), min(start, len(data)), len(data)) <= len(data)
    assert start <= tags.skip(reader(data), start, start + len(data))


@pytest.mark.parametrize("n_bytes", [0, 1, 127, 128, 16_383, 16_384, 2_000_000])
def test_the_size_of_an_id3v2_tag(n_bytes):
    tag = id3v2(n_bytes)
    assert tags.id3v2_size(tag) == len(tag) == n_bytes + 10
    for place, byte in ((3, 255), (6, 128), (9, 255)):
        broken = tag[:place] + bytes([byte]) + tag[place + 1 :]
        assert tags.id3v2_size(broken) == 0


def test_a_tag_that_claims_more_than_the_file_ends_with_it():
    data = id3v2(10, claims=100_000) + AUDIO
    assert tags.skip(reader(data), 0, len(data)) == len(data)
    assert tags.skip_id3(reader(data), 0, len(data)) == len(data)
