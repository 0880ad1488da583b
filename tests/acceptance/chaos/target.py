"""The endpoint that the house calls: writes every request to its log before it answers, so that no killed process, and
no application code, has a say in what arrived.

The path says who is called and what it does: `/WORKSPACE/JOB/BEHAVIOUR`. It notes when a caller that is still to be
answered goes away, so that nobody takes a call that was given up for one that goes on.
"""

import contextlib
import datetime
import json
import secrets
import select
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.acceptance.chaos.history import Exchange

#: Delay of each behavior before the response; `after-9` takes 9 seconds.
SECONDS = {"quick": 0.0, "flaky": 0.0, "slow": 2.5, "brief": 0.4, "deadly": 1.0}
_AFTER = "after-"


class Target:
    """An endpoint on loopback. `on_deadly` gets the execution whose worker must die during the call."""

    def __init__(self, log: Path, *, on_deadly: Callable[[str], None]) -> None:
        self._log = log.open("ab", buffering=0)
        self._path = log
        self._on_deadly = on_deadly
        #: Gets each call of a workflow's step, before its answer.
        self.on_step: Callable[[Mapping[str, Any]], None] = lambda _request: None
        self._arrivals: dict[str, dict[int, float]] = defaultdict(dict)
        self._server = _Server(("127.0.0.1", 0), _endpoint(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def arrivals(self) -> Mapping[str, Mapping[int, float]]:
        """Return per job the first arrival of each due second."""
        return {job: dict(seconds) for job, seconds in list(self._arrivals.items())}

    def arrived(self, request: Mapping[str, Any]) -> None:
        """Log a request; the kernel has it when this returns."""
        self._write(request)
        if request["scheduled_for"] is not None:
            name = f"{request['workspace']}/{request['job']}"
            self._arrivals[name].setdefault(int(request["scheduled_for"]), request["at"])
        if "/" in request["execution"]:
            self.on_step(request)
        if request["behaviour"] == "deadly" and request["attempt"] == 1:
            self._on_deadly(request["execution"])

    def answered(self, token: str, at: float) -> None:
        self._write({"answered": token, "at": at})

    def left(self, token: str, at: float) -> None:
        self._write({"left": token, "at": at})

    def _write(self, line: Mapping[str, Any]) -> None:
        self._log.write(json.dumps(line).encode() + b"\n")

    def exchanges(self) -> list[Exchange]:
        """Read the log."""
        lines = [json.loads(line) for line in self._path.read_bytes().splitlines()]
        answered = {line["answered"]: line["at"] for line in lines if "answered" in line}
        left = {line["left"]: line["at"] for line in lines if "left" in line}
        return [
            Exchange(
                **{name: value for name, value in line.items() if name != "behaviour"},
                answered_at=answered.get(line["token"]),
                left_at=left.get(line["token"]),
            )
            for line in lines
            if "token" in line
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._log.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_: object) -> None:
        """Ignore callers that were killed."""


def _endpoint(target: Target) -> type[BaseHTTPRequestHandler]:
    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = _read(self)
            target.arrived(request)
            if _goes_away(self, seconds_of(request["behaviour"])):
                target.left(request["token"], time.time())
                self.close_connection = True
                return
            answer = request["token"].encode()
            with contextlib.suppress(OSError):
                # Logged before it is written, so no caller has the response earlier than the log says.
                at = time.time()
                self.send_response(request["status"])
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
                target.answered(request["token"], at)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Endpoint


def seconds_of(behaviour: str) -> float:
    """Return the delay of an endpoint before its response."""
    return float(behaviour.removeprefix(_AFTER)) if behaviour.startswith(_AFTER) else SECONDS[behaviour]


def _goes_away(endpoint: BaseHTTPRequestHandler, seconds: float) -> bool:
    """Wait for the delay; return whether the caller closed the connection meanwhile."""
    if seconds <= 0:
        return False
    # Callers send one request at a time, so anything readable before the response is the end of the connection.
    poll = select.poll()
    poll.register(endpoint.connection, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _read(endpoint: BaseHTTPRequestHandler) -> dict[str, Any]:
    """A request and its response."""
    at = time.time()
    body = endpoint.rfile.read(int(endpoint.headers.get("Content-Length", 0)))
    _, workspace, job, behaviour = endpoint.path.split("/")
    attempt = int(endpoint.headers["X-Hourhand-Attempt"])
    scheduled_for = endpoint.headers["X-Hourhand-Scheduled-For"]
    step = endpoint.headers["X-Hourhand-Step"]
    execution = endpoint.headers["X-Hourhand-Execution-Id"]
    return {
        "at": at,
        "workspace": workspace,
        "job": job,
        "behaviour": behaviour,
        "execution": f"{execution}/{step}" if step else execution,
        "attempt": attempt,
        "scheduled_for": datetime.datetime.fromisoformat(scheduled_for).timestamp() if scheduled_for else None,
        "body": body.decode(),
        "status": 503 if behaviour == "flaky" and attempt == 1 else 200,
        "token": secrets.token_hex(8),
    }
