"""A TCP proxy that lets what clients send wait a while, as a distant store would.

``python -m tests.benchmarks.slow_proxy HOST:PORT SECONDS`` prints the port at which it
passes on to HOST:PORT, and ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_CHUNK = 2**18


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    """Pass bytes on, each so much later than it came, without keeping the next ones waiting."""
    clock = asyncio.get_running_loop().time
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    sending = asyncio.create_task(send())
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            queue.put_nowait((clock() + seconds, data))
        queue.put_nowait((clock() + seconds, b""))
        await sending
    sending.cancel()


async def main(address: str, seconds: float) -> None:
    """Serve until standard input ends."""
    host, _, port = address.rpartition(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(
            _pass_on(reader, there_writer, seconds), _pass_on(there_reader, writer, 0.0)
        )

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
