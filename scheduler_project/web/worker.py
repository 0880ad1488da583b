"""The worker that gunicorn starts: an event loop for sockets, threads for Django."""

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
    """Serves what `scheduler_project.wsgi` makes. `--threads` says how many requests Django answers at once."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connections: dict[Any, None] = {}
        #: Those that wait for a request, the longest first.
        self.idle: dict[Any, None] = {}
        self._most_connections = CONNECTIONS

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Nothing to say of threads: here they are used."""

    def init_process(self) -> None:
        self._most_connections = min(CONNECTIONS, _raised_file_limit() - _FILES_BESIDES_CONNECTIONS)
        super().init_process()

    def load_wsgi(self) -> None:
        handler = self.app.wsgi()
        # Here and not above: gunicorn's master reads this file too, answers nothing, and stays small without Django.
        self._connection_class = import_module("scheduler_project.web.connection").Connection
        self.asgi = import_module("scheduler_project.web.front").Front(handler, threads=self.cfg.threads)

    def make_room(self) -> None:
        """Close what has been idle for longest, where there are too many connections; the newest if none is idle."""
        if len(self.connections) <= self._most_connections:
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
        """Requests end, within gunicorn's graceful timeout. Idle connections would never end by themselves."""
        for server in self.servers:
            server.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        until = self.loop.time() + self.cfg.graceful_timeout
        while self.connections and self.loop.time() < until and not self._quick_shutdown:
            self.notify()
            await asyncio.sleep(0.05)


def _raised_file_limit() -> int:
    """As many open files as this process may have: each connection is one, and the usual default is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + _FILES_BESIDES_CONNECTIONS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
