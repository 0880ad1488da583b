"""Bulk operations: many executions replayed, retried or canceled, processed by a maintenance task.

The matching executions are fixed when the operation is created. Each batch is one transaction that also moves the
operation's position: a worker that is killed during one leaves nothing of it, so no execution is processed twice or
left out.
"""

import datetime
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection, transaction
from django.db.models.fields.json import KT

from accounts import audit
from accounts.actors import Actor
from accounts.models import Workspace
from accounts.usage import refuse_when_stopped, stopped
from core.differences import difference
from jobs.definition.callback import is_callback
from jobs.definition.contract import Overlap
from runs.errors import BulkOperationEndedError
from runs.executions.cancel import cancel_live
from runs.executions.create import JobEnvironmentKey, NewExecution, callback_on, insert_and_enqueue
from runs.history.executions import PageRange, executions_of
from runs.history.filters import HistoryFilter
from runs.models import BulkOperation, Execution, StepState
from runs.overlap import hold_environments, limiting
from runs.querysets import ExecutionQuerySet
from runs.queue import BULK_TASK, wake_on_commit
from runs.states import LIVE, TERMINAL, BulkKind, BulkState, ExecutionStatus, Trigger
from runs.workflows.carrying import START, carried_in_bulk, carry_over
from runs.workflows.cleanup import Cleanup

MAX_EXECUTIONS = 10_000
MAX_RATE = 1000
BATCH = 500
#: A batch of a paced operation covers the interval of the task; its replays start one by one within that.
PACED_SECONDS = 5
#: The statuses of executions that an operation can process.
_POSSIBLE = {BulkKind.REPLAY: TERMINAL, BulkKind.RETRY: (ExecutionStatus.FAILED,), BulkKind.CANCEL: LIVE}


@dataclass(frozen=True, slots=True)
class Matched:
    """The executions that a bulk operation will process, the longest due first, and whether more match."""

    ids: list[uuid.UUID]
    more: bool


def matching(criteria: HistoryFilter, kind: str, *, limit: int) -> Matched:
    """The latest matching executions that can be canceled, retried or, of those that have ended, replayed."""
    statuses = criteria.statuses
    if kind != BulkKind.REPLAY or statuses is None:
        statuses = tuple(status for status in _POSSIBLE[BulkKind(kind)] if statuses is None or status in statuses)
    if not statuses:
        return Matched([], more=False)
    page = PageRange(descending=True, count=limit + 1)
    ids = list(executions_of(replace(criteria, statuses=statuses), page).values_list("pk", flat=True))
    return Matched(ids[:limit][::-1], more=len(ids) > limit)


@transaction.atomic
def start_bulk(
    *,
    criteria: HistoryFilter,
    kind: str,
    filter_as_sent: dict[str, Any],
    limit: int,
    rate_per_second: int | None,
    original_config: bool = False,
    from_step: str = "",
    now: datetime.datetime,
    actor: Actor,
) -> BulkOperation:
    """Start an operation on the matching executions. Without a rate it is not paced.

    Retries start at `from_step`: START, or FAILED. Raises QuotaExceededError for replays and retries while the
    workspace's plan lets no more runs start.
    """
    return _create(
        matching(criteria, kind, limit=limit),
        workspace=criteria.workspace,
        kind=kind,
        filter=filter_as_sent,
        environment_ids=None if criteria.environment_ids is None else list(criteria.environment_ids),
        original_config=original_config,
        from_step=from_step,
        rate_per_second=rate_per_second,
        now=now,
        actor=actor,
    )


def selected(executions: ExecutionQuerySet, kind: str) -> list[uuid.UUID]:
    """Those that can be canceled, retried or replayed, in the order in which they were due."""
    possible = executions.filter(status__in=_POSSIBLE[BulkKind(kind)])
    return list(possible.order_by("due_at", "pk").values_list("pk", flat=True)[:MAX_EXECUTIONS])


@transaction.atomic
def start_selected(
    *,
    workspace: Workspace,
    executions: ExecutionQuerySet,
    kind: str,
    original_config: bool = False,
    from_step: str = "",
    now: datetime.datetime,
    actor: Actor,
) -> BulkOperation:
    """Start an operation on selected executions of a workspace. `from_step` and errors are as in `start_bulk`."""
    ids = selected(executions.of(workspace), kind)
    return _create(
        Matched(ids, more=False),
        workspace=workspace,
        kind=kind,
        filter={"selected": len(ids)},
        environment_ids=None,
        original_config=original_config,
        from_step=from_step,
        rate_per_second=None,
        now=now,
        actor=actor,
    )


def _create(matched: Matched, *, now: datetime.datetime, actor: Actor, **columns: Any) -> BulkOperation:
    """Raises QuotaExceededError for replays and retries while the workspace's plan lets no more runs start."""
    if columns["kind"] != BulkKind.CANCEL:
        refuse_when_stopped(columns["workspace"].pk, now=now)
    operation = BulkOperation.objects.create(
        state=BulkState.RUNNING if matched.ids else BulkState.COMPLETED,
        asked_by=actor.label,
        started_by=actor.id if actor.user is not None else "",
        execution_ids=matched.ids,
        more=matched.more,
        created_at=now,
        next_batch_at=now,
        finished_at=None if matched.ids else now,
        **columns,
    )
    if matched.ids:
        wake_on_commit(BULK_TASK)
    facts = {name: columns[name] for name in ("kind", "filter", "rate_per_second")} | {"matched": len(matched.ids)}
    audit.record("bulk_operation.created", operation, actor=actor, now=now, changes=difference({}, facts))
    return operation


@transaction.atomic
def cancel_bulk(*, workspace: Workspace, operation_id: uuid.UUID, now: datetime.datetime, actor: Actor) -> None:
    """Stop an operation; what it has done stays. Raises BulkOperationEndedError if it has ended."""
    operations = BulkOperation.objects.filter(workspace=workspace, pk=operation_id)
    operation = operations.select_for_update(no_key=True).get()
    if operation.state != BulkState.RUNNING:
        raise BulkOperationEndedError(operation.state)
    operations.update(state=BulkState.CANCELED, finished_at=now)
    audit.record("bulk_operation.canceled", operation, actor=actor, now=now)


@transaction.atomic
def work_off(now: datetime.datetime) -> bool:
    """Process one batch of the longest due operation that no other worker has locked. False if no operation is due."""
    due = BulkOperation.objects.filter(finished_at__isnull=True, next_batch_at__lte=now).order_by("next_batch_at")
    operation = due.select_for_update(no_key=True, skip_locked=True).first()
    if operation is None:
        return False
    rate = operation.rate_per_second
    size = BATCH if rate is None else rate * PACED_SECONDS
    ids = operation.execution_ids[operation.position : operation.position + size]
    operation.done += _VERBS[BulkKind(operation.kind)](operation, ids, now)
    operation.position += len(ids)
    if rate is not None:
        operation.next_batch_at = now + datetime.timedelta(seconds=len(ids) / rate)
    if operation.position == len(operation.execution_ids):
        operation.state, operation.finished_at = BulkState.COMPLETED, now
    operation.save(update_fields=["done", "position", "next_batch_at", "state", "finished_at"])
    return True


def _replay(operation: BulkOperation, ids: Sequence[uuid.UUID], now: datetime.datetime) -> int:
    """Create replays of these executions, in their own environments. Returns how many.

    Those whose job or row is deleted are left out, and all while the workspace's plan lets no more runs start.
    """
    with connection.cursor() as cursor:
        if stopped(cursor, [str(operation.workspace_id)], at=now):
            return 0
    executions = _sources(operation)
    if operation.original_config:
        sources = executions.with_limits("job_version_id").in_bulk(ids)
    else:
        sources = executions.filter(job__deleted_at__isnull=True).with_limits("job__current_version_id").in_bulk(ids)
    return len(insert_and_enqueue(list(_new_executions(operation, sources, ids, now).values())))


def _retry(operation: BulkOperation, ids: Sequence[uuid.UUID], now: datetime.datetime) -> int:
    """Retry those of these executions that failed, with their own configuration. Returns how many.

    Workflows go on at the step that failed, unless the operation says otherwise. Those that this release can't read
    are left out, and all while the workspace's plan lets no more runs start.
    """
    with connection.cursor() as cursor:
        if stopped(cursor, [str(operation.workspace_id)], at=now):
            return 0
    failed = _sources(operation).filter(status=ExecutionStatus.FAILED)
    sources = failed.with_kind().with_limits("job_version_id").in_bulk(ids)
    carried: dict[uuid.UUID, Sequence[StepState]] = {}
    if operation.from_step != START:
        workflows = [source for source in sources.values() if source.kind == "workflow"]
        carried = carried_in_bulk(workflows)
        sources = {key: source for key, source in sources.items() if source.kind != "workflow" or key in carried}
    new = _new_executions(operation, sources, ids, now)
    insert_and_enqueue(list(new.values()))
    carry_over({execution.id: carried.get(key, ()) for key, execution in new.items()})
    return len(new)


def _sources(operation: BulkOperation) -> ExecutionQuerySet:
    """The executions of its workspace, with what new ones take over; `webhook` is what their webhook brought."""
    executions: ExecutionQuerySet = Execution.objects.filter(workspace=operation.workspace_id)
    return executions.defer("state", "output").annotate(webhook=KT("state__trigger"))


def _new_executions(
    operation: BulkOperation, sources: dict[uuid.UUID, Any], ids: Sequence[uuid.UUID], now: datetime.datetime
) -> dict[uuid.UUID, NewExecution]:
    """Replays or retries of those sources that still have their job-environment, by source."""
    with connection.cursor() as cursor:
        existing = hold_environments(cursor, {str(source.job_environment_id) for source in sources.values()})
    present = [
        sources[key]
        for key in ids
        if key in sources and str(sources[key].job_environment_id) in existing and _is_readable(sources[key])
    ]
    spacing = datetime.timedelta(seconds=1 / operation.rate_per_second if operation.rate_per_second else 0)
    return {
        source.pk: _copy_of(source, operation, now=now, starts_at=now + index * spacing)
        for index, source in enumerate(present)
    }


def _is_readable(source: Any) -> bool:
    """Whether this release can read what a replay copies of its version; others are left out."""
    concurrency, overlap = source.copied_concurrency, source.copied_overlap
    has_overlap = isinstance(overlap, str) and overlap in Overlap.__members__.values()
    has_concurrency = concurrency is None or (type(concurrency) is int and 1 <= concurrency < 2**15)
    return has_overlap and has_concurrency and is_callback(source.copied_callback)


def _copy_of(
    source: Any, operation: BulkOperation, *, now: datetime.datetime, starts_at: datetime.datetime
) -> NewExecution:
    """A replay or retry of one of `_sources`, read `with_limits`."""
    state = {
        **({"trigger": json.loads(source.webhook)} if source.webhook else {}),
        **({"started_by": operation.started_by} if operation.started_by else {}),
    }
    return NewExecution.pending(
        JobEnvironmentKey(
            job_environment_id=str(source.job_environment_id),
            workspace_id=str(source.workspace_id),
            job_id=str(source.job_id),
            environment_id=str(source.environment_id),
            job_version_id=str(source.copied_version),
            concurrency=source.copied_concurrency,
            overlap=limiting(source.copied_overlap),
            callback_on=callback_on(source.copied_callback, source.callback_url),
        ),
        trigger=_TRIGGERS[BulkKind(operation.kind)],
        now=now,
        starts_at=starts_at,
        input=source.input,
        callback_url=source.callback_url,
        state=state or None,
        replay_of_id=source.pk,
    )


def _cancel(operation: BulkOperation, ids: Sequence[uuid.UUID], now: datetime.datetime) -> int:
    """Cancel these executions; those that have ended meanwhile stay as they are. Returns how many were canceled."""
    executions = Execution.objects.filter(workspace=operation.workspace_id, pk__in=ids)
    return len(cancel_live(executions, now=now, release=True, cleanup=Cleanup.FIRST))


_VERBS = {BulkKind.REPLAY: _replay, BulkKind.RETRY: _retry, BulkKind.CANCEL: _cancel}
_TRIGGERS = {BulkKind.REPLAY: Trigger.REPLAY, BulkKind.RETRY: Trigger.RETRY}
