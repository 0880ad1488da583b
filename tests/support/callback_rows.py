"""Rows of callbacks, as the triggers and the workers leave them."""

import datetime
from typing import Any

from runs.models import Callback, CallbackAttempt, Execution
from runs.states import CallbackStatus


def make_callback(execution: Execution, **columns: Any) -> Callback:
    """A failed callback with one attempt, or another by its columns."""
    now = datetime.datetime.now(datetime.UTC)
    status = columns.get("status", CallbackStatus.FAILED)
    pending = status == CallbackStatus.PENDING
    values: dict[str, Any] = {
        "status": status,
        "attempts": 5,
        "attempt_limit": 5,
        "created_at": now,
        "finished_at": None if pending else now,
        "next_attempt_at": now if pending else None,
        "last_error": "HTTP 503" if status == CallbackStatus.FAILED else "",
        **columns,
    }
    Execution.objects.filter(pk=execution.pk).update(callback_on=7)
    callback: Callback = Callback.objects.create(
        workspace_id=execution.workspace_id,
        job_id=execution.job_id,
        environment_id=execution.environment_id,
        execution=execution,
        event="execution.finished",
        sequence=1,
        **values,
    )
    CallbackAttempt.objects.create(callback=callback, number=5, started_at=now, status_code=503, error="HTTP 503")
    return callback
