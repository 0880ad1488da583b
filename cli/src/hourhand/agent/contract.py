"""What is run and how it ended, as values: between the rules, the processes and the server. Pure.

No repr shows what may be secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hourhand.agent.output import CapturedOutput

TERMINATION_SECONDS = 10.0
DEFAULT_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class CommandDefinition:
    """A job's command, rendered: exactly one of `run` (with `args`), `argv` and `shell` is set."""

    run: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict, repr=False)
    argv: tuple[str, ...] | None = field(default=None, repr=False)
    shell: str | None = field(default=None, repr=False)
    working_dir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdin: bytes | None = field(default=None, repr=False)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS


@dataclass(frozen=True)
class PreparedCommand:
    """A command that the rules allow, as it is run.

    `env` is its whole environment. `stdin`: None is an empty input. `user`: None is the agent's own. `umask` is a
    number such as 0o077. `termination_seconds` is how long SIGTERM has before SIGKILL follows.
    """

    argv: tuple[str, ...] = field(repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdin: bytes | None = field(default=None, repr=False)
    working_dir: str = "/"
    user: str | None = None
    umask: int = 0o022
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    termination_seconds: float = TERMINATION_SECONDS


@dataclass(frozen=True)
class ProcessEnd:
    """How the first process of a command ended, and what it used.

    `exit_code` or `signal` (a name such as `SIGKILL`) is set, unless `error` says why neither is known. `timed_out`
    and `canceled`: why it was ended. `started_at` is in seconds since 1970, None if it did not start; `finished_at` is
    that and the time it took, so that a clock that is set meanwhile does not matter. `max_rss_bytes` and `cpu_seconds`
    include its children that it waited for; the first is at least that of the agent's parent process, from which it
    was forked. `survivors`: processes that it started, and that could not be killed.
    """

    exit_code: int | None = None
    signal: str | None = None
    timed_out: bool = False
    canceled: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    max_rss_bytes: int | None = None
    cpu_seconds: float | None = None
    survivors: int = 0
    error: str | None = None


@dataclass(frozen=True)
class CommandResult:
    """The end of a command, and what it wrote."""

    end: ProcessEnd
    output: CapturedOutput
    error_output: CapturedOutput
