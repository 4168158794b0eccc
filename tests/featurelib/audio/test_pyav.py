"""FFmpeg gets only bytes: no name, no other file, no address, no video."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http.server
import io
import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from featurelib import AudioError
from featurelib.audio import pyav
from featurelib.audio.libsndfile import RefusedError
from featurelib.audio.pyav import FFmpegDecoder
from tests.featurelib.audio.test_audio import LIGHT, kind_of, row
from tests.featurelib.support.encoders import encode_by_ffmpeg, made
from tests.featurelib.support.mutants import outcome
from tests.featurelib.support.signals import encode, noise, sine

_IN_OPEN = 0x20


class Watch:
    """Detects every opening of a file (with Linux's inotify)."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK)
        assert self._fd >= 0
        assert libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_OPEN) >= 0

    def was_opened(self) -> bool:
        """Whether the file was opened since the last call."""
        try:
            return bool(os.read(self._fd, 2**16))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._fd)


class Server:
    """Local web server that serves one file and records requests."""

    def __init__(self, data: bytes) -> None:
        self.requests: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Bait:
    """Valid audio in a local file and on a server; both are watched."""

    def __init__(self, folder: Path) -> None:
        data = made("mp3", noise(1.0, sr=44_100))
        self.path = folder / "bait.mp3"
        self.path.write_bytes(data)
        self.watch = Watch(self.path)
        self.server = Server(data)
        self.url = f"http://127.0.0.1:{self.server.port}/bait.mp3"

    def was_taken(self) -> bool:
        return self.watch.was_opened() or bool(self.server.requests)

    def close(self) -> None:
        self.watch.close()
        self.server.close()


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[Bait]:
    bait = Bait(tmp_path)
    yield bait
    bait.close()


# --- files that name other files

HLS = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:10
{extra}#EXTINF:10.0,
{place}
#EXT-X-ENDLIST
"""


def atom(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + name + body


def with_atom(data: bytes, path: list[bytes], content: bytes) -> bytes:
    """An MP4 file with other content in one of its atoms."""
    place, found = 0, []
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        name, body = data[place + 4 : place + 8], data[place + 8 : place + size]
        if name == path[0]:
            body = with_atom(body, path[1:], content) if path[1:] else content
        found.append(atom(name, body))
        place += size
    return b"".join(found)


def alias(path: Path) -> bytes:
    """A `dref` entry that points to another file, as QuickTime writes it."""
    folder, name = os.fsencode(path.parent), os.fsencode(path.name)
    records = b""
    for kind, text in ((2, os.fsencode(path)), (0, folder)):
        records += struct.pack(">hH", kind, len(text)) + text + bytes(len(text) % 2)
    body = (
        *(bytes(4), bytes(10), b"\4disk".ljust(28, b"\0"), bytes(12)),
        *(bytes([len(name)]), name.ljust(63, b"\0"), bytes(16)),
        *(struct.pack(">hh", 1, 1), bytes(16), records, struct.pack(">hH", -1, 0)),
    )
    return bytes(4) + struct.pack(">I", 1) + atom(b"alis", *body)


DREF = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"]


def mov_of(reference: bytes) -> bytes:
    """A QuickTime file whose samples are in another file."""
    data = encode_by_ffmpeg(sine(0.5), 22_050, "mov", "pcm_s16le", "s16")
    return with_atom(data, DREF, reference)


def element(number: str, *content: bytes) -> bytes:
    """An element of Matroska."""
    body = b"".join(content)
    return bytes.fromhex(number) + (1 << 56 | len(body)).to_bytes(8, "big") + body


def mka(*content: bytes) -> bytes:
    head = element("1a45dfa3", element("4282", b"matroska"), element("4287", b"\4"))
    return head + element("18538067", *content)


def linked_matroska(place: str) -> bytes:
    info = element(
        "1549a966", element("2ad7b1", b"\x0f\x42\x40"), element("3e83bb", place.encode())
    )
    return mka(info)


def attached_matroska(data: bytes) -> bytes:
    file = element(
        "61a7", element("466e", b"a.mp3"), element("4660", b"audio/mpeg"), element("465c", data)
    )
    return mka(element("1549a966", element("2ad7b1", b"\x0f\x42\x40")), element("1941a469", file))


def dash(place: str) -> str:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
        '<Period duration="PT1S"><AdaptationSet mimeType="audio/mpeg"><Representation id="1"'
        f' bandwidth="128000"><BaseURL>{place}</BaseURL></Representation></AdaptationSet>'
        "</Period></MPD>"
    )


SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=x
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} RTP/AVP 0
a=control:{place}
"""

IMF = """<?xml version="1.0"?>
<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">
<Id>urn:uuid:00000000-0000-0000-0000-000000000000</Id><EditRate>24 1</EditRate>
<SegmentList><Segment><SequenceList><Resource><TrackFileId>{place}</TrackFileId></Resource>
</SequenceList></Segment></SegmentList></CompositionPlaylist>
"""

#: File name → text of the file, with placeholders for the bait.
TEXTS: dict[str, str] = {
    "a.m3u8": HLS.replace("{extra}", ""),
    "key.m3u8": HLS.replace("{extra}", '#EXT-X-KEY:METHOD=AES-128,URI="{place}"\n'),
    "map.m3u8": HLS.replace("{extra}", '#EXT-X-MAP:URI="{place}"\n'),
    "master.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=128000\n{place}\n",
    "audio.m3u8": '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="{place}"'
    '\n#EXT-X-STREAM-INF:BANDWIDTH=128000,AUDIO="a"\n{place}\n',
    "concat.m3u8": HLS.replace("{extra}", "").replace("{place}", "concat:{place}|{place}"),
    "data.m3u8": HLS.replace("{extra}", "").replace("{place}", "data:audio/mpeg;base64,{base64}"),
    "a.mpd": dash("{place}"),
    "a.ffconcat": "ffconcat version 1.0\nfile '{place}'\nduration 1\n",
    "subfile.ffconcat": "ffconcat version 1.0\nfile 'subfile,,start,0,end,0,,:{place}'\n",
    "options.ffconcat": "ffconcat version 1.0\nfile '{place}'\noption safe 0\n",
    "a.sdp": SDP,
    "a.asx": '<asx version="3.0"><entry><ref href="{place}"/></entry></asx>',
    "a.pls": "[playlist]\nNumberOfEntries=1\nFile1={place}\nVersion=2\n",
    "a.m3u": "#EXTM3U\n#EXTINF:1,x\n{place}\n",
    "a.xml": IMF,
    "a.rtsp": "RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: {place}\r\n\r\n",
    "a.rm": "RTSPtext{place}",
    "a.ref": "[Reference]\r\nRef1={place}\r\n",
    "a%03d.jpg": "{place}",
    "a.url": "subfile,,start,0,end,0,,:{place}",
    "a.concat": "concat:{place}|{place}",
    "a.lavfi": "amovie={place}",
    "a.webm_dash": "webm_dash_manifest {place}",
}


def text_of(name: str, place: str, bait: Bait) -> bytes:
    text = TEXTS[name].replace("{place}", place).replace("{port}", str(bait.server.port))
    base64_text = base64.b64encode(bait.path.read_bytes()).decode()
    data = text.replace("{base64}", base64_text).encode()
    bait.watch.was_opened()  # reset: this function read the file itself
    return data


def assert_refused(data: bytes, path: Path, bait: Bait) -> None:
    path.write_bytes(data)
    for source in (data, path, io.BytesIO(data), f"file://{path}"):
        with pytest.raises(AudioError) as caught:
            row(source)
        assert caught.value.kind == "undecodable"
        assert not bait.was_taken()
    for container in pyav.CONTAINERS:  # some formats accept any content
        with contextlib.suppress(RefusedError):
            FFmpegDecoder(io.BytesIO(data), container).close()
    assert not bait.was_taken()


def test_the_watch_and_the_server_see_who_comes(bait):
    bait.path.read_bytes()
    assert bait.watch.was_opened()
    assert not bait.was_taken()
    with av.open(bait.url):
        pass
    assert bait.server.requests


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("where", ["path", "file", "http"])
def test_playlists_open_nothing(name, where, bait, tmp_path):
    place = {"path": str(bait.path), "file": f"file:{bait.path}", "http": bait.url}[where]
    assert_refused(text_of(name, place, bait), tmp_path / name, bait)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.m3u8", {}),
        ("key.m3u8", {}),
        ("a.ffconcat", {"safe": "0"}),
    ],
)
def test_such_playlists_would_be_followed(name, options, bait, tmp_path):
    path = tmp_path / name
    path.write_bytes(text_of(name, str(bait.path), bait))
    with contextlib.suppress(av.error.FFmpegError):
        av.open(str(path), options=options).close()
    assert bait.watch.was_opened()


def movie_elsewhere(url: str) -> bytes:
    reference = atom(b"rdrf", bytes(4), b"url ", url.encode())
    movie = atom(b"moov", atom(b"rmra", atom(b"rmda", reference)))
    return atom(b"ftyp", b"qt  ", bytes(4), b"qt  ") + movie


REFERENCES: dict[str, Callable[[Path, str], bytes]] = {
    "alias": lambda path, url: mov_of(alias(path)),
    "url of a file": lambda path, url: mov_of(
        bytes(4) + struct.pack(">I", 1) + atom(b"url ", bytes(4), os.fsencode(path), b"\0")
    ),
    "url": lambda path, url: mov_of(
        bytes(4) + struct.pack(">I", 1) + atom(b"url ", bytes(4), url.encode(), b"\0")
    ),
    "movie that refers to another": lambda path, url: movie_elsewhere(url),
    "linked Matroska": lambda path, url: linked_matroska(str(path)),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_references_in_containers_open_nothing(name, bait, tmp_path):
    data = REFERENCES[name](bait.path, bait.url)
    path = tmp_path / "a.mov"
    path.write_bytes(data)
    expected = row(encode_by_ffmpeg(sine(0.5), 22_050, "mov", "pcm_s16le", "s16"))["audio_hash"]
    for source in (data, path):
        found = outcome(source, LIGHT)  # at most the samples that are in the file itself
        assert found.get("error", "undecodable") == "undecodable"
        assert found.get("audio_hash", expected) == expected
        assert not bait.was_taken()


def test_such_a_reference_would_be_followed(bait, tmp_path):
    path = tmp_path / "a.mov"
    path.write_bytes(mov_of(alias(bait.path)))
    options = {"enable_drefs": "1", "use_absolute_path": "1"}
    av.open(str(path), options=options).close()
    assert bait.watch.was_opened()


@pytest.mark.parametrize(
    "name", ["subfile,,start,0,end,0,,:{}", "concat:{}|{}", "data:audio/mpeg;base64,AA", "file:{}"]
)
def test_names_are_names_of_files(name, bait):
    with pytest.raises(FileNotFoundError):
        row(name.format(bait.path, bait.path))
    assert not bait.was_taken()


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
