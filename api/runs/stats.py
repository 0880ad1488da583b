"""Statistics of executions: of all within reach, or of one job."""

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
    ExecutionStatus.PENDING: "Executions waiting for their first or next attempt.",
    ExecutionStatus.RUNNING: "Executions with an attempt in progress.",
    ExecutionStatus.WAITING: "Always 0; reserved for workflows.",
    ExecutionStatus.SUCCEEDED: "Executions that succeeded.",
    ExecutionStatus.FAILED: "Executions that failed after their last attempt.",
    ExecutionStatus.CANCELED: "Executions that were canceled.",
    ExecutionStatus.SKIPPED: "Occurrences counted by skipped executions.",
}


class JobStatsQuery(Query):
    """The period, its buckets, and the environments."""

    bucket = Choice(
        choices=tuple(Bucket),
        required=False,
        help_text=f"Length of a bucket: at most {MAX_BUCKETS:,} buckets; below 1h only for the last 7 days. "
        "Default: the shortest that gives at most 100 buckets.",
    )
    environment = CommaList(
        child=serializers.CharField(), required=False, help_text="Slugs of environments, separated by commas."
    )

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        fields["from"] = Bound("Start, rounded down to the start of a bucket. Default: 24 hours before `to`.")
        fields["to"] = Bound("End, rounded up to the end of a bucket. Default: now.")
        return fields


class StatsQuery(JobStatsQuery):
    job = serializers.CharField(required=False, help_text="Slug or id of a job, deleted or not.")


class DurationSerializer(serializers.Serializer):
    """Percentiles in milliseconds, accurate to 2 %; null without measurements."""

    p50 = Whole(allow_null=True, help_text="Median, in milliseconds.")
    p95 = Whole(allow_null=True, help_text="95th percentile, in milliseconds.")
    p99 = Whole(allow_null=True, help_text="99th percentile, in milliseconds.")


class LatenessSerializer(serializers.Serializer):
    """Percentiles in milliseconds, accurate to 2 %; null without scheduled executions."""

    p50 = Whole(allow_null=True, help_text="Median, in milliseconds.")
    p99 = Whole(allow_null=True, help_text="99th percentile, in milliseconds.")


@extend_schema_field(
    {
        "type": "object",
        "properties": {
            status.value: {"type": "integer", "minimum": 0, "description": text} for status, text in _COUNTED.items()
        },
        "required": ExecutionStatus.values,
        "additionalProperties": False,
    }
)
class Counts(serializers.DictField):
    """Number of executions by status; for `skipped`, of the occurrences they count."""


class StatsBucketSerializer(serializers.Serializer):
    """The executions due in one bucket."""

    at = Instant(help_text="Start of the bucket.")
    counts = Counts(help_text="Counts of the executions due (or created, without a due time) in this bucket.")
    duration_ms = DurationSerializer(
        help_text="Durations of the executions due (or created, without a due time) in this bucket."
    )


class UpcomingSerializer(serializers.Serializer):
    """The next occurrence of a job in an environment."""

    job = Text(help_text="The job's slug.")
    job_id = serializers.UUIDField(help_text="The job's id.")
    job_name = Text(help_text="The job's name.")
    environment = Text(help_text="Slug of the environment.")
    scheduled_for = Instant(help_text="The occurrence, without jitter.")


@extend_schema_serializer(examples=examples.STATS)
class StatsSerializer(serializers.Serializer):
    """The current outcome of all executions due in a period."""

    bucket = Choice(choices=tuple(Bucket), help_text="Length of each bucket.")
    counts = Counts(help_text="Number of executions by status.")
    success_rate = Number(
        allow_null=True, help_text="`succeeded` / (`succeeded` + `failed`), from 0 to 1; null if both are 0."
    )
    duration_ms = DurationSerializer(
        help_text="From the first attempt's start to the end, of succeeded and failed executions."
    )
    lateness_ms = LatenessSerializer(help_text="From the scheduled to the actual start, of ended executions.")
    buckets = StatsBucketSerializer(
        many=True, help_text="All buckets of the period, by due time or, without one, creation time."
    )
    upcoming = UpcomingSerializer(many=True, help_text="The earliest next occurrences, one per job and environment.")

    def get_fields(self) -> dict[str, Any]:
        return {
            "from": Instant(help_text="Start of the first bucket."),
            "to": Instant(help_text="End of the last bucket (exclusive)."),
            **super().get_fields(),
        }

    def to_representation(self, instance: tuple[Statistics, list[Upcoming]]) -> dict[str, Any]:
        figures, occurrences = instance
        period, total = figures.period, figures.total
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
                {"at": instant_text(period.start_of(index)), "counts": bucket.counts, "duration_ms": _duration(bucket)}
                for index, bucket in enumerate(figures.buckets)
            ],
            "upcoming": [_represent_upcoming(upcoming) for upcoming in occurrences],
        }


def _duration(figures: Figures) -> dict[str, int | None]:
    return {f"p{percent}": figures.duration_ms(percent) for percent in _DURATION}


def _represent_upcoming(upcoming: Upcoming) -> dict[str, str]:
    return {
        "job": upcoming.job,
        "job_id": str(upcoming.job_id),
        "job_name": upcoming.job_name,
        "environment": upcoming.environment,
        "scheduled_for": instant_text(upcoming.scheduled_for),
    }


class StatsView(ApiView):
    """Figures of a period: computed, so there is no object that a generic view could fetch."""

    read_scope: str = Scope.EXECUTIONS_READ
    serializer_class = StatsSerializer

    def respond(self, subject: Subject) -> Response:
        bucket = Bucket(self.query["bucket"]) if "bucket" in self.query else None
        period = Period.around(self.query.get("from"), self.query.get("to"), bucket, now=self.now)
        return Response(StatsSerializer((statistics(subject, period), upcoming(subject))).data)


class Stats(StatsView):
    query_class = StatsQuery

    @extend_schema(
        operation_id="stats_get",
        summary="Get execution statistics",
        description="Counts are exact and include pruned executions. An unknown `job` gives zeros.",
    )
    def get(self, _request: Request) -> Response:
        environment_ids = environment_ids_of(self.query, self.access)
        if "job" not in self.query:
            return self.respond(Subject.of(self.access.workspace, environment_ids))
        job = past_job(self.access, self.query["job"])
        return self.respond(Subject.of(self.access.workspace, environment_ids, job) if job else Subject(()))


class JobStats(StatsView):
    query_class = JobStatsQuery

    @extend_schema(operation_id="jobs_stats", summary="Get a job's execution statistics")
    def get(self, _request: Request, job: str) -> Response:
        environment_ids = environment_ids_of(self.query, self.access)
        subject = Subject.of(self.access.workspace, environment_ids, past_job_within_reach(self.access, job))
        return self.respond(subject)
