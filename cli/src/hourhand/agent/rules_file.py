"""Reads `agent.toml`, and refuses what it can't mean, by the name of the key and what would be right.

```toml
allow_argv = ["pg_dump -Fc *"]
allow_shell = false
inherit_env = ["PATH", "LANG", "TZ"]     # variables of the agent that all commands get
user = "jobs"                            # of argv and shell; working_dirs and env as below
umask = "022"

[commands.backup]
description = "Back up one database"
argv = ["/usr/local/bin/backup", "--to={target}", "{database}"]
user = "postgres"
working_dirs = ["/var/backups"]
env = ["TOKEN", "PG*"]                   # variables that a job may set
parameters.target = { choices = ["s3", "local"], default = "local" }
parameters.database = { pattern = "[a-z]+" }

[http]
allow = ["10.0.0.0/8:*", "intranet.example:8080"]
```
"""

import os
import pwd
import re
import shlex
import stat
import string
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hourhand.agent.guard import HttpRules
from hourhand.agent.rules import (
    DEFAULT_INHERITED,
    REST,
    ArgvPattern,
    NamedCommand,
    Parameter,
    RefusedError,
    Rules,
    Surroundings,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MAX_BYTES = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")
_UMASK = re.compile(r"0?[0-7]{3}")
_SURROUNDINGS = ("user", "working_dirs", "env")
Table = Mapping[str, Any]


class RulesError(Exception):
    """The file can't be used; the message names the key and what would be right."""


def read_rules(path: Path) -> Rules:
    """Read the rules; a missing file allows nothing. Raises RulesError, also if others may write the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Rules()
    except OSError as error:
        raise RulesError(f"{path}: {error.strerror}.") from error
    with os.fdopen(descriptor, "rb") as file:
        _refuse_writers(path, os.fstat(file.fileno()))
        # Whoever may rename in the directory can put another file in its place.
        _refuse_writers(path.absolute().parent, path.absolute().parent.stat())
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise RulesError(f"{path} is larger than 1 MiB.")
    try:
        return rules_of(tomllib.loads(content.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RulesError) as error:
        raise RulesError(f"{path}: {error}") from error


def rules_of(table: Table) -> Rules:
    """Return the rules of a parsed file. Raises RulesError."""
    _refuse_unknown(
        table, "", ("commands", "allow_argv", "allow_shell", "inherit_env", "umask", "http", *_SURROUNDINGS)
    )
    commands = {
        name: _command(name, _table(one, f"commands.{name}"))
        for name, one in _table(table.get("commands", {}), "commands").items()
    }
    umask = table.get("umask", "022")
    if not isinstance(umask, str) or not _UMASK.fullmatch(umask):
        raise RulesError('umask must be a text of octal digits such as "027".')
    return Rules(
        commands,
        allow_argv=tuple(argv_pattern(text, "allow_argv") for text in _texts(table, "allow_argv", "")),
        allow_shell=_flag(table, "allow_shell"),
        inherit_env=_names(table, "inherit_env", "", _VARIABLE, DEFAULT_INHERITED),
        surroundings=_surroundings(table, ""),
        umask=int(umask, 8),
        http=_http(_table(table.get("http", {}), "http")),
    )


def argv_pattern(text: str, key: str) -> ArgvPattern:
    """Return a pattern of `allow_argv` or `--allow-argv`; `key` names it in errors. Raises RulesError."""
    try:
        items = shlex.split(text)
    except ValueError as error:
        raise RulesError(f"{key}: {text!r} can't be split into arguments: {error}.") from error
    if not items or items == [REST]:
        raise RulesError(f"{key}: {text!r} must name a program, such as `pg_dump -Fc *`.")
    return ArgvPattern(text)


def _refuse_writers(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in {0, os.geteuid()}:
        raise RulesError(f"{path} belongs to another user: it must belong to root or to the agent's user.")
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & _OTHERS_WRITE and not sticky:
        raise RulesError(f"{path} can be written by others: run `chmod go-w {path}`.")


def _command(name: str, table: Table) -> NamedCommand:
    key = f"commands.{name}"
    if not _NAME.fullmatch(name):
        raise RulesError(f"{key}: a name has letters, digits, dots, dashes and underscores, at most 100.")
    _refuse_unknown(table, key, ("argv", "description", "parameters", *_SURROUNDINGS))
    argv = tuple(_texts(table, "argv", key))
    if not argv or not argv[0]:
        raise RulesError(f'{key}.argv must name a program and its arguments, such as ["/usr/bin/backup", "--all"].')
    parameters = {
        parameter: _parameter(parameter, _table(one, f"{key}.parameters.{parameter}"), f"{key}.parameters.{parameter}")
        for parameter, one in _table(table.get("parameters", {}), f"{key}.parameters").items()
    }
    _check_places(argv, parameters, key)
    description = _text(table, "description", key) or ""
    return NamedCommand(name, argv, description, parameters, _surroundings(table, key))


def _check_places(argv: tuple[str, ...], parameters: Mapping[str, Parameter], key: str) -> None:
    """Refuse an argv whose places and parameters differ."""
    used = set()
    for index, item in enumerate(argv):
        for name in _places(item, f"{key}.argv"):
            if index == 0:
                raise RulesError(f"{key}.argv: a parameter can't choose the program.")
            if name not in parameters:
                raise RulesError(f"{key}.argv: {{{name}}} is not a parameter; add {key}.parameters.{name}.")
            used.add(name)
    unused = sorted(set(parameters) - used)
    if unused:
        raise RulesError(f"{key}.parameters.{unused[0]} is not used; put {{{unused[0]}}} into {key}.argv.")


def _places(item: str, key: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(item))
    except ValueError as error:
        raise RulesError(f"{key}: {item!r}: {error}; write {{{{ and }}}} for braces.") from error
    for _, name, spec, conversion in parts:
        if name is not None and (not _PARAMETER.fullmatch(name) or spec or conversion):
            raise RulesError(f"{key}: {item!r}: write a parameter as {{name}}, and {{{{ and }}}} for braces.")
    return [name for _, name, _, _ in parts if name is not None]


def _parameter(name: str, table: Table, key: str) -> Parameter:
    if not _PARAMETER.fullmatch(name):
        raise RulesError(f"{key}: a parameter's name has small letters, digits and underscores, at most 40.")
    _refuse_unknown(table, key, ("choices", "pattern", "default"))
    if ("choices" in table) == ("pattern" in table):
        raise RulesError(f'{key} needs either choices = ["a", "b"] or pattern = "[a-z]+".')
    choices = tuple(_texts(table, "choices", key)) if "choices" in table else None
    if choices == ():
        raise RulesError(f"{key}.choices is empty.")
    parameter = Parameter(name, choices, _pattern(table, key), _text(table, "default", key))
    if parameter.default is not None:
        try:
            parameter.checked(parameter.default)
        except RefusedError as error:
            raise RulesError(f"{key}.default is not allowed by itself: {error}") from error
    return parameter


def _pattern(table: Table, key: str) -> re.Pattern[str] | None:
    text = _text(table, "pattern", key)
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise RulesError(f"{key}.pattern is not a regular expression: {error}.") from error


def _surroundings(table: Table, key: str) -> Surroundings:
    directories = tuple(_texts(table, "working_dirs", key))
    for directory in directories:
        if not directory.startswith("/"):
            raise RulesError(f"{_joined(key, 'working_dirs')}: {directory!r} must be an absolute path.")
    return Surroundings(_user(table, key), directories, _names(table, "env", key, _VARIABLE_PATTERN, ()))


def _user(table: Table, key: str) -> str | None:
    name = _text(table, "user", key)
    if name is None:
        return None
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        raise RulesError(f"{_joined(key, 'user')}: this machine has no user {name}.") from None
    if os.geteuid() not in {0, uid}:
        raise RulesError(f"{_joined(key, 'user')}: only an agent that runs as root can run commands as {name}.")
    return name


def home_of(user: str) -> dict[str, str]:
    """Return HOME, USER and LOGNAME of a user, for `Rules.prepare`. Raises RefusedError if it no longer exists."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise RefusedError(f"This machine has no user {user}.") from None
    return {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user}


def _http(table: Table) -> HttpRules:
    _refuse_unknown(table, "http", ("allow",))
    try:
        return HttpRules.parse(tuple(_texts(table, "allow", "http")))
    except ValueError as error:
        raise RulesError(f"http.allow: {error}") from error


def _refuse_unknown(table: Table, key: str, known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            raise RulesError(
                f"{_joined(key, name)} is not a key; {key or 'the file'} may have {', '.join(sorted(known))}."
            )


def _typed(table: Table, name: str, key: str, kind: Callable[[Any], bool], right: str) -> Any:
    if name in table and not kind(table[name]):
        raise RulesError(f"{_joined(key, name)} must be {right}.")
    return table.get(name)


def _text(table: Table, name: str, key: str) -> str | None:
    text: str | None = _typed(table, name, key, _is_text, "a text")
    return text


def _flag(table: Table, name: str) -> bool:
    return bool(_typed(table, name, "", lambda value: isinstance(value, bool), "true or false"))


def _texts(table: Table, name: str, key: str) -> list[str]:
    return _typed(table, name, key, _are_texts, 'a list of texts, such as ["a", "b"]') or []


def _names(table: Table, name: str, key: str, shape: re.Pattern[str], default: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(_texts(table, name, key)) if name in table else default
    for one in names:
        if not shape.fullmatch(one):
            raise RulesError(f'{_joined(key, name)}: {one!r} is not the name of a variable, such as "TOKEN".')
    return names


def _table(value: Any, key: str) -> Table:
    if not isinstance(value, Mapping):
        raise RulesError(f"{key} must be a table, [{key}].")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _joined(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
