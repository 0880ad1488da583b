"""Celery remote control of deliveries: `celery inspect deliveries`, `celery control cancel_execution`, `... drain`.

They show ids and hosts, never a URL or a header: what is secret in a request stays out of terminals. The `celery`
command loads this module too, to know their names, so it imports nothing that only a worker needs.
"""

import time
import uuid
from typing import Any

from celery.worker.control import Panel, control_command, inspect_command

from runs.queue import CALL_COMMAND, CANCEL_COMMAND, DELIVER_TASK, DELIVERIES_QUEUE

#: Celery's own, before they are replaced below.
_CELERYS = {
    name: Panel.data[name]
    for name in ("cancel_consumer", "add_consumer", "revoke", "rate_limit", "active", "reserved", "scheduled")
}
_MORE = (
    "threads only hand ids over; for more or fewer calls at once start more workers, or set HOURHAND_MAX_IN_FLIGHT and "
    "restart"
)
_NO_DELIVERIES = {"error": "this worker does not deliver"}


@inspect_command(name="deliveries")
def deliveries(state: Any) -> dict[str, Any]:
    """Transfers under way, how many executions wait for a place, and whether the worker takes work."""
    service = _service(state)
    if service is None:
        return _NO_DELIVERIES
    return {"draining": service.draining, "waiting": service.waiting_count, "deliveries": _under_way(state)}


@control_command(name=CANCEL_COMMAND, args=[("execution_id", str)], signature="<execution id>")
def cancel_execution(state: Any, execution_id: str) -> dict[str, Any]:
    """Abort an execution's transfer; it is recorded as canceled, though the request may have arrived."""
    try:
        wanted = str(uuid.UUID(execution_id))
    except (ValueError, AttributeError, TypeError):
        return {"error": "the execution id should be a UUID"}
    service = _service(state)
    aborted = service is not None and service.abort(wanted)
    return {"ok": "aborted" if aborted else "not in flight in this worker"}


@control_command(name=CALL_COMMAND, args=[("call_id", str)], signature="<call id>")
def test_call(state: Any, call_id: str) -> dict[str, Any]:
    """Make the test call that waits under this id, unless another worker does; the dashboard and the API ask for it."""
    service = _service(state)
    return {"ok": "heard" if service is not None and service.make_call(str(call_id)) else "not taken"}


@control_command(name="drain")
def drain(state: Any) -> dict[str, Any]:
    """Take no more deliveries; those under way end. The worker goes on with chores until it is stopped."""
    service = _service(state)
    if service is None:
        return _NO_DELIVERIES
    service.drain()
    state.consumer.call_soon(state.consumer.cancel_task_queue, DELIVERIES_QUEUE)
    return {"ok": "draining"}


# -- Celery's own commands, where what they do is not what it looks like: each says what to use ------------------------


def _instead(advice: str) -> dict[str, str]:
    return {"error": advice}


@control_command(name="cancel_consumer", args=[("queue", str)], signature="<queue>")
def cancel_consumer(state: Any, queue: str, **_: Any) -> Any:
    """Stop consuming from a queue; deliveries are also looked for in PostgreSQL, so that `drain` stops them."""
    if queue == DELIVERIES_QUEUE and _service(state) is not None:
        return _instead("deliveries are also taken from PostgreSQL; to take no more of them: celery control drain")
    return _CELERYS["cancel_consumer"](state, queue)


@control_command(
    name="add_consumer",
    args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
    signature="<queue> [exchange [type [routing_key]]]",
)
def add_consumer(state: Any, queue: str, *arguments: Any, **options: Any) -> Any:
    """Consume from a queue; a worker takes deliveries only if it was started with their queue, and does not drain."""
    if queue == DELIVERIES_QUEUE:
        service = _service(state)
        if service is None or service.draining:
            return _instead(f"start a worker anew for that: celery worker --queues {DELIVERIES_QUEUE},chores")
    return _CELERYS["add_consumer"](state, queue, *arguments, **options)


@control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **options: Any) -> Any:
    """Revoke chores by their task id. An execution is no task: cancel it over the API, or here if it is in flight."""
    ids = [task_id] if isinstance(task_id, str) else list(task_id or ())
    service = _service(state)
    held = {one.execution_id for one in service.in_flight()} if service is not None else set()
    if found := [one for one in ids if one in held]:
        return _instead(f"this is an execution in flight: celery control {CANCEL_COMMAND} {found[0]}")
    answer = _CELERYS["revoke"](state, task_id, terminate, signal, **options)
    note = "executions are no tasks: POST /api/v1/executions/ID/cancel/ cancels one, in flight or not"
    return {**answer, "note": note} if isinstance(answer, dict) else answer


@control_command(name="rate_limit", args=[("task_name", str), ("rate_limit", str)], signature="<task> <limit>")
def rate_limit(state: Any, task_name: str, rate_limit: Any, **options: Any) -> Any:
    """Limit chores. A delivery task carries up to 200 ids: calls are limited by settings and by jobs."""
    if task_name == DELIVER_TASK:
        return _instead(
            "a task hands over many executions; calls are limited by HOURHAND_MAX_IN_FLIGHT, HOURHAND_MAX_PER_HOST, "
            "HOURHAND_MAX_PER_WORKSPACE and a job's concurrency"
        )
    return _CELERYS["rate_limit"](state, task_name, rate_limit, **options)


def _says_only(name: str, advice: str, **shape: Any) -> None:
    """Register a command of Celery's that could do nothing here."""

    def answer(_state: Any, **_options: Any) -> dict[str, str]:
        return _instead(advice)

    control_command(name=name, help=f"Does nothing here: {advice}.", **shape)(answer)


_says_only(
    "time_limit",
    "pools of threads have no time limits; how long a call may take is request.timeout_seconds of its job",
    args=[("task_name", str), ("soft_secs", float), ("hard_secs", float)],
    signature="<task> <soft> [hard]",
)
_says_only("pool_grow", _MORE, args=[("n", int)], signature="[N=1]")
_says_only("pool_shrink", _MORE, args=[("n", int)], signature="[N=1]")
_says_only("autoscale", _MORE, args=[("max", int), ("min", int)], signature="[max [min]]")


@inspect_command(name="active", alias="dump_active")
def active(state: Any, safe: bool = False, **options: Any) -> Any:
    """Tasks being executed, which only hand ids over, and the executions in flight."""
    return [*_CELERYS["active"](state, safe=safe, **options), *_under_way(state)]


@inspect_command(name="reserved", alias="dump_reserved")
def reserved(state: Any, **options: Any) -> Any:
    """Tasks that were received, and how many executions this worker holds that wait for a place."""
    service = _service(state)
    waiting = [{"executions_waiting_for_a_place": service.waiting_count}] if service is not None else []
    return [*_CELERYS["reserved"](state, **options), *waiting]


@inspect_command(name="scheduled", alias="dump_schedule")
def scheduled(state: Any, **options: Any) -> Any:
    """Tasks with an ETA: there are none here, since all waiting is done in PostgreSQL."""
    note = {"note": "executions wait in PostgreSQL: GET /api/v1/executions/?status=pending,waiting"}
    return [*_CELERYS["scheduled"](state, **options), note]


def _under_way(state: Any) -> list[dict[str, Any]]:
    service = _service(state)
    if service is None:
        return []
    now = time.monotonic()
    return [
        {
            "execution_id": one.execution_id,
            "attempt": one.attempt,
            "host": one.host,
            "seconds": round(now - one.started_monotonic, 3),
        }
        for one in sorted(service.in_flight(), key=lambda one: one.started_monotonic)
    ]


def _service(state: Any) -> Any:
    """The delivery service that `DeliveryStep` gave this worker; None where it does not deliver."""
    return getattr(state.consumer.controller, "deliveries", None)
