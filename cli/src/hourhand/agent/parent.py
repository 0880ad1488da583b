"""The agent's parent: a small process that starts commands and ends them if the agent dies.

    parent -- agent (threads, network)
           `- supervisor -- command -- its children     (one supervisor for each command)

It is the child subreaper of all, so that nothing below it escapes, and it holds no state: if it is killed, the agent
and the supervisors see the end of a pipe, and end themselves and the commands. If the agent is killed, the supervisors
see the end of their sockets, and the parent ends whatever is left.

Only the parent is to be signaled: a service manager that signals the whole control group, as systemd does without
`KillMode=mixed`, would reach the agent twice and every command.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

from hourhand.agent.commands import Launcher
from hourhand.agent.linux import become_subreaper, kill_descendants, reap_orphans
from hourhand.agent.process import KILL_SECONDS, CommandChannels, supervise
from hourhand.agent.signals import Wakeups

#: The agent's exit code if its parent was killed: an internal error (sysexits.h).
PARENT_LOST = 70
#: The signals that the parent passes on. At a terminal Ctrl-C reaches the parent only.
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_CHANNELS = 3
_SIGNALED = 128


def run_with_parent(agent: Callable[[Launcher], int]) -> int:
    """Run `agent`, which returns an exit code, in a child process; return its code when it and all commands have ended.

    This process becomes the parent, so call it before any thread is started. Signals are passed on to the agent. A
    signal that ends the agent is returned as 128 and its number.
    """
    if threading.active_count() > 1:
        raise RuntimeError("Start the agent before any thread: a forked process has only one.")
    lifeline, lifeline_writer = os.pipe()
    requests, agents_end = socket.socketpair()
    become_subreaper()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # so that the collector touches no page that the processes share
    agent_pid = os.fork()
    if agent_pid == 0:
        requests.close()
        os.close(lifeline_writer)
        _run_agent(agent, agents_end, lifeline)
    agents_end.close()
    return _Parent(agent_pid, requests, lifeline, lifeline_writer).run()


def _run_agent(agent: Callable[[Launcher], int], parent: socket.socket, lifeline: int) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        threading.Thread(target=_end_with_parent, args=(lifeline,), name="agent-lifeline", daemon=True).start()
        code = agent(Launcher(parent))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _end_with_parent(lifeline: int) -> None:
    """Wait for the end of the parent, and end this process. Its end closes the sockets, which ends all commands."""
    os.read(lifeline, 1)
    print("hourhand agent: the parent process was killed; ending.", file=sys.stderr, flush=True)
    os._exit(PARENT_LOST)


class _Parent:
    """Serves the agent until its end."""

    def __init__(self, agent_pid: int, requests: socket.socket, lifeline: int, lifeline_writer: int) -> None:
        self._agent_pid, self._requests = agent_pid, requests
        self._lifeline, self._lifeline_writer = lifeline, lifeline_writer
        self._status: int | None = None
        self._supervisors: set[int] = set()
        self._wakeups = Wakeups((signal.SIGCHLD, *_FORWARDED))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wakeups.fileno(), selectors.EVENT_READ)
        self._selector.register(requests, selectors.EVENT_READ)

    def run(self) -> int:
        """Start supervisors until the agent ends, then end all that is left, and return the agent's exit code."""
        self._reap()
        while self._status is None:
            self._turn(None)
        self._end_supervisors()
        code = os.waitstatus_to_exitcode(self._status)
        return code if code >= 0 else _SIGNALED - code

    def _turn(self, timeout_seconds: float | None) -> None:
        for key, _ in self._selector.select(timeout_seconds):
            if key.fd != self._wakeups.fileno():
                self._launch()
                continue
            for number in self._wakeups.take():
                if number == signal.SIGCHLD:
                    self._reap()
                elif self._status is None:
                    os.kill(self._agent_pid, number)

    def _launch(self) -> None:
        """Fork a supervisor with the descriptors that the agent sends."""
        message, descriptors, _, _ = socket.recv_fds(self._requests, 1, _CHANNELS)
        if not message:
            self._selector.unregister(self._requests)
            return
        try:
            # With too many open files some are missing.
            control, output, error_output = descriptors
            pid = os.fork()
        except (OSError, ValueError) as error:  # the agent sees the end of the socket
            print(f"hourhand agent: no process could be started: {error}", file=sys.stderr, flush=True)
        else:
            if pid == 0:
                self._requests.close()
                os.close(self._lifeline_writer)
                supervise(CommandChannels(control, output, error_output, self._lifeline))
            self._supervisors.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)

    def _reap(self) -> None:
        """Take the status of children that have ended. What a killed supervisor left is killed."""
        if self._status is None:
            pid, status = os.waitpid(self._agent_pid, os.WNOHANG)
            self._status = status if pid else None
        leftovers = False
        for supervisor in tuple(self._supervisors):
            pid, status = os.waitpid(supervisor, os.WNOHANG)
            if pid:
                self._supervisors.remove(supervisor)
                leftovers = leftovers or status != 0
        kept = frozenset({self._agent_pid, *self._supervisors})
        reap_orphans(kept)
        if leftovers:
            kill_descendants(kept, seconds=KILL_SECONDS)

    def _end_supervisors(self) -> None:
        """Give the supervisors time to kill their commands, which they do at once, then kill all that is left."""
        deadline = time.monotonic() + 2 * KILL_SECONDS
        while self._supervisors and (wait := deadline - time.monotonic()) > 0:
            self._turn(wait)
        kill_descendants(seconds=KILL_SECONDS)
