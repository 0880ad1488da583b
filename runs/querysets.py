"""Row sets of executions and runs, and their guarded transitions: each names its from-state and counts its rows."""

import datetime
import uuid
from collections.abc import Collection
from typing import Any

from django.db import models
from django.db.models import F, Func, JSONField, Q, TextField, Value
from django.db.models.functions import Cast, Coalesce

from accounts.models import Workspace
from jobs.overrides import OVERRIDES
from runs.states import LIVE, TERMINAL, ExecutionStatus

#: Large columns, and those of other kinds of job, that no list shows.
HEAVY_EXECUTION_COLUMNS = ("input", "state", "output")
_AT, _ARRAY = "(%(expressions)s)", "ARRAY[%(expressions)s]"


class ExecutionQuerySet(models.QuerySet[Any]):
    def of(self, workspace: Workspace) -> "ExecutionQuerySet":
        return self.filter(workspace=workspace)

    def live(self) -> "ExecutionQuerySet":
        return self.filter(status__in=LIVE)

    def terminal(self) -> "ExecutionQuerySet":
        return self.filter(status__in=TERMINAL)

    def light(self) -> "ExecutionQuerySet":
        """Without the columns that lists leave out."""
        return self.defer(*HEAVY_EXECUTION_COLUMNS)

    def with_max_attempts(self) -> "ExecutionQuerySet":
        """With `max_attempts` of its version in its environment.

        Only this number of the definition is read: a body in it may hold a megabyte.
        """
        environment = Cast("environment_id", TextField())
        path = Func(Value(OVERRIDES), environment, Value("retry"), Value("max_attempts"), template=_ARRAY)
        own = Func(F("job_version__config"), path, template=_AT, arg_joiner=" #> ", output_field=JSONField())
        return self.annotate(max_attempts=Coalesce(own, F("job_version__config__retry__max_attempts")))

    def due_unsent(self, now: datetime.datetime) -> "ExecutionQuerySet":
        """Pending, due, and not on Redis: retries and delayed executions."""
        return self.filter(
            status=ExecutionStatus.PENDING, finished_at__isnull=True, enqueued_at__isnull=True, next_attempt_at__lte=now
        ).order_by("next_attempt_at")

    def due_unclaimed(self, now: datetime.datetime, *, sent_before: datetime.datetime) -> "ExecutionQuerySet":
        """Pending and due though their ids were put on Redis before `sent_before`: the message may be lost."""
        return self.filter(
            status=ExecutionStatus.PENDING,
            finished_at__isnull=True,
            enqueued_at__lt=sent_before,
            next_attempt_at__lte=now,
        ).order_by("next_attempt_at")

    def mark_enqueued(self, ids: Collection[uuid.UUID], now: datetime.datetime) -> int:
        return self.filter(pk__in=ids, status=ExecutionStatus.PENDING).update(enqueued_at=now)

    def cancel_idle(self, execution_id: uuid.UUID, now: datetime.datetime) -> bool:
        """pending or waiting -> canceled. False when it was neither any more."""
        idle = (ExecutionStatus.PENDING, ExecutionStatus.WAITING)
        moved = self.filter(pk=execution_id, status__in=idle).update(
            status=ExecutionStatus.CANCELED, finished_at=now, next_attempt_at=None, queued=False
        )
        return moved == 1


class RunQuerySet(models.QuerySet[Any]):
    def of(self, workspace: Workspace) -> "RunQuerySet":
        return self.filter(workspace=workspace)

    def of_trigger(self, triggers: Collection[str]) -> "RunQuerySet":
        """By what the API calls a run's trigger: its execution's, and `retry` from its second attempt on."""
        wanted = Q(trigger__in=triggers, number=1)
        if "retry" in triggers:
            wanted |= Q(number__gt=1)
        return self.filter(wanted)
