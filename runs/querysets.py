"""Row sets of executions and runs, and their guarded transitions: each names its from-state and counts its rows."""

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
from runs.states import LIVE, TERMINAL, ExecutionStatus, Trigger

#: Large columns, and those of other kinds of job, that no list shows.
HEAVY_EXECUTION_COLUMNS = ("input", "state", "output")
#: The triggers of executions that were made from others.
_AGAIN = (Trigger.REPLAY, Trigger.RETRY)
_AT, _ARRAY = "(%(expressions)s)", "ARRAY[%(expressions)s]"
_NONE_OF, _EACH = "(%(expressions)s))", " <> ALL ("


def _effective(version_id: str, *path: str) -> Subquery:
    """One value of a version's definition in the environment of the row.

    No more of the definition is read: a body in it may hold a megabyte. And it is read for the rows that are shown,
    where a join would have the planner consider reading all versions for one page.
    """
    names = [Value(name) for name in path]
    own = _value_at(Value(OVERRIDES), Cast(OuterRef("environment_id"), TextField()), *names)
    versions = JobVersion.objects.filter(pk=OuterRef(version_id)).order_by()
    return Subquery(versions.values(value=Coalesce(own, _value_at(*names))))


def _value_at(*path: Value | Cast) -> Func:
    names = Func(*path, template=_ARRAY)
    return Func(F("config"), names, template=_AT, arg_joiner=" #> ", output_field=JSONField())


class HistoryQuerySet(models.QuerySet[Any]):
    """What executions and runs have in common: whose they are, and that readers don't see what is being removed."""

    def of(self, workspace: Workspace) -> Any:
        return self.filter(workspace=workspace).in_sight(workspace)

    def in_sight(self, workspace: Workspace | None = None) -> Any:
        """Without those of purged jobs.

        Which these are is looked up once a query, and nearly always there are none. An array, for the planner takes it
        that hardly a row is left out, as it is: of `NOT IN` it expects half of them.
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
        """Without the columns that lists leave out."""
        return self.defer(*HEAVY_EXECUTION_COLUMNS)

    def made_from(self, source: Any) -> "ExecutionQuerySet":
        """The replays and retries of an execution, the latest first.

        Of those that have ended there is no index by `replay_of`. But its environments' replays since then are one
        range of facets, which does not grow with the history.
        """
        since = self.filter(replay_of=source.pk, due_at__gte=source.created_at)
        places = JobEnvironment.objects.filter(job=source.job_id).values_list("environment_id", flat=True)
        again = list(facets(statuses=None, triggers=_AGAIN))
        ended = since.filter(environment_id__in=list(places), facet__in=again)
        live = since.filter(finished_at__isnull=True)
        ids = ended.values("pk").order_by().union(live.values("pk").order_by(), all=True)
        return self.filter(pk__in=ids).order_by("-due_at", "-pk")

    def with_max_attempts(self) -> "ExecutionQuerySet":
        """With `max_attempts` of its version in its environment."""
        return self.annotate(max_attempts=_effective("job_version_id", "retry", "max_attempts"))

    def with_limits(self, version_id: str) -> "ExecutionQuerySet":
        """Those that have such a version, with what a new execution copies of it in the same environment.

        It is annotated as `copied_version`, an id, `copied_concurrency` and `copied_overlap`.
        """
        return self.filter(**{f"{version_id}__isnull": False}).annotate(
            copied_version=F(version_id),
            copied_concurrency=_effective(version_id, "concurrency"),
            copied_overlap=_effective(version_id, "overlap"),
        )

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


class RunQuerySet(HistoryQuerySet):
    def of_trigger(self, triggers: Collection[str]) -> "RunQuerySet":
        """By what the API calls a run's trigger: its execution's, and `retry` from its second attempt on."""
        wanted = Q(trigger__in=triggers, number=1)
        if "retry" in triggers:
            wanted |= Q(number__gt=1)
        return self.filter(wanted)

    def latest_of_each(self, workspace: Workspace) -> "RunQuerySet":
        """Of these runs of a workspace, the latest one of each job in each environment."""
        states = JobEnvironment.objects.filter(workspace=workspace)
        latest = self.filter(job=OuterRef("job"), environment=OuterRef("environment")).order_by("-id").values("id")[:1]
        return self.filter(pk__in=states.annotate(latest_run=Subquery(latest)).values("latest_run"))
