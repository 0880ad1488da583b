"""The gunicorn worker: an event loop for sockets, threads for Django."""

import asyncio
import os
import resource
from importlib import import_module
from typing import Any

from gunicorn.workers.gasgi import ASGIWorker

from core.stopping import ask_to_stop
from scheduler_project.web.deadlines import CONNECTIONS

_FILES_BESIDES_CONNECTIONS = 200


class WebWorker(ASGIWorker):
    """Serve `scheduler_project.wsgi`. `--threads` is how many requests Django handles at once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connections: dict[Any, None] = {}
        #: Connections waiting for a request, the longest first.
        self.idle: dict[Any, None] = {}
        self._max_connections = CONNECTIONS

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Skip gunicorn's warning that threads are unused: this worker uses them."""

    def init_process(self) -> None:
        self._max_connections = min(CONNECTIONS, _raised_file_limit() - _FILES_BESIDES_CONNECTIONS)
        super().init_process()

    def load_wsgi(self) -> None:
        handler = self.app.wsgi()
        # Imported here: gunicorn's master imports this module too, and stays small without Django.
        self._connection_class = import_module("scheduler_project.web.connection").Connection
        self.asgi = import_module("scheduler_project.web.front").Front(handler, threads=self.cfg.threads)

    def make_room(self) -> None:
        """Close the connection that has been idle longest if there are too many; the newest if none is idle."""
        if len(self.connections) <= self._max_connections:
            return
        longest = next(iter(self.idle), None) or next(reversed(self.connections))
        longest.abort()

    def handle_exit_signal(self) -> None:
        ask_to_stop()
        super().handle_exit_signal()

    def handle_quit_signal(self) -> None:
        ask_to_stop()
        super().handle_quit_signal()

    async def _serve(self) -> None:
        def connected() -> Any:
            return self._connection_class(self)

        for listener in self.sockets:
            server = await self.loop.create_server(connected, sock=listener.sock, backlog=self.cfg.backlog)
            self.servers.append(server)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            await asyncio.sleep(1.0)
        await self._shutdown()

    async def _shutdown(self) -> None:
        """Wait for requests within gunicorn's graceful timeout. Idle connections are closed: they would never end."""
        for server in self.servers:
            server.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        until = self.loop.time() + self.cfg.graceful_timeout
        while self.connections and self.loop.time() < until and not self._quick_shutdown:
            self.notify()
            await asyncio.sleep(0.05)


def _raised_file_limit() -> int:
    """Raise the limit of open files, of which each connection is one, and return it. The usual default is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CONNECTIONS + _FILES_BESIDES_CONNECTIONS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
