"""Exit codes, which scripts rely on."""

import enum


class Exit(enum.IntEnum):
    OK = 0
    ERROR = 1
    USAGE = 2
    EXECUTION_FAILED = 3
    ACCESS = 4
    NOT_FOUND = 5
    CONFLICT = 6
    CHANGES = 7
    AWAY = 75
    INTERRUPTED = 130


#: What each means, for the documentation.
MEANINGS: dict[Exit, str] = {
    Exit.OK: "Success.",
    Exit.ERROR: "An error that has no code of its own, such as a refused field.",
    Exit.USAGE: "The command line is wrong, or a question could not be asked.",
    Exit.EXECUTION_FAILED: "The execution, or the test call, ended without success.",
    Exit.ACCESS: "No server or key is configured, or the key is invalid or lacks a scope.",
    Exit.NOT_FOUND: "There is no such job, execution, run or secret within the key's reach.",
    Exit.CONFLICT: "The present state does not allow it, or it changed since the plan.",
    Exit.CHANGES: "The plan has changes.",
    Exit.AWAY: "The server can't be reached, or has no capacity. Try again later.",
    Exit.INTERRUPTED: "Interrupted with Ctrl-C.",
}
