"""Read dkron's jobs: those of its http executor, and of its shell executor with curl or wget."""

import json
import re
from collections.abc import Mapping
from typing import Any

from jobs.imports.call import Call, decimal
from jobs.imports.commands import read_command
from jobs.imports.foreign import go_schedule, items_of, mapping, refuse_others, text
from jobs.imports.items import Item, ReadError

_IMPORTED = ("name", "schedule", "timezone", "disabled", "retries", "concurrency", "executor", "executor_config")
#: Where it runs, its owner and its results: no effect on the call.
_LEFT_OUT = (
    "displayname", "owner", "owner_email", "tags", "metadata", "processors", "status", "success_count", "error_count",
    "last_success", "last_error", "next", "id", "ephemeral", "expires_at", "dependent_jobs", "parent_job", "starts_at",
)  # fmt: skip
_EMPTY: tuple[Any, ...] = (None, "", False, [], {}, 0)
_LOST_IF_SET = ("ephemeral", "expires_at", "parent_job", "starts_at")
_PRESETS = {"@minutely": "* * * * *", "@manually": None}


def read_dkron(value: Any, *, timezone: str) -> list[Item]:
    """Return an item for each job of a list, as in dkron's API, or for a single job. Raises ReadError."""
    jobs = value if isinstance(value, list) else [value]
    if not all(isinstance(job, Mapping) for job in jobs):
        raise ReadError("Should be a dkron job, or a list of dkron jobs.")
    return items_of(jobs, lambda job: _item(job, timezone=timezone))


def _item(value: Any, *, timezone: str) -> Item:
    job = mapping(value, "A job")
    refuse_others(job, _IMPORTED + _LEFT_OUT, "A job")
    if lost := [name for name in _LOST_IF_SET if job.get(name) not in _EMPTY]:
        raise ReadError(f"{', '.join(lost)} can't be imported: remove it.")
    config = mapping(job.get("executor_config") or {}, "executor_config")
    call, success = _call(job.get("executor"), config)
    if call.delay_seconds:
        raise ReadError("Remove sleep, and change the schedule instead.")
    schedule, zone = _schedule(text(job.get("schedule"), "schedule"))
    retries, concurrency = job.get("retries") or 0, job.get("concurrency") or "allow"
    if isinstance(retries, bool) or not isinstance(retries, int) or concurrency not in {"allow", "forbid"}:
        raise ReadError("retries should be a whole number, and concurrency allow or forbid.")
    if retries:
        call.retry["max_attempts"] = retries + 1
    definition = {
        "name": text(job.get("name"), "name"),
        "schedule": schedule,
        "timezone": zone or job.get("timezone") or timezone,
        "overlap": "skip" if concurrency == "forbid" else "allow",
        **call.definition(),
        **({"success": success} if success else {}),
    }
    for name in _LEFT_OUT:
        if job.get(name) not in _EMPTY and name in ("tags", "metadata", "processors", "dependent_jobs"):
            call.note(f"{name} is left out.")
    return Item(definition, notes=call.all_notes(), enabled=not job.get("disabled", False))


def _schedule(written: str) -> tuple[Any, str | None]:
    if written in _PRESETS:
        return _PRESETS[written], None
    return (written[4:].strip(), None) if written.startswith("@at ") else go_schedule(written)


def _call(executor: Any, config: Mapping[str, Any]) -> tuple[Call, dict[str, Any]]:
    if executor == "http":
        return _http(config)
    if executor != "shell":
        raise ReadError(
            f"The executor {str(executor)[:40]!r} makes no HTTP call: create an endpoint for its work, and call that."
        )
    refuse_others(config, ("command", "shell", "timeout", "cwd"), "executor_config")
    call = read_command(text(config.get("command"), "executor_config.command"))
    if match := re.fullmatch(r"([0-9]{1,6})s", str(config.get("timeout") or "")):
        call.limit(int(match[1]))
    elif config.get("timeout"):
        raise ReadError("executor_config.timeout should be in seconds, as in 30s.")
    return call, {}


def _http(config: Mapping[str, Any]) -> tuple[Call, dict[str, Any]]:
    allowed = ("method", "url", "headers", "body", "timeout", "expectCode", "expectBody", "debug", "tlsNoVerifyPeer")
    refuse_others({name: value for name, value in config.items() if value not in _EMPTY}, allowed, "executor_config")
    call = Call(method=text(config.get("method"), "executor_config.method"))
    call.set_url(text(config.get("url"), "executor_config.url"))
    for header in _headers(config.get("headers")):
        name, colon, value = text(header, "A header").partition(":")
        if not colon:
            raise ReadError("Headers should look like 'Name: value'.")
        call.add_header(name, value.strip(" \t"))
    call.body = config.get("body") or None
    call.limit(decimal(str(config.get("timeout") or "30"), "timeout"))
    call.tls_verify = str(config.get("tlsNoVerifyPeer") or "false") != "true"
    success: dict[str, Any] = {}
    if codes := re.findall(r"[0-9]+", str(config.get("expectCode") or "")):
        success["statuses"] = codes
    if body := config.get("expectBody"):
        if re.search(r"[\\.^$*+?()\[\]{}|]", str(body)):
            raise ReadError("expectBody is a pattern: create the job yourself, with an assertion body_matches.")
        success["assertions"] = [{"type": "body_contains", "value": body}]
    return call, success


def _headers(written: Any) -> list[Any]:
    """Parse the headers, which dkron stores as the text of a JSON list."""
    if written in _EMPTY:
        return []
    try:
        headers = json.loads(written) if isinstance(written, str) else written
    except ValueError as error:
        raise ReadError("executor_config.headers should be a JSON list of 'Name: value'.") from error
    if not isinstance(headers, list):
        raise ReadError("executor_config.headers should be a JSON list of 'Name: value'.")
    return headers
