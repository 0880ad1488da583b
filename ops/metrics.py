"""`/metrics` for Prometheus, read from PostgreSQL, so that every web process returns the same values.

No label names a workspace, job, host or process, and the number of series is constant.
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
from runs.states import LIVE, CallbackStatus, SkipReason, WaitKind, WebhookStatus

_BROKER_TIMEOUT_SECONDS = 2
_STATEMENT_TIMEOUT_MS = 5000
_QUEUES = ("deliveries", "chores")
_ENDINGS = [("succeeded", ""), ("canceled", ""), *(("failed", reason.value) for reason in FailureReason)]
_INFINITY = "+Inf"


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Every metric, in the format that the scraper accepts. 401 without the token if one is set."""
    if not _is_allowed(request):
        return HttpResponse("A bearer token is required.\n", status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SystemCollector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


class SystemCollector(Collector):
    """Queries PostgreSQL and Redis on each scrape. An unreachable one is reported as down, without its metrics."""

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("hourhand_build", "The running version.", {"version": __version__})
        state, queues = _state(), _queues()
        yield _gauge("database_up", "1 if PostgreSQL answers.", state is not None)
        yield _gauge("broker_up", "1 if Redis answers.", queues is not None)
        if state is not None:
            yield from _current(state)
            yield from _totals(state.totals)
        if queues is not None:
            yield _gauges("queue_messages", "Messages on Redis. One carries up to 500 execution ids.", "queue", queues)


def _is_allowed(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return not token or secrets.compare_digest(given.encode(), token.encode())


def _state() -> system.SystemState | None:
    with contextlib.suppress(DatabaseError, InterfaceError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(_STATEMENT_TIMEOUT_MS)])
        return system.read_state(cursor)
    return None


def _queues() -> dict[str, int] | None:
    with redis_client(settings.REDIS_URL, timeout_seconds=_BROKER_TIMEOUT_SECONDS) as client:
        try:
            return {queue: int(client.llen(queue)) for queue in _QUEUES}
        except REDIS_ERRORS:
            return None


def _current(state: system.SystemState) -> Iterator[Metric]:
    yield _gauge("held", "1 while firing is held after a restore from a dump.", state.held)
    yield _gauge(
        "unreadable_jobs",
        "Jobs, counted per environment, that wait because a beat or worker cannot read their version.",
        state.unreadable,
    )
    yield _gauge(
        "due_lag_seconds", "Time that the oldest due occurrence has waited to be fired.", state.lags.due_seconds
    )
    yield _gauge(
        "claim_lag_seconds", "Time that the oldest due execution has waited for a worker.", state.lags.claim_seconds
    )
    yield _gauges("live_executions", f"Unfinished executions, counted up to {system.COUNTED}.", "status", _live(state))
    yield _gauges(
        "waiting_executions",
        f"Workflows that wait, by what they wait for, counted up to {system.COUNTED}.",
        "kind",
        {kind: state.waiting.get(kind, 0) for kind in WaitKind.values},
    )
    yield from _beats(state.beats)
    yield from _workers(state.workers)
    yield from _optional(
        "clock_skew_seconds",
        "Largest difference of a beat's or worker's clock from the database's.",
        state.clock_skew_seconds,
    )
    yield _gauges(
        "quota_workspaces",
        f"Workspaces that have used {usage.NEAR:.0%} of this month's runs, or all of them.",
        "state",
        state.quota._asdict(),
    )
    yield _gauge(
        "webhook_deliveries_pending", "Requests to webhooks that are not dispatched yet.", state.webhooks_pending
    )
    yield _gauge("callbacks_pending", "Callbacks to send, or to send again.", state.callbacks.pending)
    yield _gauge(
        "callback_lag_seconds",
        "Time that the longest due callback has waited for a worker.",
        state.callbacks.lag_seconds,
    )
    yield from _retention(state.retention)


def _live(state: system.SystemState) -> dict[str, int]:
    return {status: state.live.get(status, 0) for status in LIVE}


def _beats(beats: system.Beats) -> Iterator[Metric]:
    yield _gauge("beats", "Beats that reported a tick within the last 30 seconds.", beats.alive)
    yield _gauge("beats_lost", "Beats that stopped reporting within the last hour and were not replaced.", beats.lost)
    yield from _optional(
        "last_tick_age_seconds",
        "Time since a beat last reported a tick, normally 5 or less.",
        beats.last_tick_age_seconds,
    )
    slowest_ms = beats.slowest_tick_ms
    yield from _optional(
        "tick_seconds",
        "Duration of the last reported tick of the slowest beat.",
        None if slowest_ms is None else slowest_ms / 1000,
    )


def _workers(workers: system.Workers) -> Iterator[Metric]:
    yield _gauge("workers", "Workers that reported within the last 30 seconds.", workers.alive)
    yield _gauge(
        "workers_lost", "Workers that stopped reporting within the last hour and were not replaced.", workers.lost
    )
    yield from _optional(
        "last_worker_heartbeat_age_seconds",
        "Time since a worker last reported, normally 5 or less.",
        workers.last_heartbeat_age_seconds,
    )
    yield _gauge("workers_draining", "Workers that drain: they claim nothing more.", workers.draining)
    yield _gauge("deliveries_in_flight", "HTTP calls in flight, in all workers.", workers.in_flight)
    yield _gauge("deliveries_waiting", "Claimed executions that wait for a free slot.", workers.waiting)
    yield _gauge("delivery_capacity", "HTTP calls that all workers together can have in flight.", workers.capacity)


def _retention(retention: system.Retention) -> Iterator[Metric]:
    if (last := retention.last) is not None:
        yield _gauge("retention_age_seconds", "Time since the last nightly retention ended.", last.age_seconds)
        yield _gauge("retention_duration_seconds", "Duration of the last nightly retention.", last.seconds)
        removed = {"executions": last.executions, "runs": last.runs}
        yield _gauges("retention_rows", "Rows that the last nightly retention removed.", "kind", removed)
    yield _gauge("retention_under_way", "1 while retention runs.", retention.under_way)
    yield _gauge("purged_jobs", "Purged jobs whose rows are still being removed.", retention.jobs_to_remove)


def _totals(totals: Mapping[str, int]) -> Iterator[Metric]:
    yield _endings("hourhand_executions", "Finished executions.", "executions", totals)
    yield _endings("hourhand_runs", "Finished runs: one for each attempt.", "runs", totals)
    skipped = CounterMetricFamily(
        "hourhand_occurrences_skipped", "Planned occurrences that did not fire.", labels=["reason"]
    )
    for reason in SkipReason.values:
        skipped.add_metric([reason], totals.get(f"skipped/{reason}", 0))
    yield skipped
    webhooks = CounterMetricFamily(
        "hourhand_webhook_deliveries", "Requests to webhooks, by what became of them.", labels=["status"]
    )
    for status in WebhookStatus.values:
        if status != WebhookStatus.RECEIVED:
            webhooks.add_metric([status], totals.get(f"webhooks/{status}", 0))
    yield webhooks
    callbacks = CounterMetricFamily(
        "hourhand_callbacks", "Callbacks that were delivered, or given up.", labels=["status"]
    )
    for status in (CallbackStatus.DELIVERED, CallbackStatus.FAILED):
        callbacks.add_metric([status], totals.get(f"callbacks/{status}", 0))
    yield callbacks
    for name, of in (("executions", "Executions"), ("runs", "Runs")):
        meaning = f"{of} removed by retention, with a purged job, or with a wiped workspace."
        yield CounterMetricFamily(f"hourhand_pruned_{name}", meaning, value=totals.get(f"pruned/{name}", 0))
    yield _histogram(
        "hourhand_lateness_seconds",
        "From the scheduled time to the request on the wire, for first attempts of scheduled executions.",
        _buckets_and_sum("lateness", counters.LATENESS_SECONDS, totals),
    )
    yield _histogram(
        "hourhand_run_duration_seconds",
        "From the request to the end of the response.",
        _buckets_and_sum("duration", counters.DURATION_SECONDS, totals),
    )


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"hourhand_{name}", meaning, value=float(value))


def _optional(name: str, meaning: str, value: float | None) -> Iterator[Metric]:
    """A gauge that is absent while its value is unknown."""
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


def _buckets_and_sum(
    family: str, bounds: Sequence[float], totals: Mapping[str, int]
) -> tuple[list[tuple[str, float]], float]:
    """The cumulative buckets, and the sum in seconds."""
    names = [*map(str, bounds), _INFINITY]
    counts: Iterable[int] = itertools.accumulate(totals.get(f"{family}/le/{name}", 0) for name in names)
    return list(zip(names, map(float, counts), strict=True)), totals.get(f"{family}/ms", 0) / 1000


def _histogram(name: str, meaning: str, observations: tuple[list[tuple[str, float]], float]) -> Metric:
    buckets, seconds = observations
    return HistogramMetricFamily(name, meaning, buckets=buckets, sum_value=seconds)
