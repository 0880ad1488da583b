"""Puts ids on Redis. A message is only a wake-up call: if it can't be sent, the clock sends the row's id later."""

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
WEBHOOKS_TASK = "workers.dispatch_webhooks"
CANCEL_COMMAND = "cancel_execution"
CALL_COMMAND = "test_call"
#: Ids per message: a burst is spread over the workers, and in a large one a message costs next to nothing per id.
_MIN_IDS, _MAX_IDS = 50, 500
_MESSAGES_OF_A_BURST = 16
#: After a failure nothing is tried for this long, so that a broken Redis does not slow down every request.
PAUSE_SECONDS = 5.0

_breaker = Breaker(PAUSE_SECONDS)


def enqueue(ids: Iterable[uuid.UUID]) -> int:
    """Send ids to the workers, many per message. Returns how many were sent; a broken Redis raises nothing."""
    texts = [str(execution_id) for execution_id in ids]
    size = min(_MAX_IDS, max(_MIN_IDS, len(texts) // _MESSAGES_OF_A_BURST))
    for start in range(0, len(texts), size):
        if not _send(texts[start : start + size]):
            return start
        failpoint("enqueue.sent")
    return len(texts)


def enqueue_on_commit(ids: Iterable[uuid.UUID]) -> None:
    """Send ids once the transaction that made their rows is committed."""
    listed = list(ids)
    transaction.on_commit(lambda: enqueue(listed))


def wake(task: str) -> None:
    """Have a worker run a maintenance task at once."""
    _try(lambda: current_app.send_task(task, retry=False), ids=0)


def wake_on_commit(task: str) -> None:
    """Have a worker run a maintenance task once the transaction that made work for it is committed."""
    transaction.on_commit(lambda: wake(task))


def abort_on_commit(attempts: Iterable[tuple[str, int]]) -> None:
    """Tell the workers to abort these attempts' transfers once the transaction that ended them is committed."""
    listed = list(attempts)
    transaction.on_commit(lambda: abort(listed))


def abort(attempts: Iterable[tuple[str, int]]) -> None:
    """Tell the workers to abort these transfers. One that misses the message notices when it renews its leases.

    The message names the attempt: it may arrive after the same worker has claimed the next one, of a workflow's
    `finally`.
    """
    for execution_id, number in attempts:
        arguments = {"execution_id": execution_id, "attempt": number}
        if not _try(partial(current_app.control.broadcast, CANCEL_COMMAND, arguments=arguments), ids=1):
            break


def announce_call(call_id: str) -> bool:
    """Tell the workers that a test call waits in the mailbox. False if Redis does not take the message.

    By remote control: in a queue it would wait behind all that is due, and for workers that start later.
    """
    return _try(partial(current_app.control.broadcast, CALL_COMMAND, arguments={"call_id": call_id}), ids=0)


def _send(chunk: list[str]) -> bool:
    return _try(lambda: current_app.send_task(DELIVER_TASK, args=(chunk,), retry=False), ids=len(chunk))


def _try(send: Callable[[], object], *, ids: int) -> bool:
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
