"""Many executions replayed or canceled at once: asked for in a request, worked off by the house's chores.

What matches is settled when it is asked for. Each batch is one transaction that also moves the operation's position, so
that a worker which dies in the middle of one leaves nothing of it behind: none is done twice, none is left out.
"""

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection, transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Workspace
from accounts.usage import refuse_when_stopped, stopped
from core.differences import difference
from jobs.definition.contract import Overlap
from runs.errors import BulkOperationEndedError
from runs.executions.cancel import cancel_live
from runs.executions.create import JobEnvironmentKey, NewExecution, insert_and_enqueue
from runs.history.executions import PageRange, executions_of
from runs.history.filters import HistoryFilter
from runs.models import BulkOperation, Execution
from runs.overlap import hold_environments, limiting
from runs.querysets import ExecutionQuerySet
from runs.queue import BULK_TASK, wake_on_commit
from runs.states import LIVE, TERMINAL, BulkKind, BulkState, Trigger

MAX_EXECUTIONS = 10_000
MAX_RATE = 1000
BATCH = 500
#: How much of a paced operation a batch holds: as long as chores come apart. Its replays start one by one within it.
PACED_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Matched:
    """The executions that a bulk operation is about, the longest due first, and whether there are more."""

    ids: list[uuid.UUID]
    more: bool


def matching(wanted: HistoryFilter, kind: str, *, limit: int) -> Matched:
    """The latest so many of the wanted executions that can be canceled, or that have ended and can be replayed."""
    if kind == BulkKind.CANCEL:
        wanted = replace(wanted, statuses=tuple(s for s in LIVE if wanted.statuses is None or s in wanted.statuses))
    elif wanted.statuses is None:
        wanted = replace(wanted, statuses=tuple(TERMINAL))
    if not wanted.statuses:
        return Matched([], more=False)
    found = executions_of(wanted, PageRange(descending=True, count=limit + 1)).values_list("pk", flat=True)
    ids = list(found)
    return Matched(ids[:limit][::-1], more=len(ids) > limit)


@transaction.atomic
def start_bulk(
    *,
    wanted: HistoryFilter,
    kind: str,
    asked: dict[str, Any],
    limit: int,
    rate_per_second: int | None,
    original_config: bool = False,
    now: datetime.datetime,
    actor: Actor,
) -> BulkOperation:
    """Take up an operation on what is wanted. `asked` is how the caller spelled that; without a rate it has no pace.

    Raises QuotaExceededError for replays where the workspace's plan lets no more runs start.
    """
    return _begun(
        matching(wanted, kind, limit=limit),
        workspace=wanted.workspace,
        kind=kind,
        filter=asked,
        environment_ids=None if wanted.environment_ids is None else list(wanted.environment_ids),
        original_config=original_config,
        rate_per_second=rate_per_second,
        now=now,
        actor=actor,
    )


def selected(executions: ExecutionQuerySet, kind: str) -> list[uuid.UUID]:
    """Those that can be canceled, or have ended and can be replayed, in the order they were due."""
    able = executions.live() if kind == BulkKind.CANCEL else executions.terminal()
    return list(able.order_by("due_at", "pk").values_list("pk", flat=True)[:MAX_EXECUTIONS])


@transaction.atomic
def start_selected(
    *,
    workspace: Workspace,
    executions: ExecutionQuerySet,
    kind: str,
    original_config: bool = False,
    now: datetime.datetime,
    actor: Actor,
) -> BulkOperation:
    """Take up an operation on executions of a workspace that somebody chose one by one. Raises as `start_bulk`."""
    ids = selected(executions.of(workspace), kind)
    return _begun(
        Matched(ids, more=False),
        workspace=workspace,
        kind=kind,
        filter={"selected": len(ids)},
        environment_ids=None,
        original_config=original_config,
        rate_per_second=None,
        now=now,
        actor=actor,
    )


def _begun(matched: Matched, *, now: datetime.datetime, actor: Actor, **columns: Any) -> BulkOperation:
    """Raises QuotaExceededError for replays where the workspace's plan lets no more runs start."""
    if columns["kind"] == BulkKind.REPLAY:
        refuse_when_stopped(columns["workspace"].pk, now=now)
    operation = BulkOperation.objects.create(
        state=BulkState.RUNNING if matched.ids else BulkState.COMPLETED,
        asked_by=actor.label,
        execution_ids=matched.ids,
        more=matched.more,
        created_at=now,
        next_batch_at=now,
        finished_at=None if matched.ids else now,
        **columns,
    )
    if matched.ids:
        wake_on_commit(BULK_TASK)
    told = {name: columns[name] for name in ("kind", "filter", "rate_per_second")} | {"matched": len(matched.ids)}
    audit.record("bulk_operation.created", operation, actor=actor, now=now, changes=difference({}, told))
    return operation


@transaction.atomic
def cancel_bulk(*, workspace: Workspace, operation_id: uuid.UUID, now: datetime.datetime, actor: Actor) -> None:
    """Do no more of an operation; what it has done stays. Raises BulkOperationEndedError where it has ended already."""
    operations = BulkOperation.objects.filter(workspace=workspace, pk=operation_id)
    operation = operations.select_for_update(no_key=True).get()
    if operation.state != BulkState.RUNNING:
        raise BulkOperationEndedError(operation.state)
    operations.update(state=BulkState.CANCELED, finished_at=now)
    audit.record("bulk_operation.canceled", operation, actor=actor, now=now)


@transaction.atomic
def work_off(now: datetime.datetime) -> bool:
    """Do one batch of the operation that has been due longest and that no other worker is at. False: there is none."""
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
    """New executions of these, in their own environments.

    Those whose job or row is gone are left out, and all while the workspace's plan lets no more runs start.
    """
    with connection.cursor() as cursor:
        if stopped(cursor, [str(operation.workspace_id)], at=now):
            return 0
    executions = Execution.objects.filter(workspace=operation.workspace_id).defer("state", "output")
    if operation.original_config:
        sources = executions.with_limits("job_version_id").in_bulk(ids)
    else:
        sources = executions.filter(job__deleted_at__isnull=True).with_limits("job__current_version_id").in_bulk(ids)
    with connection.cursor() as cursor:
        held = hold_environments(cursor, {str(source.job_environment_id) for source in sources.values()})
    sources = {
        key: source
        for key, source in sources.items()
        if str(source.job_environment_id) in held and _is_readable(source)
    }
    spacing = datetime.timedelta(seconds=1 / operation.rate_per_second if operation.rate_per_second else 0)
    new = [
        _replay_of(source, now=now, starts_at=now + index * spacing)
        for index, source in enumerate(sources[key] for key in ids if key in sources)
    ]
    return len(insert_and_enqueue(new))


def _is_readable(source: Any) -> bool:
    """If this release knows what a new execution copies of the version; what it can't read is left out."""
    most, overlap = source.copied_concurrency, source.copied_overlap
    known = isinstance(overlap, str) and overlap in Overlap.__members__.values()
    return known and (most is None or (type(most) is int and 1 <= most < 2**15))


def _replay_of(source: Any, *, now: datetime.datetime, starts_at: datetime.datetime) -> NewExecution:
    """A replay of a row `with_limits`."""
    return NewExecution.pending(
        JobEnvironmentKey(
            job_environment_id=str(source.job_environment_id),
            workspace_id=str(source.workspace_id),
            job_id=str(source.job_id),
            environment_id=str(source.environment_id),
            job_version_id=str(source.copied_version),
            concurrency=source.copied_concurrency,
            overlap=limiting(source.copied_overlap),
        ),
        trigger=Trigger.REPLAY,
        now=now,
        starts_at=starts_at,
        input=source.input,
        replay_of_id=source.pk,
    )


def _cancel(operation: BulkOperation, ids: Sequence[uuid.UUID], now: datetime.datetime) -> int:
    """As canceling each by itself; those that have ended meanwhile are left as they are."""
    executions = Execution.objects.filter(workspace=operation.workspace_id, pk__in=ids)
    return len(cancel_live(executions, now=now, release=True))


_VERBS = {BulkKind.REPLAY: _replay, BulkKind.CANCEL: _cancel}
