"""Puts ids on Redis. A message is a wake-up call: when it can't be sent, the row waits and the clock sends it later."""

import uuid
from collections.abc import Callable, Iterable
from functools import partial

import structlog
from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from core.failpoints import failpoint
from core.redis import REDIS_ERRORS, Breaker

log = structlog.get_logger(__name__)

DELIVER_TASK = "workers.deliver"
DELIVERIES_QUEUE = "deliveries"
BULK_TASK = "workers.work_off_bulk_operations"
PRUNING_TASK = "workers.work_off_pruning"
CANCEL_COMMAND = "cancel_execution"
CALL_COMMAND = "test_call"
#: Ids per message: a burst is spread over the workers, and in a large one a message costs next to nothing per id.
_FEWEST_IDS, _MOST_IDS = 50, 500
_MESSAGES_OF_A_BURST = 16
#: After a failure nothing is tried for this long, so that a broken Redis does not slow down every request.
PAUSE_SECONDS = 5.0

_breaker = Breaker(PAUSE_SECONDS)


def enqueue(ids: Iterable[uuid.UUID]) -> int:
    """Send ids to the workers, many per message. Returns how many were sent; never raises for a broken Redis."""
    wanted = [str(execution_id) for execution_id in ids]
    size = min(_MOST_IDS, max(_FEWEST_IDS, len(wanted) // _MESSAGES_OF_A_BURST))
    for start in range(0, len(wanted), size):
        if not _send(wanted[start : start + size]):
            return start
        failpoint("enqueue.sent")
    return len(wanted)


def enqueue_on_commit(ids: Iterable[uuid.UUID]) -> None:
    """Send ids once the transaction that made their rows has been committed."""
    wanted = list(ids)
    transaction.on_commit(lambda: enqueue(wanted))


def wake(task: str) -> None:
    """Ask a worker for a chore at once."""
    _tell(lambda: current_app.send_task(task, retry=False), ids=0)


def wake_on_commit(task: str) -> None:
    """Ask a worker for a chore at once, when the transaction that gave it something to do has been committed."""
    transaction.on_commit(lambda: wake(task))


def abort_on_commit(ids: Iterable[uuid.UUID]) -> None:
    """Tell the workers to abort these executions' transfers once the transaction that ended them is committed."""
    wanted = list(ids)
    transaction.on_commit(lambda: abort(wanted))


def abort(ids: Iterable[uuid.UUID]) -> None:
    """Tell the workers to abort these transfers. A worker that does not hear it notices when it renews its leases."""
    for execution_id in ids:
        arguments = {"execution_id": str(execution_id)}
        if not _tell(partial(current_app.control.broadcast, CANCEL_COMMAND, arguments=arguments), ids=1):
            break


def announce_call(call_id: str) -> bool:
    """Tell the workers that a test call waits in the mailbox. False where Redis does not take the message.

    By remote control, not by a queue: there it would wait behind all that is due, and for workers that come later.
    """
    return _tell(partial(current_app.control.broadcast, CALL_COMMAND, arguments={"call_id": call_id}), ids=0)


def _send(chunk: list[str]) -> bool:
    return _tell(lambda: current_app.send_task(DELIVER_TASK, args=(chunk,), retry=False), ids=len(chunk))


def _tell(send: Callable[[], object], *, ids: int) -> bool:
    """Whether Redis took a message. While it is broken, it is not even tried for a moment."""
    if _breaker.is_open:
        return False
    try:
        send()
    except (OperationalError, *REDIS_ERRORS) as error:
        _breaker.failed()
        log.warning("queue_unreachable", error=str(error), ids=ids)
        return False
    _breaker.succeeded()
    return True
