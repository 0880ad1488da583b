"""A very fast local HTTP/1.1 target, so that benchmarks measure the caller.

    python -m bench.target [--port 0] [--body 64] [--seconds 600]

Prints its port once it listens (`--port 0`: the kernel chooses). Ends on SIGTERM, with its parent process, or after
`--seconds`. Paths:

    /sleep/MS   answers after MS milliseconds
    /count      answers {"requests": N}, the number of earlier requests except to /count
    /on-time    answers at once, and records the arrival and the scheduled time
    /arrivals   answers with these records, and deletes them: [["2026-03-15T02:00:00.000Z", 1773540000.004], ...], the
                X-Hourhand-Scheduled-For header and this machine's clock
    anything    answers 200 with a small JSON body at once

It parses only the end of the head, the path, and Content-Length. Pipelined requests are answered in order unless they
sleep.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import time
from typing import ClassVar

SCHEDULED_FOR = re.compile(rb"\r\nx-hourhand-scheduled-for:\s*(\S+)", re.IGNORECASE)
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


def answer(body: bytes) -> bytes:
    """A complete 200 response with a few common headers and `body`."""
    return (
        b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sun, 15 Mar 2026 02:00:00 GMT\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


class Target(asyncio.BufferedProtocol):
    """One connection. Buffered: asyncio's plain protocol allocates 256 KiB for every read."""

    requests = 0
    plain = b""
    arrivals: ClassVar[list[tuple[str, float]]] = []

    def __init__(self) -> None:
        self.pending = b""
        self.buffer = bytearray(8192)
        self.view = memoryview(self.buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        pending = self.pending + self.view[:nbytes].tobytes()
        while (end := pending.find(b"\r\n\r\n")) >= 0:
            size = end + 4
            if not pending.startswith(b"GET "):
                length = CONTENT_LENGTH.search(pending, 0, end)
                if length:
                    size += int(length[1])
            if len(pending) < size:
                break
            path = pending[: pending.index(b"\r\n")].split(b" ", 2)[1]
            if path == b"/on-time" and (scheduled_for := SCHEDULED_FOR.search(pending, 0, end)):
                Target.arrivals.append((scheduled_for[1].decode(), time.time()))
            pending = pending[size:]
            self.respond(path)
        self.pending = pending

    def respond(self, path: bytes) -> None:
        if path == b"/count":
            self.transport.write(answer(b'{"requests": %d}' % Target.requests))
            return
        if path == b"/arrivals":
            self.transport.write(answer(json.dumps(Target.arrivals).encode()))
            Target.arrivals.clear()
            return
        Target.requests += 1
        if path.startswith(b"/sleep/"):
            delay_seconds = int(path.rsplit(b"/", 1)[1]) / 1000
            asyncio.get_running_loop().call_later(delay_seconds, self.late)
        else:
            self.transport.write(Target.plain)

    def late(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(Target.plain)


async def serve(port: int, body_bytes: int, seconds: float) -> None:
    """Listen on loopback until SIGTERM, the end of the parent, or the time limit."""
    padding = b"x" * max(0, body_bytes - len(b'{"ok":true,"pad":""}'))
    Target.plain = answer(b'{"ok":true,"pad":"%b"}' % padding)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    server = await loop.create_server(Target, "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    parent, until = os.getppid(), loop.time() + seconds
    while not done.is_set() and os.getppid() == parent and loop.time() < until:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 1)
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--body", type=int, default=64, help="size of the response body")
    parser.add_argument("--seconds", type=float, default=600, help="time limit")
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.body, options.seconds))


if __name__ == "__main__":
    main()
