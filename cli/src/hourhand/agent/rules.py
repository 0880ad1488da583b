"""What may run on this machine is its owner's word: the rules of `agent.toml`, and their exact refusals.

Pure, except that working directories are followed through symbolic links. The file itself is read by `rules_file`.
"""

import fnmatch
import os
import re
import shlex
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hourhand.agent.contract import CommandDefinition, PreparedCommand
from hourhand.agent.guard import HttpRules

SHELL = "/bin/sh"
#: The end of an `allow_argv` pattern that any further arguments match.
REST = "..."
#: Regular expressions of the file can be slow on long texts.
MAX_PARAMETER_LENGTH = 1000
MAX_TIMEOUT_SECONDS = 86_400.0
DEFAULT_INHERITED = ("PATH", "LANG", "TZ")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_LISTED = 20


class RefusedError(Exception):
    """The owner's rules do not allow it; the message says what they allow."""


@dataclass(frozen=True)
class Parameter:
    """A part of a command that a job chooses: one of `choices`, or a text that `pattern` matches as a whole."""

    name: str
    choices: tuple[str, ...] | None = None
    pattern: re.Pattern[str] | None = None
    default: str | None = None

    def checked(self, value: Any) -> str:
        """Return the value as text. Raises RefusedError."""
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise RefusedError(f"args.{self.name} must be a text or a whole number.")
        text = str(value)
        if self.choices is not None:
            if text not in self.choices:
                raise RefusedError(f"args.{self.name} must be one of {_listed(self.choices)}.")
            return text
        if len(text) > MAX_PARAMETER_LENGTH or "\0" in text:
            raise RefusedError(f"args.{self.name} is longer than {MAX_PARAMETER_LENGTH} characters, or has a NUL.")
        if self.pattern is None or self.pattern.fullmatch(text) is None:
            wanted = self.pattern.pattern if self.pattern is not None else ""
            raise RefusedError(f"args.{self.name} must match {wanted} as a whole.")
        return text


@dataclass(frozen=True)
class Surroundings:
    """Where commands may run: as which user (None: the agent's), in which directories, with which variables.

    A working directory may also be inside one of `working_dirs`; the first is used if a job names none. `env` are the
    names that a job may set, with `*` for any characters.
    """

    user: str | None = None
    working_dirs: tuple[str, ...] = ()
    env: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedCommand:
    """A command of the file. `{name}` in an item of `argv` stands for a parameter."""

    name: str
    argv: tuple[str, ...]
    description: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    surroundings: Surroundings = field(default_factory=Surroundings)

    def filled(self, args: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the argv for the arguments of a job. Raises RefusedError."""
        for name in args:
            if name not in self.parameters:
                known = f"it has {_listed(self.parameters)}" if self.parameters else "it has none"
                raise RefusedError(f"The command {self.name} has no parameter {name}: {known}.")
        values = {name: self._value(parameter, args) for name, parameter in self.parameters.items()}
        return tuple(self._item(item, values) for item in self.argv)

    def _value(self, parameter: Parameter, args: Mapping[str, Any]) -> str:
        if parameter.name in args:
            return parameter.checked(args[parameter.name])
        if parameter.default is None:
            raise RefusedError(f"The command {self.name} needs args.{parameter.name}.")
        return parameter.default

    def _item(self, item: str, values: Mapping[str, str]) -> str:
        parts = list(string.Formatter().parse(item))
        text = "".join(literal + (values[name] if name is not None else "") for literal, name, _, _ in parts)
        first = parts[0][1] if parts and not parts[0][0] else None
        if first is not None and text.startswith("-") and self.parameters[first].choices is None:
            raise RefusedError(f"args.{first} must not begin with -: {self.argv[0]} could read it as an option.")
        return text


@dataclass(frozen=True)
class ArgvPattern:
    """A pattern of `allow_argv`, such as `pg_dump -Fc *`: split as a shell does, one item for each argument.

    In an item `*` stands for any characters, `?` for one. An item that begins with either matches no option, such as
    `--file=x`. A last item `...` stands for any further arguments, options included.
    """

    text: str

    def matches(self, argv: tuple[str, ...]) -> bool:
        """Whether each argument matches its item as a whole."""
        items = shlex.split(self.text)
        if items[-1] == REST:
            items = items[:-1]
            argv = argv[: len(items)]
        return len(argv) == len(items) and all(map(_matches, argv, items))


@dataclass(frozen=True)
class Rules:
    """All that this machine's owner allows. `surroundings` are those of `argv` and `shell`."""

    commands: Mapping[str, NamedCommand] = field(default_factory=dict)
    allow_argv: tuple[ArgvPattern, ...] = ()
    allow_shell: bool = False
    inherit_env: tuple[str, ...] = DEFAULT_INHERITED
    surroundings: Surroundings = field(default_factory=Surroundings)
    umask: int = 0o022
    http: HttpRules = field(default_factory=HttpRules)

    def widened(self, *, allow_argv: tuple[ArgvPattern, ...] = (), allow_shell: bool = False) -> "Rules":
        """Return the rules with what the owner allows on the agent's command line as well."""
        return replace(self, allow_argv=self.allow_argv + allow_argv, allow_shell=self.allow_shell or allow_shell)

    def prepare(
        self, definition: CommandDefinition, *, environ: Mapping[str, str], home: Callable[[str], Mapping[str, str]]
    ) -> PreparedCommand:
        """Return the command to run. Raises RefusedError.

        `environ` is the agent's environment. `home` returns HOME, USER and LOGNAME of a user.
        """
        argv, surroundings = self._argv(definition)
        if "\0" in "".join(argv):
            raise RefusedError("An argument has a NUL character.")
        if not 0 < definition.timeout_seconds <= MAX_TIMEOUT_SECONDS:
            raise RefusedError(f"timeout_seconds must be at most {MAX_TIMEOUT_SECONDS:.0f}.")
        inherited = {**environ, **(home(surroundings.user) if surroundings.user is not None else {})}
        return PreparedCommand(
            argv,
            env={
                **{name: inherited[name] for name in self.inherit_env if name in inherited},
                **_job_env(definition.env, surroundings.env),
            },
            stdin=definition.stdin,
            working_dir=_working_dir(definition.working_dir, surroundings.working_dirs),
            user=surroundings.user,
            umask=self.umask,
            timeout_seconds=definition.timeout_seconds,
        )

    def allows(self) -> dict[str, Any]:
        """Return a summary for the dashboard, as JSON. It shows no argv of named commands."""
        return {
            "commands": [_summary(command) for command in self.commands.values()],
            "allow_argv": [pattern.text for pattern in self.allow_argv],
            "allow_shell": self.allow_shell,
            "user": self.surroundings.user,
            "working_dirs": list(self.surroundings.working_dirs),
            "env": list(self.surroundings.env),
            "http": list(self.http.texts),
        }

    def _argv(self, definition: CommandDefinition) -> tuple[tuple[str, ...], Surroundings]:
        forms = [definition.run, definition.argv, definition.shell]
        if sum(form is not None for form in forms) != 1:
            raise RefusedError("A command has exactly one of run, argv and shell.")
        if definition.run is not None:
            command = self.commands.get(definition.run)
            if command is None:
                names = _listed(self.commands) if self.commands else "none"
                raise RefusedError(f"This agent has no command {definition.run}. Its commands: {names}.")
            return command.filled(definition.args), command.surroundings
        if definition.args:
            raise RefusedError("Only a command with run has args.")
        if definition.shell is not None:
            if not self.allow_shell:
                raise RefusedError("This agent runs no shell lines: it was started without --allow-shell.")
            return (SHELL, "-c", definition.shell), self.surroundings
        return self._allowed_argv(definition.argv or ()), self.surroundings

    def _allowed_argv(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv or not argv[0]:
            raise RefusedError("argv is empty.")
        if any(pattern.matches(argv) for pattern in self.allow_argv):
            return argv
        if not self.allow_argv:
            raise RefusedError("This agent runs no argv: its owner allows none by allow_argv or --allow-argv.")
        allowed = _listed(pattern.text for pattern in self.allow_argv)
        raise RefusedError(f"This agent does not run this argv of {argv[0]}. It allows: {allowed}.")


def _matches(argument: str, item: str) -> bool:
    return fnmatch.fnmatchcase(argument, item) and (item.startswith("-") or not argument.startswith("-"))


def _job_env(env: Mapping[str, str], allowed: tuple[str, ...]) -> dict[str, str]:
    for name, value in env.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise RefusedError(f"env: {name!r} is not a valid variable.")
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed):
            names = _listed(allowed) if allowed else "none"
            raise RefusedError(f"This agent does not let a job set the variable {name} here. It allows: {names}.")
    return dict(env)


def _working_dir(wanted: str | None, allowed: tuple[str, ...]) -> str:
    if wanted is None:
        return allowed[0] if allowed else "/"
    # Symbolic links are followed, so that a link inside an allowed directory leads to no other.
    directory = os.path.realpath(wanted)
    if os.path.isabs(wanted) and any(_is_inside(directory, os.path.realpath(one)) for one in allowed):  # noqa: PTH117
        return directory
    raise RefusedError(
        f"This agent does not run it in {wanted}. Its directories: {_listed(allowed) if allowed else 'only /'}."
    )


def _is_inside(directory: str, allowed: str) -> bool:
    return os.path.commonpath([directory, allowed]) == allowed


def _summary(command: NamedCommand) -> dict[str, Any]:
    return {
        "name": command.name,
        "description": command.description,
        "parameters": [
            {
                "name": parameter.name,
                "choices": list(parameter.choices) if parameter.choices is not None else None,
                "pattern": parameter.pattern.pattern if parameter.pattern is not None else None,
                "default": parameter.default,
            }
            for parameter in command.parameters.values()
        ],
        "user": command.surroundings.user,
        "working_dirs": list(command.surroundings.working_dirs),
        "env": list(command.surroundings.env),
    }


def _listed(names: Any) -> str:
    """Return names in words, at most 20 of them."""
    listed = list(names)
    more = f" and {len(listed) - _MAX_LISTED} more" if len(listed) > _MAX_LISTED else ""
    return ", ".join(listed[:_MAX_LISTED]) + more
