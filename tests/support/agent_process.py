"""An agent without a server: a process tree that starts commands as it is asked to on standard input.

Run as a module, it is the agent and its parent; `AgentProcess` is what a test holds of it.
"""

import base64
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from hourhand.agent.commands import Launcher, RunningCommand
from hourhand.agent.contract import CommandResult, PreparedCommand, ProcessEnd
from hourhand.agent.output import CapturedOutput
from hourhand.agent.parent import run_with_parent

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0


class AgentProcess:
    """An agent in processes of its own."""

    def __init__(self, environment: dict[str, str] | None = None, *, groups: list[int] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.agent_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'cli/src'}", **(environment or {})},
            text=True,
            extra_groups=groups,
        )
        self.parent_pid = self.process.pid
        self.agent_pid: int = self.ask(do="pid")

    def ask(self, **request: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, *argv: str, stdin: bytes | None = None, **fields: Any) -> "StartedCommand":
        """Start a command: its argv, and further fields of PreparedCommand. PATH is set unless `env` is given."""
        fields.setdefault("env", {"PATH": os.environ["PATH"]})
        encoded = None if stdin is None else base64.b64encode(stdin).decode()
        number = self.ask(do="start", argv=argv, stdin=encoded, fields=fields)
        return StartedCommand(self, number)

    def run(self, *argv: str, **fields: Any) -> CommandResult:
        return self.start(*argv, **fields).result()

    def peak_bytes(self) -> int:
        """The most memory that the agent has used."""
        return self.ask(do="peak")

    def end(self) -> None:
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@dataclasses.dataclass(frozen=True)
class StartedCommand:
    """A command of an agent, by its number there."""

    agent: AgentProcess
    number: int

    def cancel(self) -> None:
        self.agent.ask(do="cancel", number=self.number)

    def output(self) -> str:
        """What it has written so far."""
        return self.agent.ask(do="output", number=self.number)

    def result(self) -> CommandResult:
        fields = self.agent.ask(do="wait", number=self.number)
        assert fields is not None, "the command has not ended"
        return CommandResult(
            ProcessEnd(**fields["end"]), CapturedOutput(**fields["output"]), CapturedOutput(**fields["error_output"])
        )


def serve(launcher: Launcher) -> int:
    """Answer requests, one JSON object a line, until there are no more."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
    commands: list[RunningCommand] = []
    for line in sys.stdin:
        print(json.dumps(_answer(launcher, commands, json.loads(line))), flush=True)
    return 0


def _answer(launcher: Launcher, commands: list[RunningCommand], request: dict[str, Any]) -> Any:
    match request["do"]:
        case "pid":
            return os.getpid()
        case "peak":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        case "start":
            stdin = None if request["stdin"] is None else base64.b64decode(request["stdin"])
            command = PreparedCommand(tuple(request["argv"]), stdin=stdin, **request["fields"])
            commands.append(launcher.start(command))
            return len(commands) - 1
        case "cancel":
            return commands[request["number"]].cancel()
        case "output":
            return commands[request["number"]].output.captured().text
        case "wait":
            result = commands[request["number"]].wait(PATIENCE_SECONDS)
            return None if result is None else dataclasses.asdict(result)
    raise ValueError(request)


if __name__ == "__main__":
    sys.exit(run_with_parent(serve))
