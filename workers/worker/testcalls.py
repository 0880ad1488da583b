"""A worker's part in test calls: takes one from the mailbox, delivers it with the engine, and answers with its run.

A thread of its own keeps a slow Redis or a long evaluation away from deliveries. The engine is the one for all calls,
so its guard, limits and fairness apply here too.
"""

import json
import queue
import random
import threading
import time
from typing import Any

import structlog

from accounts.encryption import EncryptionKeyError
from core.redis import REDIS_ERRORS
from runs.testcalls.calls import CallRequest, run_columns
from runs.testcalls.transport import HOLD_SECONDS, Mailbox, mailbox
from workers.connections import DatabaseAwayError, Link
from workers.delivery.contract import Crowded, DeliveryRequest, DeliveryResult
from workers.delivery.engine import DeliveryEngine, EngineStopped
from workers.delivery.transfer import unanswered
from workers.worker.claimed import Claimed
from workers.worker.evaluate import evaluate
from workers.worker.prepare import Preparer

log = structlog.get_logger(__name__)

#: A call that waits longer for a slot, since its host or workspace is busy, is not made.
PATIENCE_SECONDS = 5.0
_STOP_SECONDS = 5.0


class CallRunner:
    """Makes test calls on a thread of its own, with its own `preparer`. The owner passes it their results."""

    def __init__(self, *, worker: str, preparer: Preparer, engine: DeliveryEngine) -> None:
        self._worker = worker
        self._preparer = preparer
        self._engine = engine
        self._rng = random.Random()  # noqa: S311 - of a verdict that is not used
        self._inbox: queue.SimpleQueue[str | DeliveryResult | Crowded | None] = queue.SimpleQueue()
        self._in_progress: dict[str, Claimed] = {}
        self._hold_at = 0.0
        self._link = Link("test calls")
        self._thread = threading.Thread(target=self._work, name="test-calls", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, event: str | DeliveryResult | Crowded) -> None:
        """Queue the id of a waiting call, or the engine's result of one. Thread-safe; never blocks."""
        self._inbox.put(event)

    def is_in_progress(self, request: DeliveryRequest) -> bool:
        """Whether this is the request of a test call in progress. Thread-safe."""
        claimed = self._in_progress.get(request.execution_id)
        return claimed is not None and claimed.request.run_id == request.run_id

    def stop(self) -> None:
        """Answer the calls in progress, after the engine has stopped."""
        self._inbox.put(None)
        self._thread.join(_STOP_SECONDS)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            try:
                event = self._inbox.get(timeout=HOLD_SECONDS if self._in_progress else None)
            except queue.Empty:
                event = ""
            try:
                self._handle(event)
            except REDIS_ERRORS as error:
                log.warning("test_call_redis_away", error=str(error))
            except Exception:  # A bug must not end all test calls.
                log.exception("test_call_failed")
            if event is None:
                break
        self._link.close()

    def _handle(self, event: str | DeliveryResult | Crowded | None) -> None:
        box = mailbox()
        match event:
            case None:
                for call_id in list(self._in_progress):
                    self._answer(box, call_id, fault="The worker stopped before the call was sent.")
            case DeliveryResult():
                self._evaluate(box, event)
            case Crowded():
                self._answer(box, event.request.execution_id, crowded_seconds=event.wait_seconds)
            case call_id if call_id:
                self._take(box, call_id)
        if self._in_progress and time.monotonic() >= self._hold_at:
            self._hold_at = time.monotonic() + HOLD_SECONDS
            box.hold(self._in_progress)
            self._abort_waiting()

    def _abort_waiting(self) -> None:
        """Abort calls that have waited too long for a slot: their caller will not wait much longer."""
        begun = {transfer.execution_id for transfer in self._engine.in_flight()}
        before = time.monotonic() - PATIENCE_SECONDS
        for call_id, claimed in self._in_progress.items():
            if call_id not in begun and claimed.claimed_monotonic < before:
                self._engine.abort(claimed.request.key)

    def _take(self, box: Mailbox, call_id: str) -> None:
        try:
            text = box.take(call_id)
            if text is None:
                return  # another worker has it
            claimed = self._preparer.test_call(self._link, CallRequest.from_json(text))
            self._in_progress[call_id] = claimed
            if claimed.refusal is not None:
                self._evaluate(box, unanswered(claimed.request, *claimed.refusal))
            else:
                self._engine.submit([claimed.request])
        except EncryptionKeyError:
            log.error("test_call_unreadable")
            self._answer(box, call_id, fault="The worker has other HOURHAND_ENCRYPTION_KEYS; nothing was sent.")
        except DatabaseAwayError as error:
            log.warning("test_call_database_away", error=str(error))
            self._answer(box, call_id, fault="The worker can't reach the database; nothing was sent.")
        except EngineStopped:
            self._answer(box, call_id, fault="The worker is stopping; nothing was sent.")
        except REDIS_ERRORS:
            raise
        except Exception:
            log.exception("test_call_not_made")
            self._answer(box, call_id, fault="The worker could not make the call; its log says why.")

    def _evaluate(self, box: Mailbox, result: DeliveryResult) -> None:
        call_id = result.request.execution_id
        claimed = self._in_progress.get(call_id)
        if claimed is None:
            return
        if result.aborted and not result.sent:
            self._answer(box, call_id, crowded_seconds=PATIENCE_SECONDS)
            return
        finished = evaluate(claimed, result, worker=self._worker, rng=self._rng)
        self._answer(box, call_id, run=run_columns(finished))

    def _answer(self, box: Mailbox, call_id: str, **answer: Any) -> None:
        self._in_progress.pop(call_id, None)
        box.give(call_id, json.dumps(answer))
