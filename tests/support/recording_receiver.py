"""The endpoint that jobs of acceptance tests call."""

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """An endpoint that records every request before it responds, independently of the application."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.delay_seconds = 0.0
        receiver = self

        class Endpoint(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.seen.append({"at": time.time(), "path": self.path, "headers": headers, "body": body})
                time.sleep(receiver.delay_seconds)
                status = int(self.path.rsplit("/", 1)[-1]) if self.path.startswith("/status/") else 200
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_GET = do_POST = answer  # noqa: N815 - the base class's names

            def log_message(self, *_: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, *_: object) -> None:
                """Ignore callers that were killed."""

        self._server = Server(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def deliveries(self) -> Counter[str]:
        """Return the number of requests per execution."""
        return Counter(request["headers"]["x-hourhand-execution-id"] for request in list(self.seen))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
