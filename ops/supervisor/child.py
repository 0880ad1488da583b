"""One running process, which leads a session and ends with its process group."""

import contextlib
import os
import signal
import subprocess
import time

from ops.supervisor.launch import launch_command
from ops.supervisor.program import Program

_CHUNK = 64 * 1024


class Child:
    """A started program. It leads its own session, so that Ctrl-C in a terminal reaches only the supervisor."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.started_at = time.monotonic()
        self._process = subprocess.Popen(
            launch_command(program.argv, run_as=program.run_as, orphan_signal=program.orphan_signal),
            env=dict(program.environment),
            cwd=program.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=program.inherited_fds,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self.output_fd = self._process.stdout.fileno()
        os.set_blocking(self.output_fd, False)

    def has_exited(self) -> bool:
        """Whether it ended. It is not reaped yet, so that its process group's number cannot be reused."""
        if self._process.returncode is not None:
            return True
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None

    def reap(self) -> str:
        """Reap an exited process, kill the rest of its group, and return how it ended."""
        if self._process.returncode is None:
            self.send_to_group(signal.SIGKILL)
        code = self._process.wait()
        return f"exited with status {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"

    def read(self) -> bytes | None:
        """Its new output: None if there is none now, empty once all writers are gone."""
        try:
            return os.read(self.output_fd, _CHUNK)
        except BlockingIOError:
            return None

    def close_output(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()

    def send(self, number: signal.Signals) -> None:
        if not self.has_exited():
            os.kill(self.pid, number)

    def send_to_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
