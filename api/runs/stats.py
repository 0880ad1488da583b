"""Statistics on the wire, and their routes: of all within reach, or of one job."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Scope
from api.base.views import ApiView
from api.jobs.lookups import past_job, past_job_within_reach
from api.runs import examples
from api.runs.filters import environment_ids_of
from core.validation.fields import Bound, Choice, CommaList, Instant, Number, Text, Whole, instant_text
from core.validation.strict import Query
from runs.states import ExecutionStatus
from runs.stats.periods import MAX_BUCKETS, Bucket, Period
from runs.stats.statistics import Figures, Statistics, Subject, Upcoming, statistics, upcoming

_DURATION, _LATENESS = (50, 95, 99), (50, 99)
_COUNTED = {
    ExecutionStatus.PENDING: "Wait for an attempt, the first or the next one.",
    ExecutionStatus.RUNNING: "Are being called.",
    ExecutionStatus.WAITING: "None so far: of workflows.",
    ExecutionStatus.SUCCEEDED: "Ended with a success.",
    ExecutionStatus.FAILED: "Failed for good.",
    ExecutionStatus.CANCELED: "Were canceled before they ended.",
    ExecutionStatus.SKIPPED: "Were not fired: all occurrences that skipped executions stand for.",
}


class JobStatsQuery(Query):
    """When, in which buckets, and in which environments."""

    bucket = Choice(
        choices=tuple(Bucket),
        required=False,
        help_text=f"At most {MAX_BUCKETS:,} of them; under 1h only for the last 7 days. "
        "If left out, the finest that makes at most 100.",
    )
    environment = CommaList(child=serializers.CharField(), required=False, help_text="One or more slugs, with commas.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        told = "An ISO 8601 time; UTC without an offset."
        fields["from"] = Bound(
            help_text=f"24 hours before `to` if left out; moved back to where a bucket begins. {told}",
        )
        fields["to"] = Bound(help_text=f"Now if left out; moved on to where a bucket ends. {told}")
        return fields


class StatsQuery(JobStatsQuery):
    job = serializers.CharField(required=False, help_text="A job's slug or id, a deleted job's too.")


class DurationSerializer(serializers.Serializer):
    """Milliseconds, each at most 2 % off; null where nothing was measured."""

    p50 = Whole(allow_null=True, help_text="Half of them took no longer, in milliseconds.")
    p95 = Whole(allow_null=True, help_text="95 of 100 took no longer.")
    p99 = Whole(allow_null=True, help_text="99 of 100 took no longer.")


class LatenessSerializer(serializers.Serializer):
    """Milliseconds, each at most 2 % off; null where nothing was planned."""

    p50 = Whole(allow_null=True, help_text="Half of them started no later than this, in milliseconds.")
    p99 = Whole(allow_null=True, help_text="99 of 100 started no later than this.")


@extend_schema_field(
    {
        "type": "object",
        "properties": {
            status.value: {"type": "integer", "minimum": 0, "description": told} for status, told in _COUNTED.items()
        },
        "required": ExecutionStatus.values,
        "additionalProperties": False,
    }
)
class Counts(serializers.DictField):
    """How many there are of each status; of skipped ones, the occurrences that they stand for."""


class StatsBucketSerializer(serializers.Serializer):
    """What was due in one bucket of time."""

    at = Instant(help_text="Where it begins.")
    counts = Counts(help_text="As those of the whole time: only what was due, else made, in this bucket.")
    duration_ms = DurationSerializer(help_text="As that of the whole time: only what was due, else made, in it.")


class UpcomingSerializer(serializers.Serializer):
    """What a job fires next in an environment."""

    job = Text(help_text="The job's slug.")
    job_id = serializers.UUIDField(help_text="The job's id.")
    job_name = Text(help_text="The job's name.")
    environment = Text(help_text="Slug of the environment that it fires in.")
    scheduled_for = Instant(help_text="The occurrence that is planned; jitter comes on top.")


@extend_schema_serializer(examples=examples.STATS)
class StatsSerializer(serializers.Serializer):
    """What became of all that was due in a time, as of this moment."""

    bucket = Choice(choices=tuple(Bucket), help_text="How much time each of the `buckets` holds.")
    counts = Counts(help_text="How many executions there are of each status.")
    success_rate = Number(allow_null=True, help_text="Succeeded, of those that succeeded or failed; null for none.")
    duration_ms = DurationSerializer(
        help_text="From the first attempt's start to the end; of succeeded and failed ones."
    )
    lateness_ms = LatenessSerializer(help_text="From the planned start to the real one; of those that have ended.")
    buckets = StatsBucketSerializer(many=True, help_text="By when they were due, else made; empty ones included.")
    upcoming = UpcomingSerializer(many=True, help_text="The soonest next firings, one of each job in each environment.")

    def get_fields(self) -> dict[str, Any]:
        return {
            "from": Instant(help_text="Where the first bucket begins."),
            "to": Instant(help_text="Exclusive."),
            **super().get_fields(),
        }

    def to_representation(self, instance: tuple[Statistics, list[Upcoming]]) -> dict[str, Any]:
        found, coming = instance
        period, total = found.period, found.total
        rate = total.success_rate
        return {
            "from": instant_text(period.since),
            "to": instant_text(period.until),
            "bucket": period.bucket.value,
            "counts": total.counts,
            "success_rate": None if rate is None else round(rate, 6),
            "duration_ms": _duration(total),
            "lateness_ms": {f"p{percent}": total.lateness_ms(percent) for percent in _LATENESS},
            "buckets": [
                {"at": instant_text(period.start_of(place)), "counts": one.counts, "duration_ms": _duration(one)}
                for place, one in enumerate(found.buckets)
            ],
            "upcoming": [_firing(one) for one in coming],
        }


def _duration(figures: Figures) -> dict[str, int | None]:
    return {f"p{percent}": figures.duration_ms(percent) for percent in _DURATION}


def _firing(one: Upcoming) -> dict[str, str]:
    return {
        "job": one.job,
        "job_id": str(one.job_id),
        "job_name": one.job_name,
        "environment": one.environment,
        "scheduled_for": instant_text(one.scheduled_for),
    }


class StatsView(ApiView):
    """Figures of a period: computed, so there is no object that a generic view could fetch."""

    read_scope: str = Scope.EXECUTIONS_READ
    serializer_class = StatsSerializer

    def told(self, subject: Subject) -> Response:
        bucket = Bucket(self.query["bucket"]) if "bucket" in self.query else None
        period = Period.around(self.query.get("from"), self.query.get("to"), bucket, now=self.now)
        return Response(StatsSerializer((statistics(subject, period), upcoming(subject))).data)


class Stats(StatsView):
    query_class = StatsQuery

    @extend_schema(
        operation_id="stats_get",
        summary="Count executions, and measure them",
        description="Exact at this moment, and still when executions have been pruned. An unknown job counts nothing.",
    )
    def get(self, _request: Request) -> Response:
        places = environment_ids_of(self.query, self.access)
        if "job" not in self.query:
            return self.told(Subject.of(self.access.workspace, places))
        job = past_job(self.access, self.query["job"])
        return self.told(Subject.of(self.access.workspace, places, job) if job else Subject(()))


class JobStats(StatsView):
    query_class = JobStatsQuery

    @extend_schema(operation_id="jobs_stats", summary="Count a job's executions, and measure them")
    def get(self, _request: Request, job: str) -> Response:
        found = past_job_within_reach(self.access, job)
        return self.told(Subject.of(self.access.workspace, environment_ids_of(self.query, self.access), found))
