"""A supervised program: its current process if any, its log, and the time of its next restart."""

import signal
import time

from ops.supervisor.backoff import RestartBackoff
from ops.supervisor.child import Child
from ops.supervisor.output import Log
from ops.supervisor.program import Program, StartError


class Watched:
    """One program over all its restarts."""

    def __init__(self, program: Program, log: Log) -> None:
        self.program = program
        self.log = log
        self.child: Child | None = None
        self.is_ready = False
        self.restart_at: float | None = None
        self._backoff = RestartBackoff()

    def start(self) -> Child:
        """Prepare and start it. Raises StartError."""
        self.restart_at = None
        self.is_ready = False
        self.log.forget_tail()
        try:
            self.program.prepare()
            self.child = Child(self.program)
        except OSError as error:
            raise StartError(f"{self.program.name} cannot be started: {error}") from error
        return self.child

    def check_ready(self) -> bool:
        """Whether the program has become ready. Raises StartError if another process answers in its place."""
        if not self.is_ready and self.child is not None:
            self.is_ready = self.program.ready(self.child.pid)
        return self.is_ready

    def read_output(self) -> bytes | None:
        """Move the child's output into its log. None: no output now; empty: no more output will come."""
        chunk = self.child.read() if self.child is not None else b""
        if chunk:
            self.log.feed(chunk)
        return chunk

    def collect(self) -> str | None:
        """How the child ended, None while it runs. Its last output is then in the log."""
        if self.child is None or not self.child.has_exited():
            return None
        ending = self.child.reap()
        while self.read_output():
            pass
        self.log.end()
        return ending

    def schedule_restart(self) -> float:
        """Drop the ended child and schedule a restart. Returns the delay in seconds."""
        uptime = time.monotonic() - self.child.started_at if self.child is not None else 0.0
        self.forget_child()
        delay = self._backoff.after(uptime)
        self.restart_at = time.monotonic() + delay
        return delay

    def send(self, number: signal.Signals) -> None:
        if self.child is not None:
            self.child.send(number)

    def kill(self) -> None:
        """Kill it and its process group."""
        if self.child is not None:
            self.child.send_to_group(signal.SIGKILL)

    def forget_child(self) -> None:
        if self.child is not None:
            self.child.close_output()
        self.child = None
        self.is_ready = False
