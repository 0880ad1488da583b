"""The supervisor: starts stages in order, restarts programs that end, stops the stages in reverse order.

One thread, one selector.
"""

import contextlib
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ops.supervisor.child import Child
from ops.supervisor.launch import launch_command
from ops.supervisor.output import Log, Terminal
from ops.supervisor.program import Program, StartError
from ops.supervisor.stops import StopRequested, StopRequests
from ops.supervisor.watched import Watched

_READY_POLL_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 1.0


class Supervisor:
    """Supervises programs from the main thread. A context manager that stops all programs on exit."""

    def __init__(self, *, logs: Path, terminal: Terminal) -> None:
        self._logs = logs
        self._terminal = terminal
        self._stages: list[list[Watched]] = []
        self._selector = selectors.DefaultSelector()
        self._stops = StopRequests()

    def __enter__(self) -> "Supervisor":
        self._stops.install()
        self._selector.register(self._stops.fd, selectors.EVENT_READ, None)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- starting ------------------------------------------------------------------------------------------------------

    def start(self, *programs: Program) -> None:
        """Start programs as one stage, which also stops together. Raises StartError and StopRequested."""
        stage: list[Watched] = []
        self._stages.append(stage)
        for program in programs:
            self.raise_if_stopping()
            watched = Watched(program, self._log(program))
            stage.append(watched)
            self._launch(watched)

    def await_ready(self) -> None:
        """Wait until every started program is ready. Raises StartError, with its last output, and StopRequested."""
        while waiting := [watched for watched in self._all() if not watched.check_ready()]:
            self.raise_if_stopping()
            for watched in waiting:
                ending = self._collect(watched)
                if ending is not None:
                    watched.forget_child()
                    raise StartError(f"{watched.program.name} {ending} during its start:\n{watched.log.tail()}")
                self._raise_if_overdue(watched)
            self._pump(_READY_POLL_SECONDS)

    def run_attached(self, argv: Sequence[str], environment: Mapping[str, str], directory: Path) -> int:
        """Run a command on this terminal to its end. Returns its exit status as a shell would.

        It stays in this process group, so Ctrl-C reaches it. SIGTERM and SIGHUP are forwarded.
        """
        with subprocess.Popen(launch_command(argv), env=dict(environment), cwd=directory) as process:
            forwarded = 0
            while process.poll() is None:
                if self._stops.count > forwarded and self._stops.last != signal.SIGINT:
                    process.terminate()
                forwarded = self._stops.count
                self._restart_and_pump()
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    # -- watching ------------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Restart programs that end, until a stop is requested."""
        while not self._stops.count:
            self._restart_and_pump()

    def _restart_and_pump(self) -> None:
        for watched in self._all():
            ending = self._collect(watched)
            if ending is not None:
                self._schedule_restart(watched, ending)
            elif watched.restart_at is not None and time.monotonic() >= watched.restart_at:
                self._restart(watched)
            elif watched.child is not None and not watched.is_ready:
                self._check_restarted(watched)
        self._pump(self._seconds_to_next_turn())

    def _schedule_restart(self, watched: Watched, ending: str) -> None:
        delay = watched.schedule_restart()
        self._terminal.say(f"{watched.program.name} {ending}; restarting it in {delay:g} s")

    def _restart(self, watched: Watched) -> None:
        try:
            self._launch(watched)
        except StartError as error:
            self._schedule_restart(watched, f"did not start ({error})")

    def _check_restarted(self, watched: Watched) -> None:
        try:
            if watched.check_ready():
                self._terminal.say(f"{watched.program.name} is ready again")
        except StartError as error:
            self._terminal.say(str(error))
            watched.kill()

    def _seconds_to_next_turn(self) -> float:
        now = time.monotonic()
        times = [_LONGEST_WAIT_SECONDS]
        for watched in self._all():
            if watched.restart_at is not None:
                times.append(max(0.0, watched.restart_at - now))
            elif watched.child is not None and not watched.is_ready:
                times.append(_READY_POLL_SECONDS)
        return min(times)

    # -- stopping ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop the stages in reverse order, each program within its own time. Another stop request shortens it."""
        requests_before = self._stops.count
        while self._stages:
            stage = self._stages.pop()
            live = [watched for watched in stage if watched.child is not None]
            if live:
                self._terminal.say("stopping " + ", ".join(watched.program.name for watched in live))
            for watched in live:
                watched.send(watched.program.stop_signal)
            self._await_end(live, hastened=lambda: self._stops.count > requests_before)
            for watched in stage:
                watched.log.close()

    def _await_end(self, live: list[Watched], *, hastened: Callable[[], bool]) -> None:
        begun = time.monotonic()
        killed: set[Watched] = set()
        while live:
            for watched in live:
                patience = watched.program.stop_seconds if not hastened() else watched.program.hastened_seconds
                if time.monotonic() - begun > patience and watched not in killed:
                    self._terminal.say(f"{watched.program.name} did not stop within {patience:g} s; killing it")
                    watched.kill()
                    killed.add(watched)
            self._pump(_READY_POLL_SECONDS)
            for watched in live:
                if self._collect(watched) is not None:
                    watched.forget_child()
            live = [watched for watched in live if watched.child is not None]

    # -- the loop ------------------------------------------------------------------------------------------------------

    def _all(self) -> list[Watched]:
        return [watched for stage in self._stages for watched in stage]

    def _log(self, program: Program) -> Log:
        return Log(program.name, self._logs, self._terminal if program.on_terminal else None)

    def _launch(self, watched: Watched) -> Child:
        child = watched.start()
        self._selector.register(child.output_fd, selectors.EVENT_READ, watched)
        return child

    def _collect(self, watched: Watched) -> str | None:
        ending = watched.collect()
        if ending is not None and watched.child is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(watched.child.output_fd)
        return ending

    def _pump(self, timeout: float) -> None:
        """Wait for output, a signal or the end of a child for at most `timeout` seconds, and log the output."""
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._stops.drain()
            elif key.data.read_output() == b"":
                self._selector.unregister(key.fd)

    def raise_if_stopping(self) -> None:
        """Raises StopRequested if a stop was requested."""
        if self._stops.count:
            raise StopRequested

    @staticmethod
    def _raise_if_overdue(watched: Watched) -> None:
        child, limit = watched.child, watched.program.ready_seconds
        if child is not None and time.monotonic() - child.started_at > limit:
            raise StartError(f"{watched.program.name} was not ready within {limit:g} s:\n{watched.log.tail()}")
