"""Programs that wrap curl in a crontab, and their effect on the call."""

import re
from collections.abc import Callable, Iterator

from jobs.imports.call import Call
from jobs.imports.items import ReadError
from jobs.imports.shell import Word

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh"})
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
#: Variables, in lower case, that change what curl and wget call.
_REROUTING = frozenset(
    {
        "http_proxy", "https_proxy", "all_proxy", "curl_home", "curl_ca_bundle", "ssl_cert_file", "ssl_cert_dir",
        "wgetrc", "system_wgetrc", "ld_preload",
    }
)  # fmt: skip


def program_name(word: Word) -> str:
    """Return a program's name without its directory."""
    return word.value.rpartition("/")[2]


def refuse_rerouting(name: str, value: str) -> None:
    """Raises ReadError for a variable that changes what is called."""
    if name.lower() in _REROUTING and value:
        raise ReadError(f"The variable {name} changes what is called, and Hourhand does not support it: remove it.")


def unwrap(words: list[Word], call: Call) -> list[Word]:
    """Return the innermost command, and apply its wrappers to `call`. Raises ReadError."""
    while words and words[0].assigns:
        _leave_out(words[0], call)
        words = words[1:]
    while words and (unwrap_one := _WRAPPERS.get(program_name(words[0]))):
        words = unwrap_one(words[1:], call)
    return words


def _leave_out(assignment: Word, call: Call) -> None:
    name, _, value = assignment.text.partition("=")
    refuse_rerouting(name, value)
    call.note(f"The variable {name} is left out: a call has no environment.")


def _parse_options(words: list[Word], program: str, flags: str, valued: str) -> tuple[dict[str, str], list[Word]]:
    """Parse the options before a program's first argument, without values (`flags`) and with (`valued`)."""
    known_flags, known_valued = flags.split(), valued.split()
    options: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].text.startswith("-") and rest[0].text != "-":
        text = rest.pop(0).value
        if text == "--":
            break
        for name, value in _each(text, known_valued):
            if name in known_flags and value is None:
                options[name] = ""
            elif name in known_valued:
                if value is None and not rest:
                    raise ReadError(f"{program}'s {name} needs a value.")
                options[name] = rest.pop(0).value if value is None else value
            else:
                raise ReadError(f"{program}'s {name[:40]} is not supported: leave it out.")
    return options, rest


def _each(text: str, valued: list[str]) -> Iterator[tuple[str, str | None]]:
    """Split a word into (option, attached value), as getopt_long does."""
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        yield name, value if equals else None
        return
    for position, letter in enumerate(text[1:], start=2):
        if f"-{letter}" in valued:
            yield f"-{letter}", text[position:] or None
            return
        yield f"-{letter}", None


def _timeout(words: list[Word], call: Call) -> list[Word]:
    flags = "-f --foreground -p --preserve-status -v --verbose"
    _, rest = _parse_options(words, "timeout", flags, "-k --kill-after -s --signal")
    match = _DURATION.fullmatch(rest[0].value) if rest else None
    if match is None:
        raise ReadError("timeout should be followed by a duration, as in timeout 30 curl ...")
    if seconds := float(match[1]) * _UNITS[match[2]]:
        call.limit(seconds)
    return rest[1:]


def _flock(words: list[Word], call: Call) -> list[Word]:
    flags = "-n --nb --nonblock -x -e --exclusive -o --close -F --no-fork -v --verbose"
    options, rest = _parse_options(words, "flock", flags, "-E --conflict-exit-code")
    if len(rest) < 2:  # noqa: PLR2004
        raise ReadError("flock should be followed by a file and a command, as in flock -n /tmp/lock curl ...")
    policy = "skip" if options.keys() & {"-n", "--nb", "--nonblock"} else "queue"
    if call.lock is not None:
        raise ReadError("The command has two flocks: keep one.")
    call.lock, call.overlap = rest[0].value, policy
    call.note(f"flock becomes the job's overlap policy: {policy}.")
    command = rest[1:]
    return _in_shell(command[1:]) if command[0].value in {"-c", "--command"} else command


def _in_shell(words: list[Word]) -> list[Word]:
    if len(words) != 1:
        raise ReadError("-c should be followed by one command in quotes.")
    return [Word("sh"), Word("-c"), *words]


def _nice(words: list[Word], call: Call) -> list[Word]:  # noqa: ARG001
    if words and re.fullmatch(r"--?[0-9]+", words[0].text):
        return words[1:]
    return _parse_options(words, "nice", "", "-n --adjustment")[1]


def _env(words: list[Word], call: Call) -> list[Word]:
    _, rest = _parse_options(words, "env", "-i --ignore-environment -v --debug", "-u --unset -C --chdir")
    rest = rest[1:] if rest and rest[0].text == "-" else rest
    while rest and "=" in rest[0].text:
        _leave_out(rest[0], call)
        rest = rest[1:]
    return rest


def _time(words: list[Word], call: Call) -> list[Word]:  # noqa: ARG001
    return _parse_options(
        words, "time", "-p --portability -v --verbose -a --append -q --quiet", "-f --format -o --output"
    )[1]


def _cronitor(words: list[Word], call: Call) -> list[Word]:
    _, rest = _parse_options(words, "cronitor", "", "--env")
    if len(rest) < 3 or rest[0].value != "exec":  # noqa: PLR2004
        raise ReadError("Only cronitor exec is supported, as in cronitor exec KEY curl ...")
    call.note("cronitor is left out: it no longer monitors these calls.")
    command = rest[2:]
    return _in_shell(command) if len(command) == 1 and " " in command[0].text else command


def _transparent(program: str, flags: str = "", valued: str = "") -> Callable[[list[Word], Call], list[Word]]:
    """Return the unwrapper of a program without effect on the call."""

    def unwrap_one(words: list[Word], call: Call) -> list[Word]:  # noqa: ARG001
        return _parse_options(words, program, flags, valued)[1]

    return unwrap_one


_WRAPPERS: dict[str, Callable[[list[Word], Call], list[Word]]] = {
    "timeout": _timeout,
    "flock": _flock,
    "nice": _nice,
    "env": _env,
    "time": _time,
    "cronitor": _cronitor,
    "ionice": _transparent("ionice", "-t --ignore", "-c --class -n --classdata"),
    "chronic": _transparent("chronic", "-v -e"),
    "cronic": _transparent("cronic"),
    "nohup": _transparent("nohup"),
    "setsid": _transparent("setsid", "-f --fork -w --wait -c --ctty"),
    "stdbuf": _transparent("stdbuf", "", "-i --input -o --output -e --error"),
    "exec": _transparent("exec"),
    "command": _transparent("command", "-p"),
}
