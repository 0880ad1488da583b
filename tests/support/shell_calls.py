"""The requests of a command line, found by running it with real `sh`, curl and wget against a local server."""

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOOLS = ("sh", "curl", "wget", "flock", "timeout", "nice", "ionice", "env")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]


@dataclass
class Received:
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Server:
    """Records requests and responds with 200."""

    port: int
    folder: Path
    received: list[Received] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, command: str, stdin: str = "") -> list[Received]:
        """Run a shell command and return its requests."""
        self.received.clear()
        self.printed(command, stdin)
        return list(self.received)

    def printed(self, command: str, stdin: str = "") -> str:
        """Run a shell command and return its output."""
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder)}
        done = subprocess.run(
            ["sh", "-c", command], input=stdin.encode(), cwd=self.folder, env=environment, timeout=30,
            capture_output=True, check=False,
        )  # fmt: skip
        return done.stdout.decode(errors="replace")


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.received.append(
                Received(self.command, self.path, [(name, value.strip()) for name, value in self.headers.items()], body)
            )
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Server(http.server_address[1], folder)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


#: Headers in which curl, wget and Hourhand identify themselves.
OWN = frozenset({"user-agent", "accept", "accept-encoding", "host", "connection", "content-length"})


def as_called(request: dict[str, Any], *, origin: str) -> Received:
    """Return a job's request as the server would receive it."""
    rest = request["url"].removeprefix(origin).partition("#")[0]
    target = rest if rest.startswith("/") else f"/{rest}"
    body = (request.get("body") or "").encode()
    return Received(request["method"], target, list(request.get("headers", {}).items()), body)


def differences(real: Received, job: Received) -> list[str]:
    """Return the differences between the command's request and the job's."""
    found = [
        f"{name}: {getattr(real, name)!r}, not {getattr(job, name)!r}"
        for name in ("method", "target", "body")
        if getattr(real, name) != getattr(job, name)
    ]
    sent, kept = ([(name.lower(), value) for name, value in one.headers] for one in (real, job))
    found += [f"lost header {one}" for one in sent if one not in kept and one[0] not in OWN]
    found += [f"lost header {one}" for one in sent if one not in kept and one[0] == "user-agent" and one[1] == "me"]
    found += [f"lost header {one}" for one in sent if one[0] == "accept" and one[1] != "*/*" and one not in kept]
    found += [f"made-up header {one}" for one in kept if one not in sent]
    return found
