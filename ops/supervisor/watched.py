"""A program under watch: its current process if it has one, its log, and when to try again."""

import signal
import time

from ops.supervisor.backoff import RestartBackoff
from ops.supervisor.child import Child
from ops.supervisor.output import Log
from ops.supervisor.program import Program, StartError


class Watched:
    """One program through all its restarts."""

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
            raise StartError(f"{self.program.name} can't be started: {error}") from error
        return self.child

    def check_ready(self) -> bool:
        """Ask the program's own check, until it said yes once. Raises StartError when something else answers."""
        if not self.is_ready and self.child is not None:
            self.is_ready = self.program.ready(self.child.pid)
        return self.is_ready

    def read_output(self) -> bytes | None:
        """Move what the child wrote into its log; None when there was nothing, empty once there will be no more."""
        chunk = self.child.read() if self.child is not None else b""
        if chunk:
            self.log.feed(chunk)
        return chunk

    def collect(self) -> str | None:
        """How the child ended, if it did; what it last wrote is in the log by then."""
        if self.child is None or not self.child.has_exited():
            return None
        ending = self.child.reap()
        while self.read_output():
            pass
        self.log.end()
        return ending

    def schedule_restart(self) -> float:
        """Forget the ended child and plan the next one; answers the delay in seconds."""
        uptime = time.monotonic() - self.child.started_at if self.child is not None else 0.0
        self.forget_child()
        delay = self._backoff.after(uptime)
        self.restart_at = time.monotonic() + delay
        return delay

    def send(self, number: signal.Signals) -> None:
        if self.child is not None:
            self.child.send(number)

    def kill(self) -> None:
        """End it and its whole process group at once."""
        if self.child is not None:
            self.child.send_to_group(signal.SIGKILL)

    def forget_child(self) -> None:
        if self.child is not None:
            self.child.close_output()
        self.child = None
        self.is_ready = False
