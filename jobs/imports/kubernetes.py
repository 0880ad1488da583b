"""Read Kubernetes CronJobs with one container that makes one HTTP call."""

from collections.abc import Mapping
from typing import Any

from jobs.imports.call import Call
from jobs.imports.commands import read_words
from jobs.imports.crontab import delayed
from jobs.imports.foreign import go_schedule, items_of, mapping, text
from jobs.imports.items import Item, ReadError
from jobs.imports.wrappers import refuse_rerouting

_OVERLAP = {"Allow": "allow", "Forbid": "skip", "Replace": "cancel_running"}
_MAX_TIMEOUT = 300
_MAX_GRACE = 366 * 24 * 3600


def read_kubernetes(documents: list[Any], *, timezone: str) -> list[Item]:
    """Return an item for each CronJob, and skip other objects. Raises ReadError without any."""
    objects = [item for document in documents for item in _objects(document)]
    crons = [item for item in objects if item.get("kind") == "CronJob"]
    if not crons:
        raise ReadError("Should have an object of the kind CronJob.")
    return items_of(crons, lambda cron: _item(cron, timezone=timezone))


def _objects(document: Any) -> list[Mapping[str, Any]]:
    if not isinstance(document, Mapping):
        return []
    if document.get("kind") in {"List", "CronJobList"} and isinstance(document.get("items"), list):
        return [item for item in document["items"] if isinstance(item, Mapping)]
    return [document]


def _item(cron: Mapping[str, Any], *, timezone: str) -> Item:
    spec = mapping(cron.get("spec"), "spec")
    schedule, zone = go_schedule(text(spec.get("schedule"), "spec.schedule"))
    if zone and spec.get("timeZone"):
        raise ReadError("The time zone is in both spec.schedule and spec.timeZone: remove one.")
    job_spec = mapping(mapping(spec.get("jobTemplate"), "spec.jobTemplate").get("spec"), "spec.jobTemplate.spec")
    call = _call(job_spec)
    policy = spec.get("concurrencyPolicy", "Allow")
    if policy not in _OVERLAP:
        raise ReadError("spec.concurrencyPolicy should be Allow, Forbid or Replace.")
    if call.delay_seconds and not isinstance(schedule, str):
        raise ReadError("Remove sleep, and change the schedule instead.")
    job: dict[str, Any] = {
        "name": text(mapping(cron.get("metadata"), "metadata").get("name"), "metadata.name"),
        "schedule": delayed(schedule, call.delay_seconds) if isinstance(schedule, str) else schedule,
        "timezone": zone or spec.get("timeZone") or timezone,
        "overlap": _OVERLAP[policy],
    }
    if (deadline := spec.get("startingDeadlineSeconds")) is not None:
        job["misfire_grace_seconds"] = min(_whole(deadline, "spec.startingDeadlineSeconds"), _MAX_GRACE)
    if (limit := job_spec.get("backoffLimit")) is not None:
        call.retry["max_attempts"] = _whole(limit, "backoffLimit") + 1
    suspended = spec.get("suspend", False)
    if not isinstance(suspended, bool):
        raise ReadError("spec.suspend should be true or false.")
    return Item({**job, **call.definition()}, notes=call.all_notes(), enabled=not suspended)


def _call(job_spec: Mapping[str, Any]) -> Call:
    for name in ("parallelism", "completions"):
        if job_spec.get(name, 1) != 1:
            raise ReadError(f"{name} should be 1: more makes several calls.")
    pod = mapping(mapping(job_spec.get("template"), "template").get("spec"), "template.spec")
    containers = pod.get("containers")
    if pod.get("initContainers") or not isinstance(containers, list) or len(containers) != 1:
        raise ReadError("Only a CronJob with one container can be imported: create an endpoint for its work.")
    container = mapping(containers[0], "The container")
    for variable in container.get("env") or ():
        refuse_rerouting(str(mapping(variable, "env").get("name")), str(variable.get("value", "-")))
    if container.get("envFrom"):
        raise ReadError("envFrom may change what is called: remove it, or write its values into the command.")
    words = [_word(word) for name in ("command", "args") for word in _list(container.get(name), name)]
    image = str(container.get("image", "")).partition("@")[0].rpartition("/")[2].partition(":")[0]
    if not container.get("command") and image == "curl" and words[:1] != ["curl"]:
        words = ["curl", *words]  # that image's entry point
    call = read_words(words)
    deadline = job_spec.get("activeDeadlineSeconds")
    if deadline is not None and _whole(deadline, "activeDeadlineSeconds") <= _MAX_TIMEOUT:
        call.limit(deadline)
    elif deadline is not None:
        call.note(f"activeDeadlineSeconds is left out: a call may take at most {_MAX_TIMEOUT} seconds.")
    return call


def _list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ReadError(f"{name} should be a list of words.")
    return value


def _word(word: Any) -> str:
    if not isinstance(word, str):
        raise ReadError("The words of command and args should be text: put numbers in quotes.")
    if "$(" in word or "$$" in word:
        raise ReadError("Variables, $(NAME), can't be imported: write out their values.")
    return word


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ReadError(f"{name} should be a whole number.")
    return value
