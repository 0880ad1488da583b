"""The command line that starts a program which ends with its parent, if necessary under another account."""

import os
import shutil
import signal
import sys
from collections.abc import Sequence

from ops.supervisor.program import RunAs, StartError

# setpriv asks the kernel for the signal, and does not notice a parent that died before.
_WHILE_PARENT_LIVES = 'test "$PPID" = "$0" || exit 126; exec "$@"'


def launch_command(
    argv: Sequence[str], *, run_as: RunAs | None = None, orphan_signal: signal.Signals = signal.SIGTERM
) -> list[str]:
    """Wrap `argv` so that it gets `orphan_signal` when this process dies. It keeps the process id of the command.

    Start it from the main thread: the kernel watches the thread that forked, not the process. Other systems than Linux
    have no such signal: there `argv` is returned as it is. Raises StartError.
    """
    if sys.platform != "linux":
        return list(argv)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StartError("The program setpriv is missing. Install the package util-linux.")
    command = [setpriv, "--pdeathsig", orphan_signal.name.removeprefix("SIG")]
    if run_as is not None:
        command += ["--reuid", str(run_as.uid), "--regid", str(run_as.gid), "--clear-groups"]
        if run_as.capability is not None:
            # Without the bit, access(2), by which PostgreSQL looks for its programs, does not count the capability.
            command += ["--securebits", "+no_setuid_fixup"]
            command += ["--inh-caps", f"+{run_as.capability}", "--ambient-caps", f"+{run_as.capability}"]
    return [*command, "--", "/bin/sh", "-c", _WHILE_PARENT_LIVES, str(os.getpid()), *argv]
