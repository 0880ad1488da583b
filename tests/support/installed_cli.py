"""The command line as users install it: its wheel in a virtual environment of its own."""

import importlib.util
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from hourhand.exits import Exit
from hourhand.main import hourhand
from tests.support.project import ROOT

_SECONDS = 120


def interpreter(version: str) -> str | None:
    """Return a Python of this version, such as 3.10, from the PATH or pyenv; None if there is none that runs."""
    candidates = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for candidate in filter(None, candidates):
        asked = [str(candidate), "-c", "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False)
        if told.stdout.strip() == version:
            return str(candidate)
    return None


def build_wheel(directory: Path) -> Path:
    """Build the wheel: without the network if its build backend is installed here."""
    offline = ["--no-build-isolation"] if importlib.util.find_spec("flit_core") else []
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *offline, "--wheel-dir", str(directory)]
    subprocess.run([*command, str(ROOT / "cli")], check=True)
    [wheel] = directory.glob("hourhand-*.whl")
    return wheel


def install(wheel: Path, python: str, directory: Path) -> Path:
    """Install a wheel and what it depends on in a new virtual environment, and return its `hourhand`."""
    subprocess.run([python, "-m", "venv", str(directory)], check=True)
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", str(wheel)]
    subprocess.run(pip, check=True)
    return directory / "bin" / "hourhand"


def verbs() -> set[str]:
    """Return every verb, such as `jobs list`."""
    return {
        f"{name} {verb}" if verb else name
        for name, command in hourhand.commands.items()
        for verb in getattr(command, "commands", [""])
    }


class Shell:
    """Calls an installed `hourhand` with a home directory of its own, and notes which verbs were called."""

    def __init__(self, program: Path, home: Path) -> None:
        self.program, self.home = str(program), home
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
        self.used: set[str] = set()
        self.stderr = ""

    def __call__(self, line: str, *arguments: str, stdin: str = "", exits: Exit = Exit.OK) -> str:
        """Call with the words of a line, quoted as in a shell, and further arguments.

        Check the exit code, and return stdout.
        """
        words = [*shlex.split(line), *arguments]
        self._note(words)
        told = subprocess.run(
            [self.program, *words],
            input=stdin,
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        self.stderr = told.stderr
        assert told.returncode == exits, f"{' '.join(words)}: {Exit(told.returncode)!r}\n{told.stdout}\n{told.stderr}"
        return told.stdout

    def name(self, line: str, *arguments: str, **options: Any) -> str:
        """Return the only name that a verb answers with `-o name`."""
        [name] = self(line, *arguments, "-o", "name", **options).split()
        return name

    def typed(self, line: str, answer: str, *, exits: Exit = Exit.OK, **environment: str) -> str:
        """Call with a terminal as stdin, on which a person types an answer; return stdout and stderr together."""
        self._note(line.split())
        person, terminal = pty.openpty()
        process = subprocess.Popen(
            [self.program, *shlex.split(line)],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**self.environment, **environment},
            cwd=self.home,
            text=True,
        )
        os.close(terminal)
        os.write(person, answer.encode())
        try:
            told, _ = process.communicate(timeout=_SECONDS)
        finally:
            os.close(person)
        assert process.returncode == exits, told
        return told

    def start(self, line: str) -> "Background":
        self._note(line.split())
        return Background([self.program, *shlex.split(line)], self.environment, self.home)

    def _note(self, words: list[str]) -> None:
        self.used |= {verb for verb in verbs() if words[: len(verb.split())] == verb.split()}


class Background:
    """A call that goes on until it ends itself or is interrupted."""

    def __init__(self, command: list[str], environment: dict[str, str], directory: Path) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            cwd=directory,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout: IO[str] = self._process.stdout
        self.stderr: IO[str] = self._process.stderr

    def lines(self) -> Iterator[str]:
        """Yield the lines of stdout as they come."""
        yield from self.stdout

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        return self._process.wait(_SECONDS)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self.stdout.close()
        self.stderr.close()
