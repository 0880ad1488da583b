"""Querysets of executions and runs."""

import datetime
import uuid
from collections.abc import Collection
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models import BooleanField, F, Func, JSONField, OuterRef, Q, Subquery, TextField, Value
from django.db.models.functions import Cast, Coalesce

from accounts.models import Workspace
from jobs.definition.overrides import OVERRIDES
from jobs.models import Job, JobEnvironment, JobVersion
from runs.outcome_codes import facets
from runs.states import LIVE, TERMINAL, ExecutionStatus, StepStatus, Trigger, WaitKind, WebhookStatus

#: Large columns, and those of other kinds of jobs, that lists don't show.
HEAVY_EXECUTION_COLUMNS = ("input", "state", "output")
#: The triggers of executions that were created from others.
_FROM_OTHERS = (Trigger.REPLAY, Trigger.RETRY)
_AT, _ARRAY = "(%(expressions)s)", "ARRAY[%(expressions)s]"
_NONE_OF, _EACH = "(%(expressions)s))", " <> ALL ("


def _effective(version_id: str, *path: str) -> Subquery:
    """One value of a version's definition in the environment of the row.

    The rest of the definition is not read: its body may have a megabyte. With a join instead of a subquery, the planner
    would consider reading all versions for one page.
    """
    names = [Value(name) for name in path]
    own = _value_at(Value(OVERRIDES), Cast(OuterRef("environment_id"), TextField()), *names)
    versions = JobVersion.objects.filter(pk=OuterRef(version_id)).order_by()
    return Subquery(versions.values(value=Coalesce(own, _value_at(*names))))


def _value_at(*path: Value | Cast) -> Func:
    names = Func(*path, template=_ARRAY)
    return Func(F("config"), names, template=_AT, arg_joiner=" #> ", output_field=JSONField())


class HistoryQuerySet(models.QuerySet[Any]):
    """Executions or runs of a workspace, without those that are being removed."""

    def of(self, workspace: Workspace) -> Any:
        return self.filter(workspace=workspace).in_sight(workspace)

    def in_sight(self, workspace: Workspace | None = None) -> Any:
        """Without those of purged jobs.

        These are looked up once per query, and nearly always there are none. As an array: so the planner expects that
        hardly a row is excluded, which is true; with `NOT IN` it would expect half of them.
        """
        hidden = Job.objects.purged()
        ids = ArraySubquery((hidden if workspace is None else hidden.of(workspace)).values("pk"))
        return self.filter(Func(F("job_id"), ids, template=_NONE_OF, arg_joiner=_EACH, output_field=BooleanField()))


class ExecutionQuerySet(HistoryQuerySet):
    def live(self) -> "ExecutionQuerySet":
        return self.filter(status__in=LIVE)

    def terminal(self) -> "ExecutionQuerySet":
        return self.filter(status__in=TERMINAL)

    def light(self) -> "ExecutionQuerySet":
        """Without the columns that lists don't show."""
        return self.defer(*HEAVY_EXECUTION_COLUMNS)

    def made_from(self, source: Any) -> "ExecutionQuerySet":
        """The replays and retries of an execution, the latest first.

        Ended ones have no index by `replay_of`. But its environments' replays and retries since then are one range of
        facets, which does not grow with the history.
        """
        since = self.filter(replay_of=source.pk, due_at__gte=source.created_at)
        environments = JobEnvironment.objects.filter(job=source.job_id).values_list("environment_id", flat=True)
        codes = list(facets(statuses=None, triggers=_FROM_OTHERS))
        ended = since.filter(environment_id__in=list(environments), facet__in=codes)
        live = since.filter(finished_at__isnull=True)
        ids = ended.values("pk").order_by().union(live.values("pk").order_by(), all=True)
        return self.filter(pk__in=ids).order_by("-due_at", "-pk")

    def with_max_attempts(self) -> "ExecutionQuerySet":
        """With `max_attempts` of its version in its environment."""
        return self.annotate(max_attempts=_effective("job_version_id", "retry", "max_attempts"))

    def with_kind(self) -> "ExecutionQuerySet":
        """With `kind` of its version."""
        return self.annotate(kind=_effective("job_version_id", "kind"))

    def with_limits(self, version_id: str) -> "ExecutionQuerySet":
        """Those that have this version, annotated with what a new execution copies of it in the same environment.

        The annotations are `copied_version`, an id, `copied_concurrency`, `copied_overlap` and `copied_callback`.
        """
        return self.filter(**{f"{version_id}__isnull": False}).annotate(
            copied_version=F(version_id),
            copied_concurrency=_effective(version_id, "concurrency"),
            copied_overlap=_effective(version_id, "overlap"),
            copied_callback=_effective(version_id, "callback"),
        )

    def due_unsent(self, now: datetime.datetime) -> "ExecutionQuerySet":
        """Pending, due, and not on Redis: retries and delayed executions."""
        return self.filter(
            status=ExecutionStatus.PENDING, finished_at__isnull=True, enqueued_at__isnull=True, next_attempt_at__lte=now
        ).order_by("next_attempt_at")

    def due_unclaimed(self, now: datetime.datetime, *, sent_before: datetime.datetime) -> "ExecutionQuerySet":
        """Pending and due, though their ids were put on Redis before `sent_before`: the message may be lost."""
        return self.filter(
            status=ExecutionStatus.PENDING,
            finished_at__isnull=True,
            enqueued_at__lt=sent_before,
            next_attempt_at__lte=now,
        ).order_by("next_attempt_at")

    def mark_enqueued(self, ids: Collection[uuid.UUID], now: datetime.datetime) -> int:
        return self.filter(pk__in=ids, status=ExecutionStatus.PENDING).update(enqueued_at=now)


class RunQuerySet(HistoryQuerySet):
    def of_trigger(self, triggers: Collection[str]) -> "RunQuerySet":
        """By the trigger of the API: its execution's, and `retry` from its second attempt on."""
        condition = Q(trigger__in=triggers, number=1)
        if "retry" in triggers:
            condition |= Q(number__gt=1)
        return self.filter(condition)

    def latest_of_each(self, workspace: Workspace) -> "RunQuerySet":
        """The latest of these runs of each job in each environment of a workspace."""
        job_environments = JobEnvironment.objects.filter(workspace=workspace)
        latest = self.filter(job=OuterRef("job"), environment=OuterRef("environment")).order_by("-id").values("id")[:1]
        return self.filter(pk__in=job_environments.annotate(latest_run=Subquery(latest)).values("latest_run"))


class WebhookDeliveryQuerySet(models.QuerySet[Any]):
    def received(self) -> "WebhookDeliveryQuerySet":
        """Those that are not dispatched yet."""
        return self.filter(status=WebhookStatus.RECEIVED)


class StepStateQuerySet(models.QuerySet[Any]):
    def awaiting_approval(self, workspace: Workspace) -> "StepStateQuerySet":
        """The steps of a workspace that wait for people, the longest first."""
        waiting = self.filter(workspace=workspace, status=StepStatus.WAITING, wait_kind=WaitKind.APPROVAL)
        return waiting.order_by("id")
