"""The ledger of a job, and why it did or did not run at an instant."""

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
_MOST_DIFFERENCES = 100
_JUST_AFTER = datetime.timedelta(microseconds=1)
_TOLD = "An ISO 8601 time; UTC without an offset."


class PlaceQuery(Query):
    environment = serializers.CharField(
        required=False, help_text="Its slug; may be left out where the job is in one environment, or enabled in one."
    )


class LedgerQuery(PlaceQuery):
    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["from"] = Bound(help_text=f"At or after; 24 hours before `to` when left out. {_TOLD}")
        fields["to"] = Bound(help_text=f"Before; now when left out. {_TOLD}")
        return fields


class InstantQuery(PlaceQuery):
    at = Instant(required=False, naive_is_utc=True, help_text=f"Read to the second; now when left out. {_TOLD}")


class PeriodSerializer(serializers.Serializer):
    """A plan that was in force: it plans the occurrences later than `from` and no later than `until`."""

    state = Choice(
        choices=PeriodState.choices,
        help_text="`active` fires what is planned, `paused` skips it; `disabled` and `ended` plan nothing.",
    )
    until = Instant(allow_null=True, help_text="When it ended, or will; null: still in force.")
    job_version = Whole(help_text="Number of the job's version that said what was planned.")
    note = Text(allow_blank=True, help_text="What was said of a pause; else empty.")
    unreadable = Text(
        allow_null=True,
        help_text="Why this release can't read what was planned: nothing of that time is compared. Null: it can.",
    )

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": Instant(help_text="When it came into force.")}


class DifferenceSerializer(serializers.Serializer):
    """Where plan and records disagree: a bug."""

    scheduled_for = Instant(help_text="The occurrence that it is about, or the first of several.")
    kind = Choice(
        choices=("lost", "doubled", "unplanned"),
        help_text="`lost`: planned, not recorded; `doubled`: recorded more than once; `unplanned`: recorded, not "
        "planned.",
    )
    detail = Text(help_text="A sentence for people, with the ids of the executions that record it.")


@extend_schema_serializer(examples=examples.LEDGER)
class LedgerSerializer(serializers.Serializer):
    """What was planned, and what became of it: `planned` is `fired`, plus `skipped`, plus `due`, plus differences."""

    to = Instant(help_text="Exclusive. Earlier than asked for where that is still to come.")
    environment = Text(help_text="Slug of the environment that it is the ledger of.")
    planned = Whole(help_text="How many occurrences the job's versions planned in that time.")
    fired = Whole(help_text="Exactly one execution each, however it ended.")
    skipped = serializers.DictField(child=Whole(), help_text="Counted occurrences, by reason.")
    due = Whole(help_text="Planned, and not dealt with by the clock yet.")
    differences = DifferenceSerializer(many=True, help_text=f"There should be none. At most {_MOST_DIFFERENCES}.")
    history_from = Instant(
        allow_null=True,
        help_text="The history reaches back to here: of what was planned before, records are pruned, and nothing is "
        "compared. Null: all is kept.",
    )
    periods = PeriodSerializer(many=True, help_text="The plans that were in force in that time, in order.")

    def get_fields(self) -> dict[str, Any]:
        told = "Later than asked for where the job's ledger, or its history, begins later."
        return {**super().get_fields(), "from": Instant(help_text=told)}


class MeantExecutionSerializer(serializers.Serializer):
    """The execution that records an occurrence, in short."""

    id = serializers.UUIDField(help_text="Leads to all of it: `GET /executions/{id}/`.")
    status = Choice(choices=OCCURRING_STATUSES, help_text="How it stands now.")
    skip_reason = Choice(
        choices=SkipReason.choices, allow_null=True, help_text="Why it was not fired; null unless it is `skipped`."
    )


@extend_schema_serializer(examples=examples.EXPLANATION)
class ExplanationSerializer(serializers.Serializer):
    """Why a job did or did not run at an instant: a verdict for programs, a sentence for people."""

    at = Instant(help_text="The instant that was asked about.")
    environment = Text(help_text="Slug of the environment that it is about.")
    verdict = Choice(
        choices=[verdict.value for verdict in LedgerVerdict],
        help_text="Planned for then: `fired`, `skipped`, `due` (not dealt with yet), `to_come`, `pruned` (not kept any "
        "more) or `lost` (a bug). Else why not: `not_planned` by the schedule, `manual` without one, `disabled` here, "
        "`ended`, `deleted`, `not_yet` made; or `unreadable`: this release can't read the version of then.",
    )
    detail = Text(help_text="The same as a sentence for people.")
    occurrence = Instant(allow_null=True, help_text="The planned occurrence of that second.")
    execution = MeantExecutionSerializer(allow_null=True, help_text="What records it.")
    lateness_ms = Whole(
        allow_null=True,
        help_text="Milliseconds that it started later than planned, jitter aside; null unless it has started.",
    )
    previous = Instant(allow_null=True, help_text="Where nothing was planned: the occurrence before.")
    next = Instant(allow_null=True, help_text="Where nothing was planned: the occurrence after.")
    period = PeriodSerializer(allow_null=True, help_text="The plan in force then.")


class LedgerView(ApiView):
    """A comparison of a period: computed, so there is no object that a generic view could fetch."""

    read_scope: str = Scope.EXECUTIONS_READ

    def place(self, reference: str) -> JobEnvironment:
        """The job's state in the environment meant, of a deleted job too."""
        job = past_job(self.access, reference)
        rows = self._reachable(job) if job else []
        if job is None or not rows:
            raise NotFound(f"There is no job {reference}.")
        named = self.query.get("environment")
        if named is not None:
            wanted = environment_named(self.access, named)
            rows = [row for row in rows if row.environment_id == wanted.pk]
            if not rows:
                raise NotFoundError(f"The job is not in the environment {named}.", field="environment")
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
        summary="Compare what was planned with what was recorded",
        description=f"At most {MAX_PLANNED:,} planned occurrences are compared; a span with more is refused.",
        responses=LedgerSerializer,
    )
    def get(self, _request: Request, job: str) -> Response:
        end = self.query.get("to", self.now + _JUST_AFTER)
        start = self.query.get("from", end - _DEFAULT_SPAN)
        if start >= end:
            raise ValidationError({"from": [ErrorDetail("Should be earlier than `to`.", code="invalid")]})
        row = self.place(job)
        try:
            account = account_of(row, start=start, end=end, now=self.now)
        except TooManyPlannedError as error:
            detail = f"More than {MAX_PLANNED} occurrences are planned in this span; ask for a shorter one."
            raise ValidationError({"from": [ErrorDetail(detail, code="too_many")]}) from error
        return Response(shown_account(account, row))


class JobLedgerAt(LedgerView):
    query_class = InstantQuery

    @extend_schema(
        operation_id="jobs_ledger_at",
        summary="Why a job did or did not run at an instant",
        responses=ExplanationSerializer,
    )
    def get(self, _request: Request, job: str) -> Response:
        row, at = self.place(job), self.query.get("at", self.now)
        return Response(shown_explanation(explain(row, at=at, now=self.now), row, at))


def shown_account(account: LedgerAccount, row: JobEnvironment) -> dict[str, Any]:
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
            {"scheduled_for": instant_text(one.scheduled_for), "kind": one.kind, "detail": one.detail}
            for one in ledger.differences[:_MOST_DIFFERENCES]
        ],
        "history_from": account.history_from and instant_text(account.history_from),
        "periods": [_shown_period(period) for period in account.periods],
    }


def shown_explanation(found: Explanation, row: JobEnvironment, at: datetime.datetime) -> dict[str, Any]:
    execution = found.execution
    return {
        "at": instant_text(at),
        "environment": row.environment.slug,
        "verdict": found.verdict.value,
        "detail": found.detail,
        "occurrence": found.occurrence and instant_text(found.occurrence),
        "execution": execution
        and {"id": str(execution.pk), "status": execution.status, "skip_reason": execution.skip_reason or None},
        "lateness_ms": found.lateness_ms,
        "previous": found.previous and instant_text(found.previous),
        "next": found.next and instant_text(found.next),
        "period": found.period and _shown_period(found.period),
    }


def _shown_period(period: PlannedPeriod) -> dict[str, Any]:
    schedule = period.schedule
    return {
        "state": schedule.state,
        "from": instant_text(schedule.since),
        "until": schedule.until and instant_text(schedule.until),
        "job_version": period.version,
        "note": period.note,
        "unreadable": schedule.unreadable or None,
    }
