"""A definition in words: what a job calls and when, what counts as success, what happens when it fails. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.words import duration_words
from jobs.definition.assertions import ASSERTION_TYPES, spelled_value

Config = Mapping[str, Any]
#: Longer texts are cut: the form has all of them.
MAX_CHARACTERS = 200
_BACKOFF = {
    "exponential": "then twice as long each time",
    "linear": "then longer by as much each time",
    "fixed": "each time",
}
_RETRIED = {
    "on_timeout": "a timeout",
    "on_connection_error": "a failed connection",
    "on_assertion": "an assertion that does not hold",
    "on_worker_lost": "a worker that died",
}
_OVERLAP = {
    "allow": "",
    "skip": "While the last one goes on, the new one is skipped",
    "queue": "While the last one goes on, the new one waits for it",
    "cancel_running": "While the last one goes on, the new one cancels it",
}
_MISFIRE = {
    "fire_once": "Fires once, for the latest, if that is at most {} late",
    "fire_all": "Fires each that is at most {} late, at most 100",
    "skip": "Fires none; those that are missed are counted",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know of a job: what it is about, and the sentences that say it."""

    about: str
    sentences: tuple[str, ...]
    alarms: bool = False


def told(config: Config) -> tuple[Fact, ...]:
    """All of a definition but when it fires, which the schedule says itself."""
    return tuple(fact for fact in _facts(config) if fact.sentences)


def _facts(config: Config) -> Iterator[Fact]:
    request = config["request"]
    yield Fact("Calls", (f"{request['method']} {request['url']}",))
    yield Fact("Headers", (", ".join(request["headers"]),) if request["headers"] else ())
    yield Fact("Waits", (f"At most {_seconds(request['timeout_seconds'])} for the whole call",))
    yield Fact("Succeeds", tuple(_success(config["success"])))
    yield Fact("Fails", tuple(_retry(config["retry"])))
    overlap = _OVERLAP.get(config["overlap"], config["overlap"])
    yield Fact("Overlap", (overlap,) if overlap else ())
    if config["schedule"] is not None:
        grace = _seconds(config["misfire_grace_seconds"])
        misfire = config["misfire"]
        yield Fact("Missed", (_MISFIRE[misfire].format(grace) if misfire in _MISFIRE else misfire,))
    jitter = config["jitter_seconds"]
    yield Fact("Jitter", (f"Each firing starts up to {_seconds(jitter)} later, to spread them",) if jitter else ())
    most = config["concurrency"]
    yield Fact("At once", (f"At most {most} of its executions, over all environments",) if most else ())
    yield Fact("TLS", tuple(_tls(request)), alarms=not request["tls_verify"])
    yield Fact("Keeps", (_retention(config["retention"]),))


def _success(success: Config) -> Iterator[str]:
    yield f"With a status of {', '.join(success['statuses'])}"
    for assertion in success["assertions"]:
        yield f"and if {assertion_words(assertion)}"


def assertion_words(written: Config) -> str:
    """What an assertion asks of the answer."""
    kind = str(written.get("type", "?"))
    known = ASSERTION_TYPES.get(kind)
    words = known.words if known else f"{cut(kind)} {{value}}".replace("{", "{{").replace("}", "}}")
    if known and known.denied and written.get("value") is False:
        words = known.denied
    parts = {name: cut(str(written.get(name, ""))) for name in ("name", "path")}
    return words.format(value=cut(spelled_value(written)), **parts)


def _retry(retry: Config) -> Iterator[str]:
    if retry["policy"]:
        yield f"Retried by the policy {retry['policy']}"
    if retry["max_attempts"] == 1:
        yield "One attempt, no retry"
        return
    yield f"At most {retry['max_attempts']} attempts"
    yield _waits(retry)
    after = [words for rule, words in _RETRIED.items() if retry[rule]]
    statuses = [str(status) for status in retry["on_statuses"] if status not in retry["except_statuses"]]
    after += [f"a status of {', '.join(statuses)}"] if statuses else []
    yield f"After {_either(after)}" if after else "After nothing: no rule asks for a retry"


def _waits(retry: Config) -> str:
    spread = ", spread at random" if retry["jitter"] else ""
    honors = "; as long as a Retry-After asks" if retry["honor_retry_after"] else ""
    if retry["backoff"] == "list":
        waits = ", ".join(duration_words(wait) for wait in retry["delays_ms"] or ())
    else:
        waits = f"{duration_words(retry['delay_ms'])}, {_BACKOFF.get(retry['backoff'], retry['backoff'])}"
        waits += "" if retry["backoff"] == "fixed" else f", at most {duration_words(retry['max_delay_ms'])}"
    return f"Waits {waits}{spread}{honors}"


def _tls(request: Config) -> Iterator[str]:
    if not request["tls_verify"]:
        yield "The certificate is not verified: the call goes to whoever answers"
    elif request["ca_cert"]:
        yield "Verified by certificates of its own"
    if request.get("client_cert"):
        yield "Shows a client certificate"


def _retention(retention: Config) -> str:
    days = retention["keep_days"]
    besides = f", and all of the last {'day' if days == 1 else f'{days:,} days'}" if days else ""
    return f"Its last {retention['keep_last']:,} executions{besides}"


def _seconds(seconds: float) -> str:
    return duration_words(seconds * 1000)


def _either(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def cut(text: str) -> str:
    """A text short enough for a line."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
