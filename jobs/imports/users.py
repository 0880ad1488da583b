"""Detect and remove the user column of a system crontab, such as /etc/crontab."""

import re
from collections.abc import Sequence

from jobs.imports.items import ReadError

_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*\$?")
#: Accounts that are not programs: one of them in the sixth column shows that it is the user column.
_ACCOUNTS = frozenset(
    {"root", "www-data", "nobody", "daemon", "ubuntu", "debian", "centos", "fedora", "ec2-user", "nginx", "apache"}
)
#: Programs, never taken for users.
_PROGRAMS = frozenset(
    {
        "curl", "wget", "echo", "printf", "cd", "test", "true", "false", "env", "nice", "ionice", "timeout", "flock",
        "time", "sh", "bash", "dash", "ash", "ksh", "zsh", "python", "python2", "python3", "perl", "php", "ruby",
        "node", "java", "find", "rsync", "tar", "cp", "mv", "rm", "cat", "logger", "mail", "xargs", "sudo", "su",
        "doas", "run-parts", "systemctl", "docker", "podman", "kubectl", "aws", "mpg123", "mplayer", "vlc",
        "omxplayer", "ping", "ssh", "scp", "strace", "torsocks", "proxychains", "http", "https", "xh", "lynx",
        "fetch", "aria2c", "chronic", "cronic", "cronitor", "sleep", "exec", "command", "nohup", "setsid", "stdbuf",
        "export", "source", "watch", "notify-send", "tee", "ts",
    }
)  # fmt: skip
#: Names in a crontab's fields.
FIELD_NAMES = frozenset(
    {
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "sun", "mon", "tue", "wed",
        "thu", "fri", "sat",
    }
)  # fmt: skip
_HEADER = re.compile(r"\buser(?:-?name)?\b.*\b(?:command|cmd)\b", re.IGNORECASE)


def has_user_column(commands: Sequence[str], comments: Sequence[str]) -> bool:
    """Return whether each command follows a user: each first word could be one, and an account or header shows it."""
    users = [_split(command)[0] for command in commands]
    if not users or not all(map(_could_be_user, users)):
        return False
    return any(user in _ACCOUNTS for user in users) or any(map(_HEADER.search, comments))


def without_user(command: str, *, user_column: bool) -> str:
    """Return the command without its user. Raises ReadError for a missing or an unexpected user."""
    user, rest = _split(command)
    if user_column:
        if not _could_be_user(user) or not rest:
            raise ReadError("Should have a user before the command, as the other lines of this file have.")
        return rest
    if _could_be_user(user) and re.match(r"(?:\S*/)?(?:curl|wget)\b|https?://|[\"']", rest):
        raise ReadError(
            f"{user[:40]} is not an HTTP call. If it is the user that runs the command, send user_column: true; then "
            "each line should have a user."
        )
    return command


def _split(command: str) -> tuple[str, str]:
    parts = re.split("[ \t]+", command, maxsplit=1)
    return parts[0], parts[1] if len(parts) > 1 else ""


def _could_be_user(word: str) -> bool:
    return bool(_USER.fullmatch(word)) and word not in _PROGRAMS and word.lower() not in FIELD_NAMES
