"""Celery remote control of deliveries: `celery inspect deliveries`, `celery control cancel_execution`, `... drain`.

The commands show ids and hosts, never a URL or a header, which may hold secrets. The `celery` command imports this
module too, for the commands' names, so it imports nothing that only a worker needs.
"""

import time
import uuid
from typing import Any

from celery.worker.control import Panel, control_command, inspect_command

from runs.queue import CALL_COMMAND, CANCEL_COMMAND, DELIVER_TASK, DELIVERIES_QUEUE

#: Celery's own commands, which are replaced below.
_CELERY_COMMANDS = {
    name: Panel.data[name]
    for name in ("cancel_consumer", "add_consumer", "revoke", "rate_limit", "active", "reserved", "scheduled")
}
_SCALING_ADVICE = (
    "threads only hand ids over; to change how many calls run at once, start more workers, or set "
    "HOURHAND_MAX_IN_FLIGHT and restart"
)
_NO_DELIVERIES = {"error": "this worker does not deliver"}


@inspect_command(name="deliveries")
def deliveries(state: Any) -> dict[str, Any]:
    """Transfers in flight, how many executions wait for a slot, and whether the worker takes work."""
    service = _service(state)
    if service is None:
        return _NO_DELIVERIES
    return {"draining": service.draining, "waiting": service.waiting_count, "deliveries": _in_flight(state)}


@control_command(name=CANCEL_COMMAND, args=[("execution_id", str)], signature="<execution id>")
def cancel_execution(state: Any, execution_id: str, attempt: int | None = None) -> dict[str, Any]:
    """Abort an execution's transfer; it is recorded as canceled, though the request may have arrived.

    A cancel names the attempt that it ended.
    """
    try:
        key = str(uuid.UUID(execution_id))
    except (ValueError, AttributeError, TypeError):
        return {"error": "the execution id should be a UUID"}
    service = _service(state)
    aborted = service is not None and service.abort(key, attempt)
    return {"ok": "aborted" if aborted else "not in flight in this worker"}


@control_command(name=CALL_COMMAND, args=[("call_id", str)], signature="<call id>")
def test_call(state: Any, call_id: str) -> dict[str, Any]:
    """Make the test call that waits under this id, unless another worker does. Sent by the dashboard and the API."""
    service = _service(state)
    return {"ok": "heard" if service is not None and service.make_call(str(call_id)) else "not taken"}


@control_command(name="drain")
def drain(state: Any) -> dict[str, Any]:
    """Take no more deliveries; those in flight end. The worker still runs chores until it is stopped."""
    service = _service(state)
    if service is None:
        return _NO_DELIVERIES
    service.drain()
    state.consumer.call_soon(state.consumer.cancel_task_queue, DELIVERIES_QUEUE)
    return {"ok": "draining"}


# -- Celery's own commands that would mislead here: each says what to use instead --------------------------------------


def _refusal(advice: str) -> dict[str, str]:
    return {"error": advice}


@control_command(name="cancel_consumer", args=[("queue", str)], signature="<queue>")
def cancel_consumer(state: Any, queue: str, **_: Any) -> Any:
    """Stop consuming from a queue. Workers also look for deliveries in PostgreSQL; `drain` stops those."""
    if queue == DELIVERIES_QUEUE and _service(state) is not None:
        return _refusal("workers also take deliveries from PostgreSQL; to stop that: celery control drain")
    return _CELERY_COMMANDS["cancel_consumer"](state, queue)


@control_command(
    name="add_consumer",
    args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
    signature="<queue> [exchange [type [routing_key]]]",
)
def add_consumer(state: Any, queue: str, *arguments: Any, **options: Any) -> Any:
    """Consume from a queue. A worker takes deliveries only if it was started with their queue and is not draining."""
    if queue == DELIVERIES_QUEUE:
        service = _service(state)
        if service is None or service.draining:
            return _refusal(f"start a new worker for that: celery worker --queues {DELIVERIES_QUEUE},chores")
    return _CELERY_COMMANDS["add_consumer"](state, queue, *arguments, **options)


@control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **options: Any) -> Any:
    """Revoke chores by their task id. Executions are not tasks: see `cancel_execution`."""
    ids = [task_id] if isinstance(task_id, str) else list(task_id or ())
    service = _service(state)
    in_flight = {transfer.execution_id for transfer in service.in_flight()} if service is not None else set()
    if executions := [key for key in ids if key in in_flight]:
        return _refusal(f"this is an execution in flight: celery control {CANCEL_COMMAND} {executions[0]}")
    answer = _CELERY_COMMANDS["revoke"](state, task_id, terminate, signal, **options)
    note = "executions are not tasks: POST /api/v1/executions/ID/cancel/ cancels one, in flight or not"
    return {**answer, "note": note} if isinstance(answer, dict) else answer


@control_command(name="rate_limit", args=[("task_name", str), ("rate_limit", str)], signature="<task> <limit>")
def rate_limit(state: Any, task_name: str, rate_limit: Any, **options: Any) -> Any:
    """Limit chores. A delivery task carries up to 200 ids: calls are limited by settings and by jobs."""
    if task_name == DELIVER_TASK:
        return _refusal(
            "a task hands over many executions; calls are limited by HOURHAND_MAX_IN_FLIGHT, HOURHAND_MAX_PER_HOST, "
            "HOURHAND_MAX_PER_WORKSPACE and a job's concurrency"
        )
    return _CELERY_COMMANDS["rate_limit"](state, task_name, rate_limit, **options)


def _replace(name: str, advice: str, **shape: Any) -> None:
    """Register a command of Celery's that does nothing here."""

    def answer(_state: Any, **_options: Any) -> dict[str, str]:
        return _refusal(advice)

    control_command(name=name, help=f"Does nothing here: {advice}.", **shape)(answer)


_replace(
    "time_limit",
    "thread pools have no time limits; a job's request.timeout_seconds limits its calls",
    args=[("task_name", str), ("soft_secs", float), ("hard_secs", float)],
    signature="<task> <soft> [hard]",
)
_replace("pool_grow", _SCALING_ADVICE, args=[("n", int)], signature="[N=1]")
_replace("pool_shrink", _SCALING_ADVICE, args=[("n", int)], signature="[N=1]")
_replace("autoscale", _SCALING_ADVICE, args=[("max", int), ("min", int)], signature="[max [min]]")


@inspect_command(name="active", alias="dump_active")
def active(state: Any, safe: bool = False, **options: Any) -> Any:
    """Tasks being executed, which only hand ids over, and the executions in flight."""
    return [*_CELERY_COMMANDS["active"](state, safe=safe, **options), *_in_flight(state)]


@inspect_command(name="reserved", alias="dump_reserved")
def reserved(state: Any, **options: Any) -> Any:
    """Tasks that were received, and how many executions of this worker wait for a slot."""
    service = _service(state)
    waiting = [{"executions_waiting_for_a_place": service.waiting_count}] if service is not None else []
    return [*_CELERY_COMMANDS["reserved"](state, **options), *waiting]


@inspect_command(name="scheduled", alias="dump_schedule")
def scheduled(state: Any, **options: Any) -> Any:
    """Tasks with an ETA: none here, since executions wait in PostgreSQL."""
    note = {"note": "executions wait in PostgreSQL: GET /api/v1/executions/?status=pending,waiting"}
    return [*_CELERY_COMMANDS["scheduled"](state, **options), note]


def _in_flight(state: Any) -> list[dict[str, Any]]:
    service = _service(state)
    if service is None:
        return []
    now = time.monotonic()
    return [
        {
            "execution_id": transfer.execution_id,
            "attempt": transfer.attempt,
            "host": transfer.host,
            "seconds": round(now - transfer.started_monotonic, 3),
        }
        for transfer in sorted(service.in_flight(), key=lambda transfer: transfer.started_monotonic)
    ]


def _service(state: Any) -> Any:
    """The delivery service that `DeliveryStep` gave this worker; None where it does not deliver."""
    return getattr(state.consumer.controller, "deliveries", None)
