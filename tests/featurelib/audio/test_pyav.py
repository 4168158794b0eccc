"""FFmpeg gets only bytes, of the containers and codecs that are listed, and no video."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest

from featurelib.audio import pyav
from featurelib.audio.libsndfile import RefusedError
from featurelib.audio.pyav import FFmpegDecoder
from tests.featurelib.support.bait import (
    alias,
    attached_matroska,
    mov_of,
    text_of,
)
from tests.featurelib.support.encoders import encode_by_ffmpeg, made
from tests.featurelib.support.reading import kind_of, row
from tests.featurelib.support.signals import encode, noise, sine

# --- each option alone: a file that the other options would admit


def test_each_barrier_holds_by_itself(bait, tmp_path, monkeypatch):
    data = text_of("a.m3u8", str(bait.path), bait)
    monkeypatch.setattr(pyav, "CONTAINERS", (*pyav.CONTAINERS, "hls"))
    with pytest.raises(RefusedError):  # no protocol
        FFmpegDecoder(io.BytesIO(data), "hls")
    assert not bait.was_taken()
    reference = mov_of(alias(bait.path))
    refused = []

    def refuse(url, *_):
        refused.append(url)
        return pyav._refuse(url)

    options = {"enable_drefs": "1", "use_absolute_path": "1"}
    with pytest.raises(av.error.FFmpegError):  # FFmpeg's error, not an OSError of the source
        av.open(io.BytesIO(reference), options=options, io_open=refuse).close()
    assert refused
    assert not bait.was_taken()


def test_containers_that_are_not_listed_are_not_opened():
    for name, container in (("s16le", "s16le"), ("mulaw", "mulaw"), ("lavfi", "lavfi")):
        with pytest.raises(RefusedError):
            FFmpegDecoder(io.BytesIO(bytes(10_000)), container)
        assert name not in pyav.CONTAINERS
    data = encode_by_ffmpeg(sine(0.5), 22_050, "nut", "pcm_s16le", "s16")
    with av.open(io.BytesIO(data)) as file:
        assert file.format.name == "nut"
    assert kind_of(data) == "undecodable"


def fibonacci_iff() -> bytes:
    """An 8SVX file of compressed samples."""
    header = struct.pack(">IIIHBBI", 20_000, 0, 0, 22_050, 1, 1, 65_536)
    body = bytes(2) + bytes(i * 37 % 256 for i in range(10_000))
    return atom_of_iff(b"FORM", b"8SVX", atom_of_iff(b"VHDR", header), atom_of_iff(b"BODY", body))


def atom_of_iff(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return name + struct.pack(">I", len(body)) + body


def test_codecs_that_are_not_listed_are_not_used():
    data = fibonacci_iff()
    with av.open(io.BytesIO(data)) as file:
        assert file.streams.audio[0].codec_context.name == "8svx_fib"
        assert next(file.decode(audio=0)).samples
    assert kind_of(data) == "undecodable"


def test_only_audio_is_decoded():
    for name in pyav._decoders().split(","):
        assert av.codec.Codec(name, "r").type == "audio", name


def video(codec: str, *, container: str = "mp4", y: np.ndarray | None = None) -> bytes:
    """A video file, with or without audio."""
    output = io.BytesIO()
    kind = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    with av.open(output, "w", format=container) as file:
        pictures = file.add_stream(codec, rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, kind
        sound = None
        if y is not None:
            sound = file.add_stream("pcm_s16le", rate=22_050, layout="mono")
        for i in range(12):
            frame = av.VideoFrame(64, 48, kind)
            for plane in frame.planes:
                plane.update(bytes([i * 10]) * plane.buffer_size)
            frame.pts = i
            file.mux(pictures.encode(frame))
        file.mux(pictures.encode(None))
        if sound is not None:
            samples = (y * 2**15).astype(np.int16).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 22_050, 0
            file.mux(sound.encode(frame))
            file.mux(sound.encode(None))
    return output.getvalue()


@pytest.mark.parametrize(
    ("codec", "container"),
    [("mpeg4", "mp4"), ("mjpeg", "avi"), ("mpeg2video", "mpeg"), ("mpeg4", "matroska")],
)
def test_pictures_alone_are_undecodable(codec, container):
    assert kind_of(video(codec, container=container)) == "undecodable"


@pytest.mark.parametrize("container", ["mov", "avi", "matroska"])
def test_of_a_film_there_is_the_sound(container):
    y = sine(0.5)
    samples = (y * 2**15).astype(np.int16)
    alone = row(encode(samples, subtype="PCM_16"))
    found = row(video("mpeg4", container=container, y=y))
    assert found["audio_hash"] == alone["audio_hash"]
    assert found["decoding"] == "whole"


def test_cover_art_and_attachments_are_no_audio(bait):
    picture = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(2000)
    body = b"\0image/jpeg\0\3\0" + picture
    tag = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = len(tag)
    sizes = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    assert kind_of(b"ID3\3\0\0" + sizes + tag) == "undecodable"
    assert kind_of(attached_matroska(bait.path.read_bytes())) == "undecodable"


# --- packets


def test_behind_an_empty_packet_there_is_more():
    data = made("m4a_alac", noise(2.0, sr=44_100))
    place = data.index(b"stsz") + 16 + 4 * 9
    size, following = struct.unpack(">II", data[place : place + 8])
    sizes = struct.pack(">II", size + following, 0)  # only this packet is lost, not all that follow
    found = row(data[:place] + sizes + data[place + 8 :])
    assert found["duration_s"] == pytest.approx(2.0 - 4096 / 44_100, abs=0.001)
    assert found["decoding"] == "damaged"
    assert found["lost_s"] == pytest.approx(4096 / 44_100)
