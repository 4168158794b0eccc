"""A service in front of an S3 endpoint that fails as told, and passes on all else."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.conftest import S3

RESET, RESET_AFTER = "reset", "reset after it is done"
"""Instead of an HTTP status: close the connection before, or after, passing a request on."""

FLIP = "flip"
"""Pass a request on, and flip a bit of the answer's last byte."""

SLOW = "slow"
"""Pass a request on, and send the answer a second later and in small pieces."""

CUT = "cut"
"""Pass a request on, and close the connection in the midst of the answer's body."""

HANG = "hang"
"""Keep the connection open and answer nothing, until the client gives up."""

STALE = "stale"
"""Answer what the same request would have got the last time: once after each change."""

Rule = Callable[[str, str], int | str | None]
"""Method and path to a status to answer, or what else to do; None passes a request on.

A status may be followed by XML for the body: ``403 <Code>ExpiredToken</Code>``.
"""

_SLOW_S, _PIECES = 1.0, 8
_HANG_S = 120.0

_CODES = {403: "AccessDenied", 404: "NoSuchKey", 409: "ConditionalRequestConflict", 503: "SlowDown"}


@dataclass
class Double:
    """What happened at a double.

    Attributes
    ----------
    s3
        The endpoint as seen through it.
    rule
        What it does; may be exchanged at any time.
    seen
        Method, path, and what was done, of every request.
    asked
        Paths of those that asked before they sent their body.
    answers
        The last answer to each GET, by its path, query and range.
    """

    s3: S3
    rule: Rule
    seen: list[tuple[str, str, int | str | None]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    answers: dict[tuple[str, str | None], tuple[int, dict[str, str], bytes]] = field(
        default_factory=dict
    )

    def count(self, what: int | str | None) -> int:
        return sum(done == what for _, _, done in self.seen)


def first(n: int, what: int | str, method: str = "", ending: str = "") -> Rule:
    """Make a rule for the first n requests of a method to paths that end so."""
    left = [n]
    lock = threading.Lock()

    def rule(asked: str, path: str) -> int | str | None:
        with lock:
            if left[0] and asked.startswith(method) and path.endswith(ending):
                left[0] -= 1
                return what
        return None

    return rule


@contextmanager
def double(s3: S3, rule: Rule = lambda method, path: None) -> Iterator[Double]:
    """Serve on loopback, in threads of this process."""
    target = urlsplit(s3.endpoint).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            return

        def handle_expect_100(self) -> bool:
            made.asked.append(self.path.partition("?")[0])
            return super().handle_expect_100()

        def do(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            what = made.rule(self.command, path)
            if what != STALE:
                made.seen.append((self.command, path, what))
            if what == RESET:
                self._reset()
            elif what == HANG:
                self.connection.settimeout(_HANG_S)
                with contextlib.suppress(OSError):
                    self.connection.recv(1)  # nothing comes before the client closes
                self._reset()
            elif isinstance(what, int):
                self._answer(what, {}, _error(what) if self.command != "HEAD" else b"")
            elif isinstance(what, str) and what[0].isdigit():
                status, _, error = what.partition(" ")
                body = f"<Error>{error}</Error>".encode() if self.command != "HEAD" else b""
                self._answer(int(status), {}, body)
            else:
                asked_for = (self.path, self.headers.get("Range"))
                before = made.answers.get(asked_for)
                status, headers, body = answer = self._pass_on(data)
                if self.command == "GET":
                    made.answers[asked_for] = answer
                if what == RESET_AFTER:
                    self._reset()
                    return
                if what == STALE:
                    is_stale = before is not None and before[2] != body
                    made.seen.append((self.command, path, what if is_stale else None))
                    status, headers, body = before if is_stale else answer
                if what == FLIP and body:
                    body = body[:-1] + bytes([body[-1] ^ 1])
                self._answer(status, headers, body, what)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815

        def _pass_on(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(target, timeout=60)
            try:
                headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
                connection.request(self.command, self.path, data, headers)
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        def _answer(
            self,
            status: int,
            headers: dict[str, str],
            data: bytes,
            what: int | str | None = None,
        ) -> None:
            self.send_response_only(status)
            dropped = {"transfer-encoding", "connection", "content-length"}
            for name, value in headers.items():
                if name.lower() not in dropped:
                    self.send_header(name, value)
            length = headers.get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(data)))
            if what == SLOW:
                time.sleep(_SLOW_S)
            self.end_headers()
            if what == CUT:
                self.wfile.write(data[: len(data) // 2])
                self._reset()
            elif what == SLOW:
                for start in range(0, len(data), max(1, len(data) // _PIECES)):
                    self.wfile.write(data[start : start + max(1, len(data) // _PIECES)])
                    time.sleep(_SLOW_S / _PIECES)
            else:
                self.wfile.write(data)

        def _reset(self) -> None:
            linger = struct.pack("ii", 1, 0)  # closing sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            return  # clients that went away

        def shutdown_request(self, request: Any) -> None:
            self.close_request(request)  # without FIN, so that a reset is one

    with Server(("127.0.0.1", 0), Handler) as server:
        made = Double(S3(f"http://127.0.0.1:{server.server_port}", s3.key, s3.secret), rule)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def _error(status: int) -> bytes:
    code = _CODES.get(status, "InternalError")
    return f"<Error><Code>{code}</Code><Message>told so</Message></Error>".encode()
