"""Celery remote control of deliveries: `celery inspect deliveries`, `celery control cancel_execution`, `... drain`.

They show ids and hosts, never a URL or a header: what is secret in a request stays out of terminals. The `celery`
command loads this module too, to know their names, so it imports nothing that only a worker needs.
"""

import time
import uuid
from typing import Any

from celery.worker.control import control_command, inspect_command

from runs.queue import CALL_COMMAND, CANCEL_COMMAND, DELIVERIES_QUEUE

_NO_DELIVERIES = {"error": "this worker does not deliver"}


@inspect_command(name="deliveries")
def deliveries(state: Any) -> dict[str, Any]:
    """Transfers under way, how many executions wait for a place, and whether the worker takes work."""
    service = _service(state)
    if service is None:
        return _NO_DELIVERIES
    now = time.monotonic()
    under_way = [
        {
            "execution_id": one.execution_id,
            "attempt": one.attempt,
            "host": one.host,
            "seconds": round(now - one.started_monotonic, 3),
        }
        for one in sorted(service.in_flight(), key=lambda one: one.started_monotonic)
    ]
    return {"draining": service.draining, "waiting": service.waiting_count, "deliveries": under_way}


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


def _service(state: Any) -> Any:
    """The delivery service that `workers.process.DeliveryStep` gave this worker; None where it does not deliver."""
    return getattr(state.consumer.controller, "deliveries", None)
