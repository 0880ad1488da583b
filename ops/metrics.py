"""`/metrics`: the house's numbers for Prometheus. They are read from Postgres, so every web process tells the same.

No names of tenants, jobs, hosts or processes are among them, and how many there are never changes.
"""

import contextlib
import itertools
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from accounts import usage
from core.redis import REDIS_ERRORS, redis_client
from core.version import __version__
from runs import counters
from runs.failures import FailureReason
from runs.monitoring import system
from runs.states import LIVE, SkipReason

_BROKER_TIMEOUT_SECONDS = 2
_STATEMENT_TIMEOUT_MS = 5000
_QUEUES = ("deliveries", "chores")
_ENDINGS = [("succeeded", ""), ("canceled", ""), *(("failed", reason.value) for reason in FailureReason)]
_INFINITY = "+Inf"


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """All numbers, in the format that the scraper asks for. 401 without the token, where one is set."""
    if not _is_allowed(request):
        return HttpResponse("A bearer token is needed.\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HouseCollector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


class HouseCollector(Collector):
    """Asks Postgres and Redis when it is scraped. What can't be reached is said to be down, and the rest is told."""

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("hourhand_build", "The running version.", {"version": __version__})
        house, queues = _house(), _queues()
        yield _gauge("database_up", "1 if PostgreSQL answers.", house is not None)
        yield _gauge("broker_up", "1 if Redis answers.", queues is not None)
        if house is not None:
            yield from _now(house)
            yield from _ever(house.totals)
        if queues is not None:
            yield _gauges("queue_messages", "Messages on Redis; one carries up to 500 ids.", "queue", queues)


def _is_allowed(request: HttpRequest) -> bool:
    wanted = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return not wanted or secrets.compare_digest(given.encode(), wanted.encode())


def _house() -> system.SystemState | None:
    with contextlib.suppress(DatabaseError, InterfaceError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(_STATEMENT_TIMEOUT_MS)])
        return system.look(cursor)
    return None


def _queues() -> dict[str, int] | None:
    with redis_client(settings.REDIS_URL, timeout_seconds=_BROKER_TIMEOUT_SECONDS) as client:
        try:
            return {queue: int(client.llen(queue)) for queue in _QUEUES}
        except REDIS_ERRORS:
            return None


def _now(house: system.SystemState) -> Iterator[Metric]:
    yield _gauge("held", "1 while nothing fires, since the database was restored from a dump.", house.held)
    yield _gauge(
        "unreadable_jobs",
        "Jobs, by environment, that wait since a beat or worker can't read their version.",
        house.unreadable,
    )
    yield _gauge("due_lag_seconds", "How long the longest due occurrence waits to be fired.", house.lags.due_seconds)
    yield _gauge(
        "claim_lag_seconds", "How long the longest due execution waits for a worker.", house.lags.claim_seconds
    )
    yield _gauges("live_executions", f"Executions not ended; {system.COUNTED} at most.", "status", _live(house))
    yield from _beats(house.beats)
    yield from _workers(house.workers)
    yield from _known(
        "clock_skew_seconds",
        "How far the clock of a beat or worker is from the database's, of the one that is farthest.",
        house.clock_skew_seconds,
    )
    yield _gauges(
        "quota_workspaces",
        f"Workspaces that have used {usage.NEAR:.0%} of the runs that may start this month, or all of them.",
        "state",
        house.quota._asdict(),
    )
    yield from _retention(house.retention)


def _live(house: system.SystemState) -> dict[str, int]:
    return {status: house.live.get(status, 0) for status in LIVE}


def _beats(beats: system.Beats) -> Iterator[Metric]:
    yield _gauge("beats", "Beats that ticked within the last 30 seconds.", beats.alive)
    yield _gauge("beats_lost", "Beats that fell silent within the last hour and were not replaced.", beats.lost)
    yield from _known(
        "last_tick_age_seconds", "Since a beat told of a tick: 5 or less when all is well.", beats.last_tick_age_seconds
    )
    slowest_ms = beats.slowest_tick_ms
    yield from _known(
        "tick_seconds",
        "The last tick told of, of the slowest beat.",
        None if slowest_ms is None else slowest_ms / 1000,
    )


def _workers(workers: system.Workers) -> Iterator[Metric]:
    yield _gauge("workers", "Workers that were heard from within the last 30 seconds.", workers.alive)
    yield _gauge("workers_lost", "Workers that fell silent within the last hour and were not replaced.", workers.lost)
    yield from _known(
        "last_worker_heartbeat_age_seconds",
        "Since a worker was heard from: 5 or less when all is well.",
        workers.last_heartbeat_age_seconds,
    )
    yield _gauge("workers_draining", "Of them, those that take no more work.", workers.draining)
    yield _gauge("deliveries_in_flight", "HTTP calls under way, in all workers.", workers.in_flight)
    yield _gauge("deliveries_waiting", "Executions that a worker holds and that wait for a place.", workers.waiting)
    yield _gauge("delivery_capacity", "HTTP calls that all workers could have under way.", workers.capacity)


def _retention(found: system.Retention) -> Iterator[Metric]:
    if (last := found.last) is not None:
        yield _gauge("retention_age_seconds", "Since the last nightly retention ended.", last.age_seconds)
        yield _gauge("retention_duration_seconds", "How long the last nightly retention took.", last.seconds)
        removed = {"executions": last.executions, "runs": last.runs}
        yield _gauges("retention_rows", "What the last nightly retention removed.", "kind", removed)
    yield _gauge("retention_under_way", "1 while retention goes on.", found.under_way)
    yield _gauge("purged_jobs", "Purged jobs whose rows are still being removed.", found.jobs_to_remove)


def _ever(totals: Mapping[str, int]) -> Iterator[Metric]:
    yield _endings("hourhand_executions", "Executions that ended.", "executions", totals)
    yield _endings("hourhand_runs", "Runs that ended: one for each attempt.", "runs", totals)
    skipped = CounterMetricFamily(
        "hourhand_occurrences_skipped", "Planned occurrences that did not fire.", labels=["reason"]
    )
    for reason in SkipReason.values:
        skipped.add_metric([reason], totals.get(f"skipped/{reason}", 0))
    yield skipped
    for name, of in (("executions", "Executions"), ("runs", "Runs")):
        meaning = f"{of} that were removed: by retention, with a purged job, or with a wiped workspace."
        yield CounterMetricFamily(f"hourhand_pruned_{name}", meaning, value=totals.get(f"pruned/{name}", 0))
    yield _histogram(
        "hourhand_lateness_seconds",
        "From the planned instant to the request on the wire, of scheduled executions' first attempts.",
        _measured("lateness", counters.LATENESS_SECONDS, totals),
    )
    yield _histogram(
        "hourhand_run_duration_seconds",
        "From the request to the end of its answer.",
        _measured("duration", counters.DURATION_SECONDS, totals),
    )


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"hourhand_{name}", meaning, value=float(value))


def _known(name: str, meaning: str, value: float | None) -> Iterator[Metric]:
    """A gauge that is absent while nobody knows its value."""
    if value is not None:
        yield _gauge(name, meaning, value)


def _gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """One gauge for each value of a label."""
    family = GaugeMetricFamily(f"hourhand_{name}", meaning, labels=[label])
    for value, amount in values.items():
        family.add_metric([value], amount)
    return family


def _endings(name: str, meaning: str, family: str, totals: Mapping[str, int]) -> Metric:
    counter = CounterMetricFamily(name, meaning, labels=["status", "failure_reason"])
    for status, reason in _ENDINGS:
        counter.add_metric([status, reason], totals.get(f"{family}/{status}/{reason}", 0))
    return counter


def _measured(family: str, bounds: Sequence[float], totals: Mapping[str, int]) -> tuple[list[tuple[str, float]], float]:
    """The buckets, each with all below it, and the sum in seconds."""
    names = [*map(str, bounds), _INFINITY]
    counted: Iterable[int] = itertools.accumulate(totals.get(f"{family}/le/{name}", 0) for name in names)
    return list(zip(names, map(float, counted), strict=True)), totals.get(f"{family}/ms", 0) / 1000


def _histogram(name: str, meaning: str, measured: tuple[list[tuple[str, float]], float]) -> Metric:
    buckets, seconds = measured
    return HistogramMetricFamily(name, meaning, buckets=buckets, sum_value=seconds)
