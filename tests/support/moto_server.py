"""One moto server for a whole test session, in a process of its own.

``python -m tests.support.moto_server FILE`` serves on a free port until its standard input
ends, so it never outlives the session. FILE gets the port once the server answers.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def start(port_file: Path) -> subprocess.Popen[bytes]:
    """Start the server and return at once; `port` waits for it."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(port_file)],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )


def port(port_file: Path, timeout_s: float = 60.0) -> int:
    """Return the server's port, waiting until the server answers."""
    ends = time.monotonic() + timeout_s
    while not (port_file.exists() and (text := port_file.read_text()).endswith("\n")):
        if time.monotonic() > ends:
            raise TimeoutError(f"the moto server did not start within {timeout_s:.0f} s")
        time.sleep(0.02)
    return int(text)


class OneWriteAtATime:
    """Moto's application, whose conditional writes are atomic as a real service's are.

    moto checks a condition and writes in two steps, so of two writers both could win.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._writing = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._application(environ, start_response)
        with self._writing:
            return self._application(environ, start_response)


def main() -> None:
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line a request
    application = OneWriteAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Path(sys.argv[1]).write_text(f"{server.port}\n")
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
