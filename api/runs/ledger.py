"""The ledger of a job, and the explanation of one instant."""

import datetime
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.base.views import ApiView
from api.jobs.lookups import environment_named, past_job
from api.runs import examples
from core.errors import NotFoundError
from core.validation.fields import Bound, Choice, Instant, Text, Whole, instant_text
from core.validation.strict import Query
from jobs.models import Job, JobEnvironment, PeriodState
from runs.errors import AmbiguousLedgerError
from runs.ledger.comparison import MAX_PLANNED, TooManyPlannedError
from runs.ledger.explain import Explanation, LedgerVerdict, explain
from runs.ledger.read import LedgerAccount, PlannedPeriod, account_of
from runs.states import OCCURRING_STATUSES, SkipReason

_DEFAULT_SPAN = datetime.timedelta(hours=24)
_MAX_DIFFERENCES = 100
_JUST_AFTER = datetime.timedelta(microseconds=1)


class JobEnvironmentQuery(Query):
    environment = serializers.CharField(
        required=False, help_text="Slug. May be omitted if the job is in one environment or enabled in one."
    )


class LedgerQuery(JobEnvironmentQuery):
    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["from"] = Bound("Start (inclusive). Default: 24 hours before `to`.")
        fields["to"] = Bound("End (exclusive). Default: now.")
        return fields


class InstantQuery(JobEnvironmentQuery):
    at = Instant(
        required=False,
        naive_is_utc=True,
        help_text="The instant, to the second. Default: now. ISO 8601; UTC if it has no offset.",
    )


class PeriodSerializer(serializers.Serializer):
    """A period with one schedule and state: its occurrences are later than `from` and at or before `until`."""

    state = Choice(
        choices=PeriodState.choices,
        help_text="`active`: occurrences fire; `paused`: they are skipped; `disabled`, `ended`: there are none.",
    )
    until = Instant(allow_null=True, help_text="End of the period; null: it has no end.")
    job_version = Whole(help_text="Number of the job's version in this period.")
    note = Text(allow_blank=True, help_text="The note of a pause; else empty.")
    unreadable = Text(
        allow_null=True,
        help_text="Why this release can't read the version, so that the period is not compared. Null: it can.",
    )

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": Instant(help_text="Start of the period.")}


class DifferenceSerializer(serializers.Serializer):
    """A difference between planned and recorded occurrences, which is a bug."""

    scheduled_for = Instant(help_text="The occurrence, or the first of several.")
    kind = Choice(
        choices=("lost", "doubled", "unplanned"),
        help_text="`lost`: planned but not recorded; `doubled`: recorded more than once; `unplanned`: recorded but not "
        "planned.",
    )
    detail = Text(help_text="An explanation with the ids of the executions.")


@extend_schema_serializer(examples=examples.LEDGER)
class LedgerSerializer(serializers.Serializer):
    """Planned and recorded occurrences: `planned` = `fired` + `skipped` + `due`, apart from differences."""

    to = Instant(help_text="End (exclusive): the requested one, but not later than now.")
    environment = Text(help_text="Slug of the environment.")
    planned = Whole(help_text="Number of occurrences that the job's versions planned.")
    fired = Whole(help_text="Number of occurrences with exactly one execution, whatever its outcome.")
    skipped = serializers.DictField(child=Whole(), help_text="Number of skipped occurrences by reason.")
    due = Whole(help_text="Number of occurrences not processed yet.")
    differences = DifferenceSerializer(
        many=True, help_text=f"Differences, at most {_MAX_DIFFERENCES}; should be empty."
    )
    history_from = Instant(
        allow_null=True,
        help_text="Start of the retained history: earlier occurrences are pruned and not compared. Null: nothing is "
        "pruned.",
    )
    periods = PeriodSerializer(many=True, help_text="The periods between `from` and `to`, in order.")

    def get_fields(self) -> dict[str, Any]:
        start = "Start (inclusive): the requested one, but not before the ledger and the retained history."
        return {**super().get_fields(), "from": Instant(help_text=start)}


class MeantExecutionSerializer(serializers.Serializer):
    """The execution of an occurrence."""

    id = serializers.UUIDField(help_text="Id for `GET /executions/{id}/`.")
    status = Choice(choices=OCCURRING_STATUSES, help_text="Current status.")
    skip_reason = Choice(
        choices=SkipReason.choices, allow_null=True, help_text="Why it was skipped; null unless `skipped`."
    )


@extend_schema_serializer(examples=examples.EXPLANATION)
class ExplanationSerializer(serializers.Serializer):
    """Why a job did or did not run at an instant."""

    at = Instant(help_text="The requested instant.")
    environment = Text(help_text="Slug of the environment.")
    verdict = Choice(
        choices=[verdict.value for verdict in LedgerVerdict],
        help_text="With an occurrence: `fired`, `skipped`, `due` (not processed yet), `to_come`, `pruned` or `lost` (a "
        "bug). Without one: `not_planned` by the schedule, `manual`, `disabled` in the environment, `ended`, "
        "`deleted`, `not_yet` created, or `unreadable` (this release can't read the version of that time).",
    )
    detail = Text(help_text="The verdict in a sentence.")
    occurrence = Instant(allow_null=True, help_text="The occurrence at that second; null if there is none.")
    execution = MeantExecutionSerializer(allow_null=True, help_text="Its execution; null if there is none.")
    lateness_ms = Whole(
        allow_null=True,
        help_text="Milliseconds between the due time, including jitter, and the start; null if not started.",
    )
    previous = Instant(allow_null=True, help_text="The previous occurrence, if there is none at `at`; else null.")
    next = Instant(allow_null=True, help_text="The following occurrence, if there is none at `at`; else null.")
    period = PeriodSerializer(allow_null=True, help_text="The period that contains `at`.")


class LedgerView(ApiView):
    """A computed comparison: there is no object that a generic view could fetch."""

    read_scope: str = Scope.EXECUTIONS_READ

    def job_environment(self, reference: str) -> JobEnvironment:
        """The job, deleted or not, in the requested or only environment."""
        job = past_job(self.access, reference)
        rows = self._reachable(job) if job else []
        if job is None or not rows:
            raise NotFound(f"There is no job {reference}.")
        slug = self.query.get("environment")
        if slug is not None:
            environment = environment_named(self.access, slug)
            rows = [row for row in rows if row.environment_id == environment.pk]
            if not rows:
                raise NotFoundError(f"The job is not in the environment {slug}.", field="environment")
        enabled = [row for row in rows if row.enabled]
        if len(rows) > 1 and len(enabled) != 1:
            raise AmbiguousLedgerError(sorted(row.environment.slug for row in rows))
        return rows[0] if len(rows) == 1 else enabled[0]

    def _reachable(self, job: Job) -> list[JobEnvironment]:
        rows = job.job_environments.select_related("job", "environment")
        bound = self.access.environment_ids
        return list(rows if bound is None else rows.filter(environment_id__in=bound))


class JobLedger(LedgerView):
    query_class = LedgerQuery

    @extend_schema(
        operation_id="jobs_ledger",
        summary="Compare planned and recorded occurrences",
        description=f"At most {MAX_PLANNED:,} planned occurrences; a longer period is refused (400).",
        responses=LedgerSerializer,
    )
    def get(self, _request: Request, job: str) -> Response:
        end = self.query.get("to", self.now + _JUST_AFTER)
        start = self.query.get("from", end - _DEFAULT_SPAN)
        if start >= end:
            raise ValidationError({"from": [ErrorDetail("Must be earlier than `to`.", code="invalid")]})
        row = self.job_environment(job)
        try:
            account = account_of(row, start=start, end=end, now=self.now)
        except TooManyPlannedError as error:
            detail = f"More than {MAX_PLANNED} occurrences are planned in this period; choose a shorter one."
            raise ValidationError({"from": [ErrorDetail(detail, code="too_many")]}) from error
        return Response(_represent_account(account, row))


class JobLedgerAt(LedgerView):
    query_class = InstantQuery

    @extend_schema(
        operation_id="jobs_ledger_at",
        summary="Explain why a job did or did not run",
        responses=ExplanationSerializer,
    )
    def get(self, _request: Request, job: str) -> Response:
        row, at = self.job_environment(job), self.query.get("at", self.now)
        return Response(_represent_explanation(explain(row, at=at, now=self.now), row, at))


def _represent_account(account: LedgerAccount, row: JobEnvironment) -> dict[str, Any]:
    ledger = account.ledger
    return {
        "from": instant_text(account.start),
        "to": instant_text(account.end),
        "environment": row.environment.slug,
        "planned": ledger.planned,
        "fired": ledger.fired,
        "skipped": ledger.skipped,
        "due": ledger.due,
        "differences": [
            {
                "scheduled_for": instant_text(difference.scheduled_for),
                "kind": difference.kind,
                "detail": difference.detail,
            }
            for difference in ledger.differences[:_MAX_DIFFERENCES]
        ],
        "history_from": account.history_from and instant_text(account.history_from),
        "periods": [_represent_period(period) for period in account.periods],
    }


def _represent_explanation(explanation: Explanation, row: JobEnvironment, at: datetime.datetime) -> dict[str, Any]:
    execution = explanation.execution
    return {
        "at": instant_text(at),
        "environment": row.environment.slug,
        "verdict": explanation.verdict.value,
        "detail": explanation.detail,
        "occurrence": explanation.occurrence and instant_text(explanation.occurrence),
        "execution": execution
        and {"id": str(execution.pk), "status": execution.status, "skip_reason": execution.skip_reason or None},
        "lateness_ms": explanation.lateness_ms,
        "previous": explanation.previous and instant_text(explanation.previous),
        "next": explanation.next and instant_text(explanation.next),
        "period": explanation.period and _represent_period(explanation.period),
    }


def _represent_period(period: PlannedPeriod) -> dict[str, Any]:
    schedule = period.schedule
    return {
        "state": schedule.state,
        "from": instant_text(schedule.since),
        "until": schedule.until and instant_text(schedule.until),
        "job_version": period.version,
        "note": period.note,
        "unreadable": schedule.unreadable or None,
    }
