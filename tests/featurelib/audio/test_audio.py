"""The samples of a file, and facts about the signal."""

from __future__ import annotations

import io

import librosa
import numpy as np
import pytest
import soundfile

from featurelib import spec_from_settings
from featurelib.audio import mix_down, open_audio
from tests.featurelib.support.reading import decoded, row
from tests.featurelib.support.signals import SR, chord, encode, noise, sine
from tests.support.audio_files import write_audio


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("fmt", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAV", "MS_ADPCM"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_U8"),
    ],
)
def test_blocks_are_the_samples_that_one_read_gives(fmt, subtype, channels):
    if channels > 2 and subtype in ("MS_ADPCM", "MPEG_LAYER_III"):
        pytest.skip("mono and stereo only")
    y = np.stack([chord(1.0) * (i + 1) / channels for i in range(channels)], axis=1)
    data = encode(y, fmt=fmt, subtype=subtype)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    for block_samples in (65_536, 1000, 1):
        n = 400 if block_samples == 1 else len(expected)
        got = decoded(data, duration=n / SR, block_samples=block_samples)
        assert got.shape == (n, channels)
        # soundfile seeks before it reads. After a seek, libmpg123 adds in another order.
        np.testing.assert_allclose(got, expected[:n], rtol=0, atol=1e-7 if fmt == "MP3" else 0)


@pytest.mark.parametrize("duration", [1.5, 0.0001, 0.12346, 30.0])
@pytest.mark.parametrize("fmt", ["WAV", "MP3", "OGG", "FLAC"])
def test_duration_cuts_where_librosa_does(fmt, duration):
    data = encode(noise(2.0, sr=44_100), 44_100, fmt=fmt)
    expected, _ = librosa.load(io.BytesIO(data), sr=None, duration=duration)
    np.testing.assert_array_equal(decoded(data, duration=duration)[:, 0], expected)
    spec = spec_from_settings(
        {"features": ["rms"], "defaults": {"statistics": ["mean"]}, "duration": duration}
    )
    assert row(data, spec)["duration_s"] == len(expected) / 44_100


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7, 8, 9, 24])
def test_mixing_down_equals_librosa(channels):
    y = np.random.default_rng(0).standard_normal((500, channels)).astype(np.float32)
    np.testing.assert_array_equal(mix_down(y), librosa.to_mono(y.T))


def test_many_channels_are_decoded_in_small_blocks():
    y = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 1024)).astype(np.float32)
    data = encode(y)
    with open_audio(data) as audio:
        sizes = {block.size for _, block in audio.blocks(65_536)}
    assert max(sizes) == 65_536
    assert row(data)["channels"] == 1024


def test_header_facts():
    data = encode(np.stack([chord()] * 2, axis=1), fmt="FLAC", subtype="PCM_24")
    got = row(data)
    assert (got["format"], got["subtype"]) == ("FLAC", "PCM_24")
    assert (got["sample_rate_hz"], got["channels"]) == (SR, 2)
    assert got["duration_s"] == got["header_duration_s"] == 2.0
    assert got["segment"] == 0


# --- facts of the samples


def test_peak_is_of_the_decoded_samples_before_mixing():
    left = np.zeros(1000, np.float32)
    left[500] = -0.75
    y = np.stack([left, -left], axis=1)  # the mix is silent
    got = row(encode(y))
    assert got["peak"] == 0.75
    assert not got["is_silent"]
    assert got["rms_mean"] == 0.0


def test_clipped_fraction_counts_full_scale_of_16_bits():
    y = np.zeros((1000, 2), np.float32)
    y[:3, 0] = 1.0
    y[3:5, 1] = -1.0
    y[5, 0] = 32767 / 32768
    y[6, 0] = -32767 / 32768
    y[7, 0] = 32766 / 32768
    y[8, 0] = 1.5
    assert row(encode(y))["clipped_fraction"] == 8 / 2000
    assert row(encode(y), block_samples=3)["clipped_fraction"] == 8 / 2000
    assert row(encode(y[9:]))["clipped_fraction"] == 0.0


def test_silence_is_below_80_db():
    for level, silent in ((0.99e-4, True), (1.01e-4, False), (0.0, True)):
        y = np.full(1000, -level, np.float32)
        assert row(encode(y))["is_silent"] is silent


def test_hash_is_of_the_signal_and_not_of_its_wrapping(tmp_path):
    y = (chord() * 32768).astype(np.int16)
    tagged = tmp_path / "tagged.flac"
    with soundfile.SoundFile(tagged, "w", SR, 1, "PCM_16") as file:
        file.title = "another title"
        file.write(y)
    plain = row(encode(y, fmt="FLAC", subtype="PCM_16"))["audio_hash"]
    assert row(tagged)["audio_hash"] == plain
    assert row(encode(y, subtype="PCM_16"))["audio_hash"] == plain
    for block_samples in (1, 777):
        assert row(tagged, block_samples=block_samples)["audio_hash"] == plain
    assert len(plain) == 32

    mp3 = encode(chord(), fmt="MP3")
    id3 = b"ID3\x04\0\0\0\0\x08\0" + bytes(1024)  # a tag of 1024 bytes of padding
    assert row(id3 + mp3)["audio_hash"] == row(mp3)["audio_hash"]

    other = y.copy()
    other[100] += 1
    different = {
        row(encode(other, subtype="PCM_16"))["audio_hash"],
        row(encode(y[:-1], subtype="PCM_16"))["audio_hash"],
        row(encode(y, 2 * SR, subtype="PCM_16"))["audio_hash"],
        row(encode(y.reshape(-1, 2), subtype="PCM_16"))["audio_hash"],
        plain,
    }
    assert len(different) == 5


def test_write_audio_of_the_shared_helpers_is_readable(tmp_path):
    assert row(write_audio(tmp_path / "x.mp3", sine()))["format"] == "MP3"
