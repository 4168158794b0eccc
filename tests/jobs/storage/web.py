"""A web server with a corpus."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path
from typing import Any

from jobs.corpus.corpus import Corpus


class Web:
    """A local HTTP server of one folder, with failures on request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fault = ""
        self.headers_seen: list[dict[str, str]] = []
        web = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_HEAD(self) -> None:
                web.headers_seen.append(dict(self.headers))
                if self.fault():
                    return
                super().do_HEAD()

            def do_GET(self) -> None:
                if self.fault():
                    return
                super().do_GET()

            def fault(self) -> bool:
                if web.fault == "hangs up":
                    self.close_connection = True
                    return True
                if web.fault.isdigit():
                    self.send_error(int(web.fault))
                    return True
                return False

            def send_header(self, keyword: str, value: str) -> None:
                if not (web.fault == "no validators" and keyword == "Last-Modified"):
                    super().send_header(keyword, value)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def listed(corpus: Corpus) -> list[str]:
    return sorted(path for page in corpus.pages() for path in page["path"].to_pylist())
