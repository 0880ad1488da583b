"""The programs that people put before curl in a crontab, and what each means for the call."""

import re
from collections.abc import Callable, Iterator

from jobs.imports.call import Call
from jobs.imports.items import ReadError
from jobs.imports.shell import Word

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh"})
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
#: Variables by which curl and wget call otherwise. Lower case.
_REROUTING = frozenset(
    {
        "http_proxy", "https_proxy", "all_proxy", "curl_home", "curl_ca_bundle", "ssl_cert_file", "ssl_cert_dir",
        "wgetrc", "system_wgetrc", "ld_preload",
    }
)  # fmt: skip


def named(word: Word) -> str:
    """What a program is called, without its folder."""
    return word.value.rpartition("/")[2]


def refuse_rerouting(name: str, value: str) -> None:
    """Refuse a variable that makes a call another one."""
    if name.lower() in _REROUTING and value:
        raise ReadError(f"The variable {name} changes what is called: Hourhand calls the address itself, without it.")


def unwrap(words: list[Word], call: Call) -> list[Word]:
    """The command that is started in the end. What was around it is noted in `call`. Raises ReadError."""
    while words and words[0].assigns:
        _leave_out(words[0], call)
        words = words[1:]
    while words and (start := _STARTERS.get(named(words[0]))):
        words = start(words[1:], call)
    return words


def _leave_out(assignment: Word, call: Call) -> None:
    name, _, value = assignment.text.partition("=")
    refuse_rerouting(name, value)
    call.note(f"The variable {name} is left out: a call has none.")


def _take(words: list[Word], program: str, flags: str, valued: str) -> tuple[dict[str, str], list[Word]]:
    """The options before a program's first argument, which it has in `flags`, or in `valued` with a value; the rest."""
    known_flags, known_valued = flags.split(), valued.split()
    said: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].text.startswith("-") and rest[0].text != "-":
        text = rest.pop(0).value
        if text == "--":
            break
        for name, value in _each(text, known_valued):
            if name in known_flags and value is None:
                said[name] = ""
            elif name in known_valued:
                if value is None and not rest:
                    raise ReadError(f"{program}'s {name} needs a value.")
                said[name] = rest.pop(0).value if value is None else value
            else:
                raise ReadError(f"{program}'s {name[:40]} is not understood here: leave it out.")
    return said, rest


def _each(text: str, valued: list[str]) -> Iterator[tuple[str, str | None]]:
    """The options of a word as (name, attached value), as getopt_long has them."""
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        yield name, value if equals else None
        return
    for place, letter in enumerate(text[1:], start=2):
        if f"-{letter}" in valued:
            yield f"-{letter}", text[place:] or None
            return
        yield f"-{letter}", None


def _timeout(words: list[Word], call: Call) -> list[Word]:
    flags = "-f --foreground -p --preserve-status -v --verbose"
    _, rest = _take(words, "timeout", flags, "-k --kill-after -s --signal")
    found = _DURATION.fullmatch(rest[0].value) if rest else None
    if found is None:
        raise ReadError("timeout should be followed by a duration, as in timeout 30 curl ...")
    if seconds := float(found[1]) * _UNITS[found[2]]:
        call.limit(seconds)
    return rest[1:]


def _flock(words: list[Word], call: Call) -> list[Word]:
    flags = "-n --nb --nonblock -x -e --exclusive -o --close -F --no-fork -v --verbose"
    said, rest = _take(words, "flock", flags, "-E --conflict-exit-code")
    if len(rest) < 2:  # noqa: PLR2004
        raise ReadError("flock should be followed by a file and a command, as in flock -n /tmp/lock curl ...")
    policy = "skip" if said.keys() & {"-n", "--nb", "--nonblock"} else "queue"
    if call.lock is not None:
        raise ReadError("One flock per line: this one has two.")
    call.lock, call.overlap = rest[0].value, policy
    call.note(f"flock is the job's overlap policy here: {policy}.")
    command = rest[1:]
    return _in_shell(command[1:]) if command[0].value in {"-c", "--command"} else command


def _in_shell(words: list[Word]) -> list[Word]:
    if len(words) != 1:
        raise ReadError("-c should be followed by one command in quotes.")
    return [Word("sh"), Word("-c"), *words]


def _nice(words: list[Word], call: Call) -> list[Word]:  # noqa: ARG001
    if words and re.fullmatch(r"--?[0-9]+", words[0].text):
        return words[1:]
    return _take(words, "nice", "", "-n --adjustment")[1]


def _env(words: list[Word], call: Call) -> list[Word]:
    _, rest = _take(words, "env", "-i --ignore-environment -v --debug", "-u --unset -C --chdir")
    rest = rest[1:] if rest and rest[0].text == "-" else rest
    while rest and "=" in rest[0].text:
        _leave_out(rest[0], call)
        rest = rest[1:]
    return rest


def _time(words: list[Word], call: Call) -> list[Word]:  # noqa: ARG001
    return _take(words, "time", "-p --portability -v --verbose -a --append -q --quiet", "-f --format -o --output")[1]


def _cronitor(words: list[Word], call: Call) -> list[Word]:
    _, rest = _take(words, "cronitor", "", "--env")
    if len(rest) < 3 or rest[0].value != "exec":  # noqa: PLR2004
        raise ReadError("Of cronitor only exec is carried over, as in cronitor exec KEY curl ...")
    call.note("cronitor is left out: it hears of these calls no more.")
    command = rest[2:]
    return _in_shell(command) if len(command) == 1 and " " in command[0].text else command


def _starter(program: str, flags: str = "", valued: str = "") -> Callable[[list[Word], Call], list[Word]]:
    """A program that changes nothing of a call."""

    def start(words: list[Word], call: Call) -> list[Word]:  # noqa: ARG001
        return _take(words, program, flags, valued)[1]

    return start


_STARTERS: dict[str, Callable[[list[Word], Call], list[Word]]] = {
    "timeout": _timeout,
    "flock": _flock,
    "nice": _nice,
    "env": _env,
    "time": _time,
    "cronitor": _cronitor,
    "ionice": _starter("ionice", "-t --ignore", "-c --class -n --classdata"),
    "chronic": _starter("chronic", "-v -e"),
    "cronic": _starter("cronic"),
    "nohup": _starter("nohup"),
    "setsid": _starter("setsid", "-f --fork -w --wait -c --ctty"),
    "stdbuf": _starter("stdbuf", "", "-i --input -o --output -e --error"),
    "exec": _starter("exec"),
    "command": _starter("command", "-p"),
}
