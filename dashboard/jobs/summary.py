"""Summarize a definition in words: request, success, retries, overlap, retention. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from core.words import duration_words
from dashboard.jobs.phrases import SENDERS, assertion_words, condition_words, cut, seconds_words
from jobs.definition.calls import WORKFLOW, is_workflow

Config = Mapping[str, Any]
_BACKOFF = {
    "exponential": "doubling each time",
    "linear": "increasing by as much each time",
    "fixed": "each time",
}
_RETRIED = {
    "on_timeout": "a timeout",
    "on_connection_error": "a failed connection",
    "on_assertion": "a failed assertion",
    "on_worker_lost": "the loss of its worker",
}
_OVERLAP = {
    "allow": "",
    "skip": "Skip the new execution while one is running",
    "queue": "Queue the new execution while one is running",
    "cancel_running": "Cancel the running execution when a new one is due",
}
_MISFIRE = {
    "fire_once": "Fire once, for the latest, if it is at most {} late",
    "fire_all": "Fire each that is at most {} late, at most 100",
    "skip": "Skip and count all of them",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and the lines beside it. `alarms`: shown as a warning."""

    label: str
    lines: tuple[str, ...]
    alarms: bool = False


def summarize(config: Config) -> tuple[Fact, ...]:
    """Summarize all of a definition but its schedule."""
    return tuple(fact for fact in _facts(config) if fact.lines)


def _facts(config: Config) -> Iterator[Fact]:
    yield from _workflow(config[WORKFLOW]) if is_workflow(config) else _call(config)
    overlap = _OVERLAP.get(config["overlap"], config["overlap"])
    yield Fact("Overlap", (overlap,) if overlap else ())
    if config["schedule"] is not None:
        grace = seconds_words(config["misfire_grace_seconds"])
        misfire = config["misfire"]
        yield Fact("Missed occurrences", (_MISFIRE[misfire].format(grace) if misfire in _MISFIRE else misfire,))
    jitter = config["jitter_seconds"]
    yield Fact("Jitter", (f"Each firing is delayed at random by up to {seconds_words(jitter)}",) if jitter else ())
    most = config["concurrency"]
    yield Fact("Concurrency", (f"At most {most} executions at once, over all environments",) if most else ())
    yield Fact("Webhook", tuple(_webhook(config.get("webhook"))))
    yield Fact("Callback", tuple(_callback(config.get("callback"))))
    yield Fact("Retention", (_retention(config["retention"]),))


def _call(config: Config) -> Iterator[Fact]:
    request = config["request"]
    yield Fact("Request", (f"{request['method']} {request['url']}",))
    yield Fact("Headers", (", ".join(request["headers"]),) if request["headers"] else ())
    yield Fact("Timeout", (f"{seconds_words(request['timeout_seconds'])} for the whole call",))
    yield Fact("TLS", tuple(_tls(request)), alarms=not request["tls_verify"])
    yield Fact("Success", tuple(_success(config["success"])))
    yield Fact("Retries", tuple(_retry(config["retry"])))


def _workflow(workflow: Config) -> Iterator[Fact]:
    """The steps have a card of their own."""
    yield Fact("Timeout", (f"{seconds_words(workflow['timeout_seconds'])} for the whole workflow",))


def _success(success: Config) -> Iterator[str]:
    yield f"Status {', '.join(success['statuses'])}"
    for assertion in success["assertions"]:
        yield f"and {assertion_words(assertion)}"


def _retry(retry: Config) -> Iterator[str]:
    if retry["policy"]:
        yield f"By the retry policy {retry['policy']}"
    if retry["max_attempts"] == 1:
        yield "None: one attempt"
        return
    yield f"At most {retry['max_attempts']} attempts"
    yield _delays(retry)
    after = [words for rule, words in _RETRIED.items() if retry[rule]]
    statuses = [str(status) for status in retry["on_statuses"] if status not in retry["except_statuses"]]
    after += [f"a status of {', '.join(statuses)}"] if statuses else []
    yield f"After {_either(after)}" if after else "Never: no rule applies"


def _delays(retry: Config) -> str:
    spread = ", with random jitter" if retry["jitter"] else ""
    honors = "; a Retry-After header is honored" if retry["honor_retry_after"] else ""
    if retry["backoff"] == "list":
        waits = ", ".join(duration_words(wait) for wait in retry["delays_ms"] or ())
    else:
        waits = f"{duration_words(retry['delay_ms'])}, {_BACKOFF.get(retry['backoff'], retry['backoff'])}"
        waits += "" if retry["backoff"] == "fixed" else f", at most {duration_words(retry['max_delay_ms'])}"
    return f"Delays: {waits}{spread}{honors}"


def _webhook(webhook: Config | None) -> Iterator[str]:
    if not webhook or not webhook["enabled"]:
        return
    preset = webhook["verify"]["preset"]
    verified = "" if preset == "none" else f", verified by {SENDERS.get(preset, preset)}"
    yield f"Runs on requests to its URL{verified}"
    if webhook["headers"]:
        yield f"Keeps the headers {cut(', '.join(webhook['headers']))}"
    for condition in webhook["if"]:
        yield f"if {condition_words(condition)}"


def _callback(callback: Config | None) -> Iterator[str]:
    if callback:
        yield f"POST {cut(callback['url'])}"
        body = ", with the response's body" if callback["include_body"] else ""
        yield f"after executions that are {_either(list(callback['on']))}{body}"


def _tls(request: Config) -> Iterator[str]:
    if not request["tls_verify"]:
        yield "Certificate not verified: any server can answer"
    elif request["ca_cert"]:
        yield "Verified with the job's own CA certificate"
    if request.get("client_cert"):
        yield "Sends a client certificate"


def _retention(retention: Config) -> str:
    days = retention["keep_days"]
    days_too = f", and all of the last {'day' if days == 1 else f'{days:,} days'}" if days else ""
    return f"The last {retention['keep_last']:,} executions{days_too}"


def _either(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"
