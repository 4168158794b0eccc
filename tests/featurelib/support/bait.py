"""Files that name a bait: a file and a server that nobody may open; a watch on who does."""

from __future__ import annotations

import base64
import ctypes
import http.server
import os
import struct
import threading
from pathlib import Path

from tests.featurelib.support.encoders import encode_by_ffmpeg, made
from tests.featurelib.support.signals import noise, sine

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
