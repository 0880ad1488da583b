"""Runs one command, in a small process of its own between the agent and the command: its supervisor.

The supervisor is forked from the agent's parent process, which has no threads, so that code may run between fork and
exec. It is a subreaper: whatever the command starts, also a daemon in a session of its own, stays its descendant and is
killed when the command's first process ends. It talks to the agent over one socket, and kills everything at once if
the agent or the parent is gone.

Outside Linux only the command's process group is killed, and a command survives a supervisor that is killed.
"""

import base64
import contextlib
import fcntl
import json
import os
import pwd
import resource
import selectors
import signal
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from hourhand.agent.contract import PreparedCommand, ProcessEnd
from hourhand.agent.linux import become_subreaper, die_with_parent, kill_descendants, reap_orphans
from hourhand.agent.memory_files import memory_file
from hourhand.agent.signals import Wakeups, restore_signals, signal_name

#: How long the kernel has to end what got SIGKILL. A process that waits for a dead disk may take longer.
KILL_SECONDS = 5.0
#: What the agent sends to end the command.
CANCEL = b"c"
_LENGTH = struct.Struct("!I")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss
_FIRST_FREE = 3


@dataclass(frozen=True)
class CommandChannels:
    """What a supervisor is started with: file descriptors.

    `control` is its socket to the agent. `output` and `error_output` are the command's. `lifeline` is the reading end
    of a pipe that ends with the parent process.
    """

    control: int
    output: int
    error_output: int
    lifeline: int


def send_command(control: socket.socket, command: PreparedCommand) -> None:
    """Send a command to its supervisor. Raises OSError if that is gone."""
    stdin = None if command.stdin is None else base64.b64encode(command.stdin).decode()
    content = json.dumps({**asdict(command), "env": dict(command.env), "stdin": stdin}).encode()
    control.sendall(_LENGTH.pack(len(content)) + content)


def read_end(message: bytes) -> ProcessEnd:
    """Parse what the supervisor reports at the end. Raises ValueError if it is not whole."""
    return ProcessEnd(**json.loads(message))


def supervise(channels: CommandChannels) -> NoReturn:
    """Run the command that the agent sends, report its end, and exit. Exits with 1 if something may be left of it."""
    status = 1
    try:
        os.setsid()
        become_subreaper()
        control = socket.socket(fileno=channels.control)
        command = _received(control)
        end = _Supervisor(command, channels, control).run()
        control.sendall(json.dumps(asdict(end)).encode())
        status = 1 if end.survivors else 0
    except (OSError, EOFError) as error:
        # The agent reports that the supervisor ended early, and the parent process kills what is left.
        print(f"hourhand agent: a supervisor failed: {error}", file=sys.stderr)
    finally:
        os._exit(status)


def _received(control: socket.socket) -> PreparedCommand:
    with control.makefile("rb", buffering=0) as file:
        (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
        fields = json.loads(_exactly(file, length))
    stdin = None if fields["stdin"] is None else base64.b64decode(fields["stdin"])
    return PreparedCommand(**{**fields, "argv": tuple(fields["argv"]), "stdin": stdin})


def _exactly(file: Any, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = file.read(count - len(content))
        if not piece:
            raise EOFError("the agent is gone")
        content += piece
    return content


class _Supervisor:
    """Runs a command to its end."""

    def __init__(self, command: PreparedCommand, channels: CommandChannels, control: socket.socket) -> None:
        self._command, self._channels, self._control = command, channels, control
        self._wakeups = Wakeups((signal.SIGCHLD,))
        self._selector = selectors.DefaultSelector()
        for watched in (control.fileno(), channels.lifeline, self._wakeups.fileno()):
            self._selector.register(watched, selectors.EVENT_READ)
        self._pid = 0
        self._status: int | None = None
        self._usage: resource.struct_rusage | None = None
        self._timed_out = self._canceled = False
        self._timeout_at: float | None = None
        self._kill_at: float | None = None
        self._abandon_at: float | None = None

    def run(self) -> ProcessEnd:
        """Start the command, wait for the end of its first process, and kill the rest."""
        started_at, started = time.time(), time.monotonic()
        failure = self._start()
        if failure is not None:
            os.waitpid(self._pid, 0)
            return ProcessEnd(error=failure)
        self._timeout_at = started + self._command.timeout_seconds
        while not self._ended():
            self._wait()
        seconds = time.monotonic() - started
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        survivors = kill_descendants(seconds=KILL_SECONDS)
        return self._end(started_at, started_at + seconds, survivors)

    def _start(self) -> str | None:
        """Fork the command. Returns why it could not be executed, or None."""
        failure, report = os.pipe()
        source = _source(self._command.stdin)
        supervisor = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _execute(self._command, (source, self._channels.output, self._channels.error_output), report, supervisor)
        for descriptor in (report, source, self._channels.output, self._channels.error_output):
            os.close(descriptor)
        with os.fdopen(failure, "rb") as file:
            return file.read().decode(errors="replace") or None

    def _ended(self) -> bool:
        """Whether the first process has ended, or can't be killed."""
        pid, status, usage = os.wait4(self._pid, os.WNOHANG)
        if pid == self._pid:
            self._status, self._usage = status, usage
            return True
        reap_orphans(frozenset({self._pid}))
        return self._abandon_at is not None and time.monotonic() >= self._abandon_at

    def _wait(self) -> None:
        """Wait for the next event, and act on it."""
        moments = [at for at in (self._timeout_at, self._kill_at, self._abandon_at) if at is not None]
        timeout = max(0.0, min(moments) - time.monotonic()) if moments else None
        for key, _ in self._selector.select(timeout):
            if key.fd == self._wakeups.fileno():
                self._wakeups.take()
            elif key.fd == self._channels.lifeline or not self._control.recv(1):
                self._selector.unregister(key.fd)
                self._kill()
            elif self._kill_at is None and self._abandon_at is None:
                self._canceled = True
                self._terminate()
        now = time.monotonic()
        if self._timeout_at is not None and now >= self._timeout_at:
            self._timed_out = True
            self._terminate()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill()

    def _terminate(self) -> None:
        """Ask the process group to end."""
        self._timeout_at = None
        self._kill_at = time.monotonic() + self._command.termination_seconds
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGTERM)

    def _kill(self) -> None:
        """End the process group at once."""
        self._timeout_at = self._kill_at = None
        self._abandon_at = self._abandon_at or time.monotonic() + KILL_SECONDS
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)

    def _end(self, started_at: float, finished_at: float, survivors: int) -> ProcessEnd:
        error = None if self._status is not None else "the command's process does not end, not even by SIGKILL"
        code = os.waitstatus_to_exitcode(self._status) if self._status is not None else None
        usage = self._usage
        return ProcessEnd(
            exit_code=code if code is not None and code >= 0 else None,
            signal=signal_name(-code) if code is not None and code < 0 else None,
            timed_out=self._timed_out,
            canceled=self._canceled,
            started_at=started_at,
            finished_at=finished_at,
            max_rss_bytes=usage.ru_maxrss * _RSS_UNIT if usage is not None else None,
            cpu_seconds=usage.ru_utime + usage.ru_stime if usage is not None else None,
            survivors=survivors,
            error=error,
        )


def _execute(command: PreparedCommand, streams: tuple[int, int, int], report: int, supervisor: int) -> NoReturn:
    """Become the command. On failure, report why and exit."""
    stage = "its process could not be prepared"
    try:
        os.setsid()
        for target, source in enumerate(_above_standard(streams)):
            os.dup2(source, target)
        report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
        os.closerange(_FIRST_FREE, report)
        os.closerange(report + 1, os.sysconf("SC_OPEN_MAX"))
        os.umask(command.umask)
        stage = f"it can't run as {command.user}"
        _become(command.user)
        # Only now: a change of user undoes it. The supervisor may have died before.
        die_with_parent()
        if os.getppid() != supervisor:
            os._exit(1)
        stage = f"the directory {command.working_dir} can't be used"
        os.chdir(command.working_dir)
        restore_signals()
        stage = f"{command.argv[0]} can't be executed"
        os.execvpe(command.argv[0], list(command.argv), dict(command.env))  # noqa: S606 - no shell is wanted
    except BaseException as error:
        reason = error.strerror if isinstance(error, OSError) else error
        os.write(report, f"The command did not start: {stage}: {reason}.".encode(errors="replace"))
    finally:
        os._exit(127)


def _source(stdin: bytes | None) -> int:
    """Return a file descriptor of the command's standard input."""
    if stdin is None:
        return os.open(os.devnull, os.O_RDONLY)
    with memory_file(stdin) as file:
        return os.dup(file.fileno())


def _above_standard(descriptors: tuple[int, ...]) -> list[int]:
    """Return duplicates that do not collide with standard input, output and error."""
    return [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE) for descriptor in descriptors]


def _become(user: str | None) -> None:
    if user is None:
        return
    entry = pwd.getpwnam(user)
    if entry.pw_uid == os.geteuid():
        return
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
