"""A service that only lists: the names of a bucket of any size, each page after a delay.

``python -m tests.benchmarks.listing_service N SHAPE SECONDS`` prints the port at which it serves
N names on loopback, and ends with its input. It answers ListObjectsV2 and nothing else. SHAPE is
``flat`` (no folders) or ``deep`` (a thousand names a folder).
"""

from __future__ import annotations

import asyncio
import bisect
import sys
from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlsplit

_PAGE = 1000

#: The name with a number; names sort as their numbers do.
NAMES: dict[str, Callable[[int], str]] = {
    "flat": lambda i: f"recording-{i:09d}.wav",
    "deep": lambda i: f"{i // 1_000_000:03d}/label-{i // 100_000 % 10}/{i // 1000:07d}/{i:09d}.wav",
}


class _Bucket:
    def __init__(self, n: int, shape: str) -> None:
        self._n, self._name = n, NAMES[shape]
        self.n_asked = 0

    def page(self, query: dict[str, list[str]]) -> bytes:
        """Return the answer to a request."""
        self.n_asked += 1
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        start = bisect.bisect_right(range(self._n), after, key=self._name)
        end = min(self._n, start + int(query.get("max-keys", [_PAGE])[0]))
        names = [self._name(i) for i in range(start, end)]
        contents = "".join(
            f"<Contents><Key>{name}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{i * 0x9E3779B97F4A7C15 % 2**128:032x}&quot;</ETag>"
            f"<Size>{1_000_000 + i % 1_000_000}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for i, name in zip(range(start, end), names, strict=True)
        )
        more = ""
        if end < self._n:
            more = f"<NextContinuationToken>{quote(names[-1])}</NextContinuationToken>"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<EncodingType>url</EncodingType><KeyCount>{len(names)}</KeyCount>"
            f"<IsTruncated>{str(end < self._n).lower()}</IsTruncated>{more}{contents}"
            "</ListBucketResult>"
        ).encode()


async def _serve(n: int, shape: str, seconds: float) -> None:
    bucket = _Bucket(n, shape)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass  # headers; there is no body
                await asyncio.sleep(seconds)
                page = bucket.page(parse_qs(urlsplit(line.split()[1].decode()).query))
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n"
                writer.write(head.encode() + page)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client, or this process, is at its end
        finally:
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
