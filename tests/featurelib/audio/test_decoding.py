"""Decoding of a part of a file: bytes read, decoder used, samples returned."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable

import librosa
import numpy as np
import pytest

from featurelib import extract_columns, get_spec
from tests.featurelib.support import oracle
from tests.featurelib.support.encoders import encode_by_ffmpeg, made, on_grid
from tests.featurelib.support.listening import by_pyav, listen
from tests.featurelib.support.signals import chord, encode, noise
from tests.featurelib.support.surgery import (
    joined,
    mp3_frames,
    ogg_pages,
    packets,
    patched,
    with_damage,
    without_info,
)
from tests.support.quick import slow_but

SR = 44_100
Y = on_grid(noise(6.0, sr=SR, level=0.2))

#: Duration to decode [s].
WANTED_S = 2.0


@functools.cache
def six_seconds(name: str) -> bytes:
    if name == "mp3 without a count":
        return without_info(six_seconds("mp3"))
    if name == "mp3":
        return encode(Y, SR, fmt="MP3")
    return made(name, Y)


def damaged_at(name: str, second: float) -> bytes:
    """A file of six seconds with damage at a given time."""
    data = six_seconds(name)
    if name.startswith("ogg"):
        pages = ogg_pages(data)
        rate = 48_000 if "opus" in name else SR
        index = next(i for i, page in enumerate(pages) if page.granule > second * rate)
        return joined(pages[:index]) + joined(pages[index + 1 :])
    if name.startswith("mp3"):
        frames = mp3_frames(data)
        begin = round(second * SR / 1152)
        place = sum(map(len, frames[:begin]))
        return patched(data, place, b"text" * 500)
    place = next(place for place, _, begin_s in packets(data) if begin_s > second)
    return with_damage(data, place, 1000)


FORMATS_WITH_CHECKS = (
    *("mp3", "mp3 without a count", "flac", "ogg_vorbis", "ogg_opus"),
    *("adts", "mka_flac", "m4a_alac"),
)


@pytest.mark.parametrize("name", FORMATS_WITH_CHECKS)
def test_damage_behind_the_duration_is_not_looked_at(name, capfd):
    data = damaged_at(name, WANTED_S + 2.2)  # an Ogg page lasts up to a second
    whole = listen(six_seconds(name), duration=WANTED_S)
    heard = listen(data, duration=WANTED_S)
    assert (heard.facts.decoding, heard.facts.lost_s) == ("whole", 0.0)
    np.testing.assert_array_equal(heard.samples, whole.samples)
    assert len(heard.samples) == WANTED_S * whole.signals[0][0]


@pytest.mark.parametrize("name", FORMATS_WITH_CHECKS)
def test_damage_before_the_end_of_the_duration_shows(name, capfd):
    heard = listen(damaged_at(name, WANTED_S / 2), duration=WANTED_S)
    assert heard.facts.decoding == "damaged"
    assert len(heard.samples) == WANTED_S * heard.signals[0][0]  # later samples fill up


class Counting(io.BytesIO):
    """File that records which bytes are read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.read_bytes = bytearray(len(data))

    def read(self, n: int | None = -1) -> bytes:
        place = self.tell()
        data = super().read(n)
        self.read_bytes[place : place + len(data)] = b"\1" * len(data)
        return data

    @property
    def n_read(self) -> int:
        """Number of distinct bytes that were read."""
        return self.read_bytes.count(1)


def repeated(name: str, n: int) -> Callable[[], bytes]:
    return lambda: six_seconds(name) * n


#: Large files, and the number of bytes after the requested duration that may be read.
#: Frames and pages are followed in steps of 1 MiB. Decoders read at the beginning and at the
#: end, and some blocks ahead.
LARGE = {
    "mp3 without a count": (repeated("mp3 without a count", 60), 2**20 + 2**17),
    "mp3, one of many": (repeated("mp3", 60), 2**20 + 2**17),
    "ogg chain": (repeated("ogg_vorbis", 60), 2**20 + 2**17),
    "opus chain": (repeated("ogg_opus", 60), 2**20 + 2**17),
    "adts": (repeated("adts", 40), 2**20 + 2**17),
    "flac chain": (repeated("flac", 4), 2**17),
    "wav": (lambda: encode(np.tile(Y, 5), SR, subtype="PCM_16"), 2**13),
    "wav without sizes": (
        lambda: patched(encode(np.tile(Y, 5), SR, subtype="PCM_16"), 40, bytes(4)),
        2**13,
    ),
    "aiff": (lambda: encode(np.tile(Y, 5), SR, fmt="AIFF", subtype="PCM_16"), 2**13),
    "m4a": (lambda: made("m4a_alac", np.tile(Y, 5)), 2**17),
}


@pytest.mark.parametrize("name", slow_but(["mp3, one of many", "ogg chain", "wav"], LARGE))
def test_bytes_far_behind_the_duration_are_not_read(name, capfd):
    make, margin = LARGE[name]
    data = make()
    file = Counting(data)
    heard = listen(file, duration=WANTED_S)
    assert heard.seconds == WANTED_S
    n_seconds = listen(data).seconds
    stretch = len(data) * WANTED_S / n_seconds
    assert file.n_read < stretch + margin < 0.75 * len(data)


# --- features of what FFmpeg decodes

OTHERS = {
    "m4a_aac": ("mp4", "aac", "fltp"),
    "m4a_alac": ("mp4", "alac", "s16p"),
    "wma": ("asf", "wmav2", "fltp"),
    "wavpack": ("wv", "wavpack", "s16p"),
    "ac3": ("ac3", "ac3", "fltp"),
    "mka_aac": ("matroska", "aac", "fltp"),
}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", OTHERS)
def test_features_of_what_ffmpeg_decodes_are_librosas_of_pyavs_samples(name, channels):
    left = chord(2.5, sr=SR) + noise(2.5, sr=SR, level=0.02)
    y = np.stack([left, noise(2.5, sr=SR, seed=5)], axis=1)[:, :channels]
    data = encode_by_ffmpeg(y, SR, *OTHERS[name])
    sr, samples = by_pyav(data)
    mono = librosa.to_mono(samples.T)
    expected = librosa.resample(mono, orig_sr=sr, target_sr=22_050, res_type="soxr_hq")
    row = extract_columns(data)
    assert (row["decoder"], row["decoding"]) == (["ffmpeg"], ["whole"])
    assert row["duration_s"] == [len(samples) / sr]
    oracle.assert_close(row, oracle.columns(expected, get_spec("genre-v1")))
