"""The upper limit: a bare pipelined pycurl multi loop and a writer thread with COPY.

    DATABASE_URL=postgresql://... python -m bench.bare_curl [--runs 20000] [--in-flight 200] [--url URL]

It has no address guard, claims, retries, limits or state: the best that libcurl, this interpreter and PostgreSQL can do
if every call's request and response is stored. Prints runs per second. `bench.engine` compares the delivery engine with
`exchange` alone, without recording.
"""

import argparse
import contextlib
import io
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import psycopg2
import pycurl

HEADERS = [
    "X-Hourhand-Execution-Id: 01970000-0000-7000-8000-000000000000",
    "X-Hourhand-Job: nightly-report",
    "X-Hourhand-Attempt: 1",
    "X-Hourhand-Scheduled-For: 2026-03-15T02:00:00.000Z",
    "Idempotency-Key: 01970000-0000-7000-8000-000000000000",
    "Content-Type: application/json",
]
BODY = b'{"at":"2026-03-15T02:00:00.000Z"}'
COPY_ROWS = 500
_INTEREST = {pycurl.POLL_IN: 1, pycurl.POLL_OUT: 4, pycurl.POLL_INOUT: 5}
_TABLE = """CREATE TABLE bench_bare_run (id uuid PRIMARY KEY, started_at float8, total_ms int, first_byte_ms int,
    request_url text, request_headers jsonb, request_body text, status int, response_headers jsonb, response_body
    text)"""


class Slot:
    """An easy handle and the response it received."""

    def __init__(self, url: str) -> None:
        self.head: list[bytes] = []
        self.body: list[bytes] = []
        self.curl = pycurl.Curl()
        self.curl.slot = self
        for option, value in (
            (pycurl.NOSIGNAL, 1),
            (pycurl.URL, url),
            (pycurl.HEADERFUNCTION, self.head.append),
            (pycurl.WRITEFUNCTION, self.body.append),
            (pycurl.TIMEOUT_MS, 30_000),
        ):
            self.curl.setopt(option, value)

    def prepare(self) -> None:
        """Set the options of one call."""
        self.head.clear()
        self.body.clear()
        self.curl.setopt(pycurl.HTTPHEADER, HEADERS)
        self.curl.setopt(pycurl.POSTFIELDS, BODY)
        self.started = time.time()


class Loop:
    """libcurl's multi interface on epoll."""

    def __init__(self, url: str, in_flight: int) -> None:
        self.free = [Slot(url) for _ in range(in_flight)]
        self.sockets: dict[int, int] = {}
        self.epoll = select.epoll()
        self.timeout_ms = -1
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAXCONNECTS, in_flight)
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self.on_socket)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self.on_timer)

    def on_socket(self, what: int, fd: int, _multi: object, _assigned: object) -> None:
        if what == pycurl.POLL_REMOVE:
            if self.sockets.pop(fd, None):
                self.epoll.unregister(fd)
        elif fd not in self.sockets:
            self.epoll.register(fd, _INTEREST[what])
            self.sockets[fd] = what
        elif self.sockets[fd] != what:
            self.epoll.modify(fd, _INTEREST[what])
            self.sockets[fd] = what

    def on_timer(self, milliseconds: int) -> None:
        self.timeout_ms = milliseconds

    def exchange(self, count: int, on_done: Callable[[Slot], None]) -> None:
        """Make `count` calls, with as many in flight as there are slots."""
        left, ended = count, 0
        while ended < count:
            started = min(left, len(self.free))
            for _ in range(started):
                slot = self.free.pop()
                slot.prepare()
                self.multi.add_handle(slot.curl)
            left -= started
            if started:
                self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            events = self.epoll.poll(self.timeout_ms / 1000 if self.timeout_ms >= 0 else 1)
            for fd, bits in events:
                self.multi.socket_action(fd, pycurl.CSELECT_IN if bits & 1 else pycurl.CSELECT_OUT)
            if not events:
                self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            ended += self.collect(on_done)

    def collect(self, on_done: Callable[[Slot], None]) -> int:
        _, complete, failed = self.multi.info_read(1000)
        if failed:
            raise RuntimeError(failed[0][2])
        for curl in complete:
            self.multi.remove_handle(curl)
            on_done(curl.slot)
            self.free.append(curl.slot)
        return len(complete)


def row(slot: Slot) -> str:
    """One call as a line of COPY text."""
    info = slot.curl.getinfo
    fields = [line.split(": ", 1) for line in b"".join(slot.head).decode("latin-1").split("\r\n")[1:-2]]
    values = (
        uuid.uuid4(),
        slot.started,
        info(pycurl.TOTAL_TIME_T) // 1000,
        info(pycurl.STARTTRANSFER_TIME_T) // 1000,
        info(pycurl.EFFECTIVE_URL),
        json.dumps(HEADERS),
        BODY.decode(),
        info(pycurl.RESPONSE_CODE),
        json.dumps(dict(fields)),
        b"".join(slot.body).decode(),
    )
    return "\t".join(str(value).replace("\\", "\\\\") for value in values) + "\n"


def write(database_url: str, rows: "queue.SimpleQueue[str | None]") -> None:
    """COPY rows in chunks, one transaction each, until None arrives."""
    connection = psycopg2.connect(database_url)
    line: str | None = ""
    while line is not None:
        chunk = []
        while len(chunk) < COPY_ROWS and (line := rows.get()) is not None:
            chunk.append(line)
        with connection, connection.cursor() as cursor:
            cursor.copy_expert("COPY bench_bare_run FROM STDIN", io.StringIO("".join(chunk)))
    connection.close()


def recorded(database_url: str, url: str, count: int, in_flight: int) -> float:
    """Runs per second, with every call recorded."""
    rows: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    writer = threading.Thread(target=write, args=(database_url, rows))
    loop = Loop(url, in_flight)
    started = time.perf_counter()
    writer.start()
    try:
        loop.exchange(count, lambda slot: rows.put(row(slot)))
    finally:
        rows.put(None)
        writer.join()
    return count / (time.perf_counter() - started)


@contextlib.contextmanager
def target() -> Iterator[str]:
    """Start a target process; yields its URL."""
    command = [sys.executable, "-m", "bench.target", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        process.terminate()
        process.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--url", help="a running target; by default one is started")
    options = parser.parse_args()
    database_url = os.environ["DATABASE_URL"]
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS bench_bare_run")
    cursor.execute(_TABLE)
    try:
        with contextlib.nullcontext(options.url) if options.url else target() as url:
            rate = recorded(database_url, url, options.runs, options.in_flight)
        cursor.execute("SELECT count(*) FROM bench_bare_run WHERE status = 200")
        assert cursor.fetchone() == (options.runs,)
    finally:
        cursor.execute("DROP TABLE bench_bare_run")
    print(f"bare pycurl loop with COPY: {rate:,.0f} runs/s")


if __name__ == "__main__":
    main()
