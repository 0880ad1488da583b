"""A job's definition as the clock and the workers use it: frozen and typed, from a JobVersion's `config`. Pure.

`config` is the validated job object of the API, with every field present.
"""

import datetime
import enum
from dataclasses import dataclass, field
from typing import Any

from jobs.definition.assertions import Assertion, compile_assertions
from jobs.definition.callback import callback_bits
from jobs.schedule import Bounded, Schedule, ScheduleError, parse_schedule
from jobs.schedule.misfire import Misfire

_MAX_QUOTED = 40


class Overlap(enum.StrEnum):
    """What to do with an occurrence that is due while an execution of the same job is in progress."""

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE = "queue"
    CANCEL_RUNNING = "cancel_running"


@dataclass(frozen=True, slots=True)
class RequestDefinition:
    """The call to make. `timeout_seconds` is for the whole call, 1 to 300. No repr shows what may hold a secret."""

    url: str = field(repr=False)
    method: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    timeout_seconds: float
    tls_verify: bool
    ca_cert: str | None
    client_cert: "ClientCert | None" = None


@dataclass(frozen=True, slots=True)
class ClientCert:
    """The client certificate of a call and its key, in PEM or as templates."""

    cert: str = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RetryDefinition:
    """When to retry, and after how long. `except_statuses` wins over `on_statuses`."""

    max_attempts: int
    backoff: str
    delay_ms: int
    max_delay_ms: int
    delays_ms: tuple[int, ...]
    jitter: bool
    on_statuses: frozenset[int]
    except_statuses: frozenset[int]
    on_timeout: bool
    on_connection_error: bool
    on_assertion: bool
    on_worker_lost: bool
    honor_retry_after: bool


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """What a worker needs of a job. `concurrency` is the most executions in flight at once.

    `has_callback`: a callback may be due when an execution ends.
    """

    name: str
    request: RequestDefinition
    success_statuses: tuple[str, ...]
    assertions: tuple[Assertion, ...]
    retry: RetryDefinition
    concurrency: int | None
    has_callback: bool = False

    @classmethod
    def of(cls, config: dict[str, Any]) -> "JobDefinition":
        request, retry = config["request"], config["retry"]
        return cls(
            name=config["name"],
            request=RequestDefinition(
                url=request["url"],
                method=request["method"],
                headers=tuple(request["headers"].items()),
                body=None if request["body"] is None else request["body"].encode(),
                timeout_seconds=float(request["timeout_seconds"]),
                tls_verify=request["tls_verify"],
                ca_cert=request["ca_cert"],
                client_cert=_client_cert(request.get("client_cert")),
            ),
            success_statuses=tuple(config["success"]["statuses"]),
            assertions=compile_assertions(config["success"]["assertions"]),
            retry=RetryDefinition(
                max_attempts=retry["max_attempts"],
                backoff=retry["backoff"],
                delay_ms=retry["delay_ms"],
                max_delay_ms=retry["max_delay_ms"],
                delays_ms=tuple(retry["delays_ms"] or ()),
                jitter=retry["jitter"],
                on_statuses=frozenset(retry["on_statuses"]),
                except_statuses=frozenset(retry["except_statuses"]),
                on_timeout=retry["on_timeout"],
                on_connection_error=retry["on_connection_error"],
                on_assertion=retry["on_assertion"],
                on_worker_lost=retry["on_worker_lost"],
                honor_retry_after=retry["honor_retry_after"],
            ),
            concurrency=config["concurrency"],
            has_callback=config.get("callback") is not None,
        )


@dataclass(frozen=True, slots=True)
class Timetable:
    """What the clock needs of a job. `schedule` is None for a manual job.

    `callback_on` says after which endings a callback is due: `jobs.definition.callback`.

    `unreadable` says why this release can't read the stored timetable; `schedule` then means nothing.
    """

    schedule: Schedule | None
    misfire: Misfire
    misfire_grace: datetime.timedelta
    overlap: Overlap
    jitter_seconds: int
    concurrency: int | None
    callback_on: int = 0
    unreadable: str = ""

    @classmethod
    def unread(cls, error: str) -> "Timetable":
        """Return the placeholder for a timetable that can't be read."""
        return cls(None, Misfire.FIRE_ONCE, datetime.timedelta(0), Overlap.ALLOW, 0, None, unreadable=error)

    @classmethod
    def of(cls, config: dict[str, Any], *, anchor: datetime.datetime) -> "Timetable":
        """`anchor`, the job's creation, is where intervals count from without a start date. Raises ScheduleError."""
        return cls.with_schedule(schedule_of(config, anchor=anchor), config)

    @classmethod
    def with_schedule(cls, schedule: Schedule | None, config: dict[str, Any]) -> "Timetable":
        """Combine a schedule with a definition's policies."""
        return cls(
            schedule=schedule,
            misfire=Misfire(config["misfire"]),
            misfire_grace=datetime.timedelta(seconds=config["misfire_grace_seconds"]),
            overlap=Overlap(config["overlap"]),
            jitter_seconds=config["jitter_seconds"],
            concurrency=config["concurrency"],
            callback_on=callback_bits(config.get("callback")),
        )


def schedule_of(config: dict[str, Any], *, anchor: datetime.datetime) -> Schedule | None:
    """Build the schedule of a definition's timing fields; None for a manual job.

    `anchor` is where intervals count from without a start date. Raises ScheduleError.
    """
    starts_at, ends_at = _instant(config["starts_at"]), _instant(config["ends_at"])
    schedule = parse_schedule(
        config["schedule"],
        timezone=config["timezone"],
        now=anchor,
        anchor=starts_at or anchor.replace(microsecond=0),
        dst_gap=config["dst_gap"],
        dst_fold=config["dst_fold"],
    )
    return Bounded(schedule, starts_at, ends_at) if schedule and (starts_at or ends_at) else schedule


def _client_cert(config: dict[str, str] | None) -> ClientCert | None:
    return None if config is None else ClientCert(config["cert"], config["key"])


def _instant(text: str | None) -> datetime.datetime | None:
    if text is None:
        return None
    try:
        return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise ScheduleError(f"{text[:_MAX_QUOTED]!r} is not an ISO 8601 datetime.") from error
