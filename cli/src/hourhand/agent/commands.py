"""Commands as the agent sees them: started, followed, canceled, and their results."""

import json
import os
import selectors
import socket
import threading
import time

from hourhand.agent.contract import CommandResult, PreparedCommand, ProcessEnd
from hourhand.agent.output import StreamCapture
from hourhand.agent.process import CANCEL, read_end, send_command

#: How long the streams are read after the end. All writers are gone by then, except processes that were never below
#: the command and got its output from it.
DRAIN_SECONDS = 2.0
_READ_BYTES = 64 * 1024


class ParentLostError(Exception):
    """The agent's parent process is gone, so that no command can be started."""


class RunningCommand:
    """A command that has been handed to a supervisor. Any thread may use it.

    `output` and `error_output` capture its streams while it runs.
    """

    def __init__(self, command: PreparedCommand, control: socket.socket, output: int, error_output: int) -> None:
        self.output, self.error_output = StreamCapture(), StreamCapture()
        self._control = control
        self._streams = {output: self.output, error_output: self.error_output}
        self._sending = threading.Lock()
        self._done = threading.Event()
        self._result: CommandResult | None = None
        self._thread = threading.Thread(target=self._follow, args=(command,), name="agent-command", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End the command: SIGTERM to its process group, and SIGKILL after `termination_seconds`. Does not wait."""
        self._send(CANCEL)

    def wait(self, timeout_seconds: float | None = None) -> CommandResult | None:
        """Return the result once the command has ended and nothing of it is left; None if that takes longer."""
        self._done.wait(timeout_seconds)
        return self._result

    def _send(self, message: bytes) -> None:
        # The lock keeps a cancellation from the middle of the command, which may take a while to send.
        with self._sending:
            try:
                self._control.sendall(message)
            except OSError:
                return  # it has ended

    def _follow(self, command: PreparedCommand) -> None:
        try:
            with self._sending:
                send_command(self._control, command)
        except OSError:
            pass  # the end of the supervisor is seen below
        message = self._read_to_end()
        for capture in (self.output, self.error_output):
            capture.close()
        self._control.close()
        self._result = CommandResult(_end(message), self.output.captured(), self.error_output.captured())
        self._done.set()

    def _read_to_end(self) -> bytes:
        """Read the streams and the control socket until all have ended. Returns what the supervisor reported."""
        message = b""
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._control.fileno(), *self._streams):
                os.set_blocking(descriptor, descriptor == self._control.fileno())
                selector.register(descriptor, selectors.EVENT_READ)
            drain_until: float | None = None
            while selector.get_map() and (drain_until is None or time.monotonic() < drain_until):
                wait = None if drain_until is None else max(0.0, drain_until - time.monotonic())
                for key, _ in selector.select(wait):
                    raw = _read(key.fd)
                    if not raw:
                        selector.unregister(key.fd)
                    if key.fd in self._streams:
                        self._streams[key.fd].write(raw)
                    elif raw:
                        message += raw
                    else:
                        drain_until = time.monotonic() + DRAIN_SECONDS
        for descriptor in self._streams:
            os.close(descriptor)
        return message


class Launcher:
    """Starts commands by the agent's parent process. Any thread may use it. See `parent.run_with_parent`."""

    def __init__(self, parent: socket.socket) -> None:
        self._parent = parent
        self._lock = threading.Lock()

    def start(self, command: PreparedCommand) -> RunningCommand:
        """Start a command. Whether it can be executed is in its result. Raises ParentLostError."""
        ours, theirs = socket.socketpair()
        output, output_writer = os.pipe()
        error_output, error_writer = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._parent, [b"s"], [theirs.fileno(), output_writer, error_writer])
        except OSError as error:
            ours.close()
            os.close(output)
            os.close(error_output)
            raise ParentLostError("The agent's parent process is gone.") from error
        finally:
            theirs.close()
            os.close(output_writer)
            os.close(error_writer)
        return RunningCommand(command, ours, output, error_output)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError:  # a supervisor that was killed may reset its socket
        return b""


def _end(message: bytes) -> ProcessEnd:
    try:
        return read_end(message)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError):
        return ProcessEnd(error="The command's supervisor was killed, and the command with it.")
